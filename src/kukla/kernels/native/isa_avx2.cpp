// AVX2 with FMA, F16C and POPCNT (Haswell, Zen and later).
#if defined(__x86_64__)
#include <immintrin.h>

#include "bounds.hpp"
#include "encode.hpp"
#include "finish.hpp"
#include "float_dot.hpp"
#include "hamming.hpp"
#include "int8_dot.hpp"
#include "isa.hpp"
#include "nibbles.hpp"
#include "pool.hpp"
#include "unit.hpp"

namespace kukla {
namespace {

struct Ops {
    static std::uint64_t popcount(std::uint64_t x) { return static_cast<std::uint64_t>(__builtin_popcountll(x)); }

    // One POPCNT a cycle is 8 bytes a cycle, which is more than memory delivers.
    static std::uint64_t hamming(const std::uint8_t* row, const std::uint8_t* query, std::size_t bytes) {
        return hamming_words<Ops>(row, query, bytes);
    }
};

struct Int8 {
    static constexpr std::size_t kStep = 16;
    static constexpr std::size_t kFlush = 8192;
    __m256i lanes = _mm256_setzero_si256();

    void add(const std::int8_t* row, const std::int16_t* query) {
        const __m256i codes = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row)));
        const __m256i probe = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(query));
        lanes = _mm256_add_epi32(lanes, _mm256_madd_epi16(codes, probe));
    }
    void merge(const Int8& other) { lanes = _mm256_add_epi32(lanes, other.lanes); }
    std::int64_t sum() const {
        const __m256i wide = _mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(lanes)),
                                              _mm256_cvtepi32_epi64(_mm256_extracti128_si256(lanes, 1)));
        const __m128i pair = _mm_add_epi64(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
        return _mm_cvtsi128_si64(pair) + _mm_extract_epi64(pair, 1);
    }
    static void sum4(const Int8 lines[4], std::int64_t* dots) {
        const __m256i low = pairs(lines[0].lanes, lines[1].lanes), high = pairs(lines[2].lanes, lines[3].lanes);
        const __m256i all = _mm256_add_epi32(_mm256_unpacklo_epi64(low, high), _mm256_unpackhi_epi64(low, high));
        const __m128i sums = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(dots), _mm256_cvtepi32_epi64(sums));
    }

private:
    static __m256i pairs(__m256i a, __m256i b) {
        return _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    }
};

inline __m256 load8(const float* row) { return _mm256_loadu_ps(row); }

inline __m256 load8(const std::uint16_t* row) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row)));
}

struct Float {
    __m256d lanes[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd()};

    template <class Element>
    void add(const Element* row, const double* query) {
        const __m256 low = load8(row), high = load8(row + 8);
        add4(0, _mm256_castps256_ps128(low), query);
        add4(1, _mm256_extractf128_ps(low, 1), query);
        add4(2, _mm256_castps256_ps128(high), query);
        add4(3, _mm256_extractf128_ps(high, 1), query);
    }
    void store(double* out) const {
        for (int j = 0; j < 4; ++j) _mm256_storeu_pd(out + 4 * j, lanes[j]);
    }

private:
    void add4(int j, __m128 values, const double* query) {
        lanes[j] = _mm256_fmadd_pd(_mm256_cvtps_pd(values), _mm256_loadu_pd(query + 4 * j), lanes[j]);
    }
};

// See nibbles.hpp. Sums of even and of odd rows are kept apart: uint16 lanes hold two bytes, and the even one is what is
// left when the odd one is taken away.
std::size_t nibble_hits(const std::uint8_t* codes, std::size_t blocks, std::size_t pairs, const std::uint8_t* tables,
                        std::uint16_t least, const std::uint8_t* next, std::uint32_t* positions, std::uint16_t* sums) {
    const __m256i half = _mm256_set1_epi8(15), bound = _mm256_set1_epi16(static_cast<short>(least));
    std::size_t found = 0;
    for (std::size_t block = 0; block < blocks; ++block) {
        __m256i both = _mm256_setzero_si256(), odd = both;
        const std::uint8_t* table = tables;
        for (std::size_t p = 0; p < pairs; ++p, codes += 32, next += 32, table += p % 2 == 0 ? 96 : 32) {
            _mm_prefetch(reinterpret_cast<const char*>(next), _MM_HINT_T0);
            const __m256i line = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
            const __m256i low = _mm256_and_si256(line, half);
            const __m256i high = _mm256_and_si256(_mm256_srli_epi16(line, 4), half);
            const __m256i a = _mm256_shuffle_epi8(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(table)), low);
            const __m256i b =
                _mm256_shuffle_epi8(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(table + 64)), high);
            const __m256i sum = _mm256_add_epi8(a, b);
            both = _mm256_add_epi16(both, sum);
            odd = _mm256_add_epi16(odd, _mm256_srli_epi16(sum, 8));
        }
        for (std::size_t i = 0; i < kBlockTail; i += 64, codes += 64, next += 64)
            _mm_prefetch(reinterpret_cast<const char*>(next), _MM_HINT_T0);
        const __m256i even = _mm256_sub_epi16(both, _mm256_slli_epi16(odd, 8));
        const auto reached = [&](__m256i line) {
            return static_cast<std::uint32_t>(
                _mm256_movemask_epi8(_mm256_cmpeq_epi16(_mm256_max_epu16(line, bound), line)));
        };
        const std::uint32_t of_even = reached(even), of_odd = reached(odd);
        if ((of_even | of_odd) == 0) continue;
        std::uint16_t lines[2][16];
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(lines[0]), even);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(lines[1]), odd);
        for (unsigned j = 0; j < 2; ++j)
            // Two bits a row: every second one is enough.
            for (std::uint32_t left = (j == 0 ? of_even : of_odd) & 0x55555555U; left != 0; left &= left - 1) {
                const unsigned i = static_cast<unsigned>(__builtin_ctz(left)) / 2;
                positions[found] = static_cast<std::uint32_t>(block * kNibbleRows + 2 * i + j);
                sums[found++] = lines[j][i];
            }
    }
    return found;
}

}  // namespace

const Isa kAvx2 = {
    "avx2",
    hamming_block<Ops>,
    int8_dot_block4<Int8>,
    float_dot_block<Float, float>,
    float_dot_block<Float, std::uint16_t>,
    add_scaled_block<Ops>,
    finish_block<Ops>,
    add_bounded_block<Ops>,
    add_tail_block<Ops>,
    pool_text<Ops>,
    encode_block<Ops>,
    unit_rows_block<Ops, float>,
    unit_rows_block<Ops, double>,
    nibble_hits,
    nibble_tables_block<Ops>,
    nibble_codes_block<Ops>,
};

}  // namespace kukla
#endif
