// AVX-512 F, BW, VL and DQ (Skylake-X, Zen 4 and later). The conversion of codes to int16, not the multiplication,
// limits the integer dot product, so VNNI would gain nothing here.
#if defined(__x86_64__)
#include <immintrin.h>

#include "encode.hpp"
#include "finish.hpp"
#include "float_dot.hpp"
#include "hamming.hpp"
#include "int8_dot.hpp"
#include "isa.hpp"
#include "narrow.hpp"
#include "narrow_x86.hpp"
#include "nibbles.hpp"
#include "pool.hpp"
#include "unit.hpp"

namespace kukla {
namespace {

struct Ops {
    static std::uint64_t popcount(std::uint64_t x) { return static_cast<std::uint64_t>(__builtin_popcountll(x)); }

    // Used on processors without VPOPCNTDQ.
    static std::uint64_t hamming(const std::uint8_t* row, const std::uint8_t* query, std::size_t bytes) {
        return hamming_words<Ops>(row, query, bytes);
    }
};

struct Int8 {
    static constexpr std::size_t kStep = 32;
    static constexpr std::size_t kFlush = 8192;
    __m512i lanes = _mm512_setzero_si512();

    void add(const std::int8_t* row, const std::int16_t* query) {
        const __m512i codes = _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(row)));
        lanes = _mm512_add_epi32(lanes, _mm512_madd_epi16(codes, _mm512_loadu_si512(query)));
    }
    void merge(const Int8& other) { lanes = _mm512_add_epi32(lanes, other.lanes); }
    std::int64_t sum() const {
        return _mm512_reduce_add_epi64(
            _mm512_add_epi64(_mm512_cvtepi32_epi64(_mm512_castsi512_si256(lanes)),
                             _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(lanes, 1))));
    }
    static void sum4(const Int8 lines[4], std::int64_t* dots) {
        const __m512i low = pairs(lines[0].lanes, lines[1].lanes), high = pairs(lines[2].lanes, lines[3].lanes);
        const __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(low, high), _mm512_unpackhi_epi64(low, high));
        const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1));
        const __m128i sums = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(dots), _mm256_cvtepi32_epi64(sums));
    }

private:
    static __m512i pairs(__m512i a, __m512i b) {
        return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    }
};

inline __m512 load16(const float* row) { return _mm512_loadu_ps(row); }

inline __m512 load16(const std::uint16_t* row) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(row)));
}

struct Float {
    __m512d low = _mm512_setzero_pd(), high = _mm512_setzero_pd();

    template <class Element>
    void add(const Element* row, const double* query) {
        const __m512 values = load16(row);
        low = _mm512_fmadd_pd(_mm512_cvtps_pd(_mm512_castps512_ps256(values)), _mm512_loadu_pd(query), low);
        high = _mm512_fmadd_pd(_mm512_cvtps_pd(_mm512_extractf32x8_ps(values, 1)), _mm512_loadu_pd(query + 8), high);
    }
    void store(double* out) const {
        _mm512_storeu_pd(out, low);
        _mm512_storeu_pd(out + 8, high);
    }
};

// See nibbles.hpp, and isa_avx2.cpp for even and odd rows. Two lines of a block fill a register.
struct Sums {
    static void of(const std::uint8_t* lines, std::size_t pairs, const std::uint8_t* tables, std::uint16_t* sums) {
        const __m512i half = _mm512_set1_epi8(15);
        __m512i both = _mm512_setzero_si512(), odd = both;
        for (std::size_t p = 0; p < pairs; p += 2) {
            const std::uint8_t* table = tables + p * 64;
            const __m512i line = _mm512_loadu_si512(lines + p * kNibbleRows);
            const __m512i low = _mm512_and_si512(line, half);
            const __m512i high = _mm512_and_si512(_mm512_srli_epi16(line, 4), half);
            const __m512i a = _mm512_shuffle_epi8(_mm512_loadu_si512(table), low);
            const __m512i b = _mm512_shuffle_epi8(_mm512_loadu_si512(table + 64), high);
            const __m512i sum = _mm512_add_epi8(a, b);
            both = _mm512_add_epi16(both, sum);
            odd = _mm512_add_epi16(odd, _mm512_srli_epi16(sum, 8));
        }
        const auto folded = [](__m512i two) {
            return _mm256_add_epi16(_mm512_castsi512_si256(two), _mm512_extracti64x4_epi64(two, 1));
        };
        const __m256i of_odd = folded(odd);
        const __m256i of_even = _mm256_sub_epi16(folded(both), _mm256_slli_epi16(of_odd, 8));
        _mm512_storeu_si512(sums, _mm512_or_si512(_mm512_cvtepu16_epi32(of_even),
                                                  _mm512_slli_epi32(_mm512_cvtepu16_epi32(of_odd), 16)));
    }
};

