// Narrow bounds in registers of 32 bytes: see narrow.hpp. For files compiled for AVX2 or more, each of which has its own:
// what is compiled for one instruction set must not be linked for all.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace kukla {
namespace {

struct NarrowLanes {
    static constexpr std::size_t kStep = 32;
    __m256i lanes;

    explicit NarrowLanes(std::int32_t start) : lanes(_mm256_setr_epi32(start, 0, 0, 0, 0, 0, 0, 0)) {}

    std::int32_t sum() const {
        const __m128i half = _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
        const __m128i pair = _mm_add_epi32(half, _mm_unpackhi_epi64(half, half));
        return _mm_cvtsi128_si32(pair) + _mm_extract_epi32(pair, 1);
    }
    template <class Narrow>
    static void sum8(const Narrow l[8], std::int32_t* sums) {
        const __m256i low = four(l[0], l[1], l[2], l[3]), high = four(l[4], l[5], l[6], l[7]);
        _mm256_storeu_si256(
            reinterpret_cast<__m256i*>(sums),
            _mm256_add_epi32(_mm256_permute2x128_si256(low, high, 0x20), _mm256_permute2x128_si256(low, high, 0x31)));
    }

private:
    static __m256i four(const NarrowLanes& a, const NarrowLanes& b, const NarrowLanes& c, const NarrowLanes& d) {
        return _mm256_hadd_epi32(_mm256_hadd_epi32(a.lanes, b.lanes), _mm256_hadd_epi32(c.lanes, d.lanes));
    }
};

// Without VNNI: magnitudes of a row's codes times the query's with their signs; two products fit in an int16 lane.
struct NarrowPairs : NarrowLanes {
    static constexpr std::int32_t kOffset = 0;
    using NarrowLanes::NarrowLanes;

    void add(const std::int8_t* row, const std::int8_t* query) {
        const __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row));
        const __m256i probe = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(query));
        const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(probe, codes));
        lanes = _mm256_add_epi32(lanes, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
};

}  // namespace
}  // namespace kukla
