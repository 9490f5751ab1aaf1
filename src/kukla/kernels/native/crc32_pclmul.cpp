// CRC-32 (that of zlib) by carry-less multiplication, for x86-64 with PCLMULQDQ: several times as fast as zlib 1.2.
//
// V. Gopal, E. Ozturk and others, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", Intel 2009:
// four accumulators of 128 bits are folded over 64 bytes at a time, then into one, and reduced (Barrett) to 32 bits.
#if defined(__x86_64__)
#include <immintrin.h>

#include "isa.hpp"

namespace kukla {
namespace {

inline __m128i load(const std::uint8_t* data) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(data)); }

// x moved on by the distance of the constants, onto `next`.
inline __m128i fold(__m128i x, __m128i constants, __m128i next) {
    const __m128i low = _mm_clmulepi64_si128(x, constants, 0x00), high = _mm_clmulepi64_si128(x, constants, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

}  // namespace

std::uint32_t crc32_pclmul(const std::uint8_t* data, std::size_t size, std::uint32_t crc) {
    // Powers of x modulo the polynomial, bits reflected: for 512 bits, for 128 bits, for 64; the polynomial, its inverse.
    const __m128i by_512 = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);
    const __m128i by_128 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
    const __m128i by_64 = _mm_set_epi64x(0, 0x0163cd6124);
    const __m128i polynomial = _mm_set_epi64x(0x01f7011641, 0x01db710641);
    const __m128i low_halves = _mm_setr_epi32(~0, 0, ~0, 0);

    __m128i x[4];
    for (std::size_t i = 0; i < 4; ++i) x[i] = load(data + 16 * i);
    x[0] = _mm_xor_si128(x[0], _mm_cvtsi32_si128(static_cast<int>(~crc)));
    std::size_t at = 64;
    for (; at + 64 <= size; at += 64)
        for (std::size_t i = 0; i < 4; ++i) x[i] = fold(x[i], by_512, load(data + at + 16 * i));
    __m128i one = x[0];
    for (std::size_t i = 1; i < 4; ++i) one = fold(one, by_128, x[i]);
    for (; at < size; at += 16) one = fold(one, by_128, load(data + at));

    one = _mm_xor_si128(_mm_srli_si128(one, 8), _mm_clmulepi64_si128(one, by_128, 0x10));
    const __m128i rest = _mm_srli_si128(one, 4);
    one = _mm_xor_si128(_mm_clmulepi64_si128(_mm_and_si128(one, low_halves), by_64, 0x00), rest);
    __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(one, low_halves), polynomial, 0x10);
    quotient = _mm_clmulepi64_si128(_mm_and_si128(quotient, low_halves), polynomial, 0x00);
    return ~static_cast<std::uint32_t>(_mm_extract_epi32(_mm_xor_si128(one, quotient), 1));
}

}  // namespace kukla
#endif