// Records are interleaved with those eight further on, which turns the eight bits of (record, byte) of sixteen of them by
// one: after four rounds the two have changed places, in each quarter of the registers. Two lines fill a register.
struct Lines {
    static constexpr std::size_t kPairs = 64;

    static void of(const std::uint8_t* const* records, std::size_t from, std::size_t here, std::uint8_t* lines) {
        const __mmask64 there = here == kPairs ? ~__mmask64{0} : (__mmask64{1} << here) - 1;
        __m512i first[16], second[16];
        load(records, from, there, first);
        load(records + 16, from, there, second);
        for (std::size_t t = 0; t < 16; t += 2) {  // quarter j has the pairs 16 j + t
            const __m512i a = _mm512_shuffle_i64x2(first[t], second[t], 0x44), b = shuffle_high(first[t], second[t]);
            const __m512i c = _mm512_shuffle_i64x2(first[t + 1], second[t + 1], 0x44);
            const __m512i d = shuffle_high(first[t + 1], second[t + 1]);
            std::uint8_t* line = lines + t * kNibbleRows;
            _mm512_store_si512(line, _mm512_shuffle_i64x2(a, c, 0x88));
            _mm512_store_si512(line + 16 * kNibbleRows, _mm512_shuffle_i64x2(a, c, 0xDD));
            _mm512_store_si512(line + 32 * kNibbleRows, _mm512_shuffle_i64x2(b, d, 0x88));
            _mm512_store_si512(line + 48 * kNibbleRows, _mm512_shuffle_i64x2(b, d, 0xDD));
        }
    }

private:
    static __m512i shuffle_high(__m512i a, __m512i b) { return _mm512_shuffle_i64x2(a, b, 0xEE); }

    static void load(const std::uint8_t* const* records, std::size_t from, __mmask64 there, __m512i* rows) {
        for (std::size_t v = 0; v < 16; ++v) rows[v] = _mm512_maskz_loadu_epi8(there, records[v] + from);
        for (int round = 0; round < 4; ++round) {
            __m512i turned[16];
            for (std::size_t v = 0; v < 8; ++v) {
                turned[2 * v] = _mm512_unpacklo_epi8(rows[v], rows[v + 8]);
                turned[2 * v + 1] = _mm512_unpackhi_epi8(rows[v], rows[v + 8]);
            }
            for (std::size_t v = 0; v < 16; ++v) rows[v] = turned[v];
        }
    }
};

std::size_t at_least(const float* values, std::size_t n, float least, std::uint32_t* out) {
    const __m512 bound = _mm512_set1_ps(least);
    __m512i places = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    std::size_t found = 0;
    for (std::size_t i = 0; i < n; i += 16, places = _mm512_add_epi32(places, _mm512_set1_epi32(16))) {
        const __mmask16 there = n - i < 16 ? static_cast<__mmask16>((1U << (n - i)) - 1U) : static_cast<__mmask16>(~0U);
        const __mmask16 reached =
            _mm512_mask_cmp_ps_mask(there, _mm512_maskz_loadu_ps(there, values + i), bound, _CMP_GE_OQ);
        // Compressed in a register: straight to memory is slow on some processors.
        _mm512_storeu_si512(out + found, _mm512_maskz_compress_epi32(reached, places));
        found += static_cast<std::size_t>(__builtin_popcount(reached));
    }
    return found;
}

}  // namespace

const Isa kAvx512 = {
    "avx512",
    hamming_block<Ops>,
    int8_dot_block4<Int8>,
    float_dot_block<Float, float>,
    float_dot_block<Float, std::uint16_t>,
    add_scaled_block<Ops>,
    finish_block<Ops>,
    add_narrow_block<NarrowPairs>,
    narrow_bounds_block<Ops>,
    divide_block<Ops>,
    pool_text<Ops>,
    encode_block<Ops>,
    unit_rows_block<Ops, float>,
    unit_rows_block<Ops, double>,
    nibble_scores_block<Sums>,
    nibble_record_sums_block<Sums, Lines>,
    at_least,
    nibble_tables_block<Ops>,
    nibble_codes_block<Ops>,
};

}  // namespace kukla
#endif
