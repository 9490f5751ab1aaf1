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
};

}  // namespace kukla
#endif
