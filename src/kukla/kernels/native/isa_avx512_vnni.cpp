// Narrow bounds for AVX-512 with VNNI (Cascade Lake, Zen 4 and later), which has a check of its own.
#if defined(__x86_64__)
#include <immintrin.h>

#include "isa.hpp"
#include "narrow.hpp"

namespace kukla {
namespace {

// The instruction takes unsigned codes of rows: 128 is added to each.
struct Narrow {
    static constexpr std::size_t kStep = 32;
    static constexpr std::int32_t kOffset = 128;
    __m256i lanes;

    explicit Narrow(std::int32_t start) : lanes(_mm256_setr_epi32(start, 0, 0, 0, 0, 0, 0, 0)) {}

    void add(const std::int8_t* row, const std::int8_t* query) {
        const __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row));
        const __m256i probe = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(query));
        lanes = _mm256_dpbusd_epi32(lanes, _mm256_xor_si256(codes, _mm256_set1_epi8(-128)), probe);
    }
    std::int32_t sum() const {
        const __m128i half = _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
        const __m128i pair = _mm_add_epi32(half, _mm_unpackhi_epi64(half, half));
        return _mm_cvtsi128_si32(pair) + _mm_extract_epi32(pair, 1);
    }
    static void sum8(const Narrow l[8], std::int32_t* sums) {
        const __m256i low = four(l[0], l[1], l[2], l[3]), high = four(l[4], l[5], l[6], l[7]);
        _mm256_storeu_si256(
            reinterpret_cast<__m256i*>(sums),
            _mm256_add_epi32(_mm256_permute2x128_si256(low, high, 0x20), _mm256_permute2x128_si256(low, high, 0x31)));
    }

private:
    static __m256i four(const Narrow& a, const Narrow& b, const Narrow& c, const Narrow& d) {
        return _mm256_hadd_epi32(_mm256_hadd_epi32(a.lanes, b.lanes), _mm256_hadd_epi32(c.lanes, d.lanes));
    }
};

}  // namespace

void add_narrow_vnni(const NarrowShell& shell, const std::uint32_t* at, std::size_t n, std::size_t known,
                     float* totals) {
    add_narrow_block<Narrow>(shell, at, n, known, totals);
}

}  // namespace kukla
#endif
