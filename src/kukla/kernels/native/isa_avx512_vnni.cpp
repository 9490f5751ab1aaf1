// Narrow bounds for AVX-512 with VNNI (Cascade Lake, Zen 4 and later), which has a check of its own.
#if defined(__x86_64__)
#include <immintrin.h>

#include "isa.hpp"
#include "narrow.hpp"
#include "narrow_x86.hpp"

namespace kukla {
namespace {

// The instruction takes unsigned codes of rows: 128 is added to each.
struct Narrow : NarrowLanes {
    static constexpr std::int32_t kOffset = 128;
    using NarrowLanes::NarrowLanes;

    void add(const std::int8_t* row, const std::int8_t* query) {
        const __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row));
        const __m256i probe = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(query));
        lanes = _mm256_dpbusd_epi32(lanes, _mm256_xor_si256(codes, _mm256_set1_epi8(-128)), probe);
    }
};

}  // namespace

void add_narrow_vnni(const NarrowShell& shell, const std::uint32_t* at, std::size_t n, std::size_t known,
                     float* totals) {
    add_narrow_block<Narrow>(shell, at, n, known, totals);
}

}  // namespace kukla
#endif
