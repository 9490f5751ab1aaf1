// AVX-512 F, BW, VL and DQ (Skylake-X, Zen 4 and later). The conversion of codes to int16, not the multiplication,
// limits the integer dot product, so VNNI would gain nothing here.
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
std::size_t nibble_hits(const std::uint8_t* codes, std::size_t blocks, std::size_t pairs, const std::uint8_t* tables,
                        std::uint16_t least, const std::uint8_t* next, std::uint32_t* positions, std::uint16_t* sums) {
    const __m512i half = _mm512_set1_epi8(15);
    const __m256i bound = _mm256_set1_epi16(static_cast<short>(least));
    const auto folded = [](__m512i both) {
        return _mm256_add_epi16(_mm512_castsi512_si256(both), _mm512_extracti64x4_epi64(both, 1));
    };
    std::size_t found = 0;
    for (std::size_t block = 0; block < blocks; ++block) {
        __m512i both = _mm512_setzero_si512(), odd = both;
        for (std::size_t p = 0; p < pairs; p += 2, codes += 64, next += 64) {
            _mm_prefetch(reinterpret_cast<const char*>(next), _MM_HINT_T0);
            const std::uint8_t* table = tables + p * 64;
            const __m512i line = _mm512_loadu_si512(codes);
            const __m512i low = _mm512_and_si512(line, half);
            const __m512i high = _mm512_and_si512(_mm512_srli_epi16(line, 4), half);
            const __m512i a = _mm512_shuffle_epi8(_mm512_loadu_si512(table), low);
            const __m512i b = _mm512_shuffle_epi8(_mm512_loadu_si512(table + 64), high);
            const __m512i sum = _mm512_add_epi8(a, b);
            both = _mm512_add_epi16(both, sum);
            odd = _mm512_add_epi16(odd, _mm512_srli_epi16(sum, 8));
        }
        for (std::size_t i = 0; i < kBlockTail; i += 64, codes += 64, next += 64)
            _mm_prefetch(reinterpret_cast<const char*>(next), _MM_HINT_T0);
        const __m256i of_odd = folded(odd);
        const __m256i of_even = _mm256_sub_epi16(folded(both), _mm256_slli_epi16(of_odd, 8));
        const std::uint32_t reached[2] = {_mm256_cmpge_epu16_mask(of_even, bound),
                                          _mm256_cmpge_epu16_mask(of_odd, bound)};
        if ((reached[0] | reached[1]) == 0) continue;
        std::uint16_t lines[2][16];
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(lines[0]), of_even);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(lines[1]), of_odd);
        for (unsigned j = 0; j < 2; ++j)
            for (std::uint32_t left = reached[j]; left != 0; left &= left - 1) {
                const unsigned i = static_cast<unsigned>(__builtin_ctz(left));
                positions[found] = static_cast<std::uint32_t>(block * kNibbleRows + 2 * i + j);
                sums[found++] = lines[j][i];
            }
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
