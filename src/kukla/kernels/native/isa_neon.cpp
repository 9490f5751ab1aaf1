// NEON, part of every 64-bit ARM processor.
#if defined(__aarch64__)
#include <arm_neon.h>

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
    static std::uint64_t popcount(std::uint64_t x) { return vaddv_u8(vcnt_u8(vcreate_u8(x))); }

    static std::uint64_t hamming(const std::uint8_t* row, const std::uint8_t* query, std::size_t bytes) {
        uint64x2_t counts = vdupq_n_u64(0);
        std::size_t i = 0;
        for (; i + 16 <= bytes; i += 16) {
            const uint8x16_t bits = vcntq_u8(veorq_u8(vld1q_u8(row + i), vld1q_u8(query + i)));
            counts = vpadalq_u32(counts, vpaddlq_u16(vpaddlq_u8(bits)));
        }
        return vaddvq_u64(counts) + hamming_words<Ops>(row + i, query + i, bytes - i);
    }
};

struct Int8 {
    static constexpr std::size_t kStep = 16;
    static constexpr std::size_t kFlush = 8192;
    int32x4_t lanes = vdupq_n_s32(0);

    void add(const std::int8_t* row, const std::int16_t* query) {
        const int8x16_t codes = vld1q_s8(row);
        add8(vmovl_s8(vget_low_s8(codes)), vld1q_s16(query));
        add8(vmovl_high_s8(codes), vld1q_s16(query + 8));
    }
    void merge(const Int8& other) { lanes = vaddq_s32(lanes, other.lanes); }
    std::int64_t sum() const { return vaddlvq_s32(lanes); }

private:
    void add8(int16x8_t codes, int16x8_t query) {
        lanes = vmlal_s16(lanes, vget_low_s16(codes), vget_low_s16(query));
        lanes = vmlal_high_s16(lanes, codes, query);
    }
};

// See narrow.hpp.
struct Narrow {
    static constexpr std::size_t kStep = 16;
    static constexpr std::int32_t kOffset = 0;
    int32x4_t lanes;

    explicit Narrow(std::int32_t start) : lanes(vsetq_lane_s32(start, vdupq_n_s32(0), 0)) {}

    void add(const std::int8_t* row, const std::int8_t* query) {
        const int8x16_t codes = vld1q_s8(row), probe = vld1q_s8(query);
        lanes = vpadalq_s16(lanes, vmull_s8(vget_low_s8(codes), vget_low_s8(probe)));
        lanes = vpadalq_s16(lanes, vmull_high_s8(codes, probe));
    }
    std::int32_t sum() const { return vaddvq_s32(lanes); }
    static void sum8(const Narrow l[8], std::int32_t* sums) {
        for (int j = 0; j < 8; j += 4)
            vst1q_s32(sums + j, vpaddq_s32(vpaddq_s32(l[j].lanes, l[j + 1].lanes),
                                           vpaddq_s32(l[j + 2].lanes, l[j + 3].lanes)));
    }
};

inline float32x4_t load4(const float* row) { return vld1q_f32(row); }
inline float32x4_t load4(const std::uint16_t* row) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(row))); }

struct Float {
    float64x2_t lanes[8] = {vdupq_n_f64(0), vdupq_n_f64(0), vdupq_n_f64(0), vdupq_n_f64(0),
                            vdupq_n_f64(0), vdupq_n_f64(0), vdupq_n_f64(0), vdupq_n_f64(0)};

    template <class Element>
    void add(const Element* row, const double* query) {
        for (int j = 0; j < 4; ++j) {
            const float32x4_t values = load4(row + 4 * j);
            const double* probe = query + 4 * j;
            lanes[2 * j] = vfmaq_f64(lanes[2 * j], vcvt_f64_f32(vget_low_f32(values)), vld1q_f64(probe));
            lanes[2 * j + 1] = vfmaq_f64(lanes[2 * j + 1], vcvt_high_f64_f32(values), vld1q_f64(probe + 2));
        }
    }
    void store(double* out) const {
        for (int j = 0; j < 8; ++j) vst1q_f64(out + 2 * j, lanes[j]);
    }
};

// See nibbles.hpp.
struct Sums {
    static void of(const std::uint8_t* codes, std::size_t pairs, const std::uint8_t* tables, std::uint16_t* sums) {
        const uint8x16_t half = vdupq_n_u8(15);
        uint16x8_t lines[4] = {vdupq_n_u16(0), vdupq_n_u16(0), vdupq_n_u16(0), vdupq_n_u16(0)};
        for (std::size_t p = 0; p < pairs; ++p, codes += kNibbleRows) {
            const std::uint8_t* table = tables + p / 2 * 128 + p % 2 * 32;
            const uint8x16_t low = vld1q_u8(table), high = vld1q_u8(table + 64);
            for (int j = 0; j < 2; ++j) {
                const uint8x16_t line = vld1q_u8(codes + 16 * j);
                const uint8x16_t a = vqtbl1q_u8(low, vandq_u8(line, half)), b = vqtbl1q_u8(high, vshrq_n_u8(line, 4));
                const uint8x16_t sum = vaddq_u8(a, b);
                lines[2 * j] = vaddw_u8(lines[2 * j], vget_low_u8(sum));
                lines[2 * j + 1] = vaddw_high_u8(lines[2 * j + 1], sum);
            }
        }
        for (int j = 0; j < 4; ++j) vst1q_u16(sums + 8 * j, lines[j]);
    }
};

}  // namespace

const Isa kNeon = {
    "neon",
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
    nibble_scores_block<Sums>,
    nibble_record_sums_block<Sums, PlainLines<Ops>>,
    at_least_block<Ops>,
    nibble_tables_block<Ops>,
    nibble_codes_block<Ops>,
};

}  // namespace kukla
#endif
