// The Hamming kernel for AVX-512 with VPOPCNTDQ (Ice Lake, Zen 4 and later), which has a check of its own.
#if defined(__x86_64__)
#include <immintrin.h>

#include "hamming.hpp"
#include "isa.hpp"

namespace kukla {
namespace {

struct Ops {
    static std::uint64_t popcount(std::uint64_t x) { return static_cast<std::uint64_t>(__builtin_popcountll(x)); }

    static std::uint64_t hamming(const std::uint8_t* row, const std::uint8_t* query, std::size_t bytes) {
        if (bytes <= 32) return hamming_words<Ops>(row, query, bytes);  // adding up a vector costs more than four words
        __m512i counts = _mm512_setzero_si512();
        std::size_t i = 0;
        for (; i + 64 <= bytes; i += 64)
            counts = _mm512_add_epi64(counts, count(_mm512_loadu_si512(row + i), _mm512_loadu_si512(query + i)));
        if (i < bytes) {
            const __mmask64 rest = ~__mmask64{0} >> (64 - (bytes - i));
            counts = _mm512_add_epi64(
                counts, count(_mm512_maskz_loadu_epi8(rest, row + i), _mm512_maskz_loadu_epi8(rest, query + i)));
        }
        return static_cast<std::uint64_t>(_mm512_reduce_add_epi64(counts));
    }

private:
    static __m512i count(__m512i a, __m512i b) { return _mm512_popcnt_epi64(_mm512_xor_si512(a, b)); }
};

}  // namespace

void hamming_vpopcntdq(const std::uint8_t* rows, std::size_t n, std::size_t bytes, const std::uint8_t* query,
                       std::int32_t* totals) {
    hamming_block<Ops>(rows, n, bytes, query, totals);
}

}  // namespace kukla
#endif
