// Portable C++: what every processor runs, and what the other tables are compared with.
#include "encode.hpp"
#include "finish.hpp"
#include "float_dot.hpp"
#include "hamming.hpp"
#include "int8_dot.hpp"
#include "isa.hpp"
#include "narrow.hpp"
#include "nibbles.hpp"
#include "pool.hpp"
#include "unit.hpp"

namespace kukla {
namespace {

struct Ops {
    // The sum of neighbouring bits, pairs, nibbles; then of bytes by one multiplication.
    static std::uint64_t popcount(std::uint64_t x) {
        x -= (x >> 1) & 0x5555555555555555U;
        x = (x & 0x3333333333333333U) + ((x >> 2) & 0x3333333333333333U);
        x = (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0FU;
        return (x * 0x0101010101010101U) >> 56;
    }

    static std::uint64_t hamming(const std::uint8_t* row, const std::uint8_t* query, std::size_t bytes) {
        return hamming_words<Ops>(row, query, bytes);
    }
};

struct Int8 {
    static constexpr std::size_t kStep = 16;
    static constexpr std::size_t kFlush = 2048;
    std::int32_t lane = 0;

    void add(const std::int8_t* row, const std::int16_t* query) {
        for (std::size_t j = 0; j < kStep; ++j) lane += static_cast<std::int32_t>(row[j]) * query[j];
    }
    void merge(const Int8& other) { lane += other.lane; }
    std::int64_t sum() const { return lane; }
};

struct Narrow {
    static constexpr std::size_t kStep = 16;
    static constexpr std::int32_t kOffset = 0;
    std::int32_t lane;

    explicit Narrow(std::int32_t start) : lane(start) {}

    void add(const std::int8_t* row, const std::int8_t* query) {
        for (std::size_t j = 0; j < kStep; ++j) lane += static_cast<std::int32_t>(row[j]) * query[j];
    }
    std::int32_t sum() const { return lane; }
    static void sum8(const Narrow lines[8], std::int32_t* sums) {
        for (int j = 0; j < 8; ++j) sums[j] = lines[j].lane;
    }
};

inline double widened(float value) { return static_cast<double>(value); }

inline double widened(std::uint16_t half) {
    const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
    const std::uint32_t exponent = (half >> 10) & 31U;
    const std::uint32_t fraction = half & 1023U;
    if (exponent == 0) {  // zero and subnormals: fraction * 2^-24
        const double value = static_cast<double>(fraction) * 0x1p-24;
        return sign != 0 ? -value : value;
    }
    const std::uint32_t biased = exponent == 31 ? 255U : exponent + 112U;
    const std::uint32_t bits = sign | (biased << 23) | (fraction << 13);
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return static_cast<double>(value);
}

struct Float {
    double lanes[16] = {};

    template <class Element>
    void add(const Element* row, const double* query) {
        for (std::size_t j = 0; j < 16; ++j) lanes[j] += widened(row[j]) * query[j];
    }
    void store(double* out) const { std::memcpy(out, lanes, sizeof lanes); }
};

}  // namespace

const Isa kScalar = {
    "scalar",
    hamming_block<Ops>,
    int8_dot_block<Int8>,
    float_dot_block<Float, float>,
    float_dot_block<Float, std::uint16_t>,
    add_scaled_block<Ops>,
    finish_block<Ops>,
    add_narrow_block<Narrow>,
    narrow_bounds_block<Ops>,
    divide_block<Ops>,
    pool_text<Ops>,
    encode_block<Ops>,
    unit_rows_block<Ops, float>,
    unit_rows_block<Ops, double>,
    nibble_scores_block<PlainSums>,
    nibble_record_sums_block<PlainSums, PlainLines<Ops>>,
    at_least_block<Ops>,
    nibble_tables_block<Ops>,
    nibble_codes_block<Ops>,
};

}  // namespace kukla
