// Hamming distance of bit strings stored in bytes.
//
// Accumulator: unsigned 64-bit counts in a row, added to an int32 total per row.
// Overflow:    none below 2^31 bits over all shells; kukla.kernels.checks admits 4,096 shells of 65,536 bits, 2^28.
// Tolerance:   exact.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace kukla {

// Eight bytes at a time with `Ops::popcount`; short last words are filled with zeros.
template <class Ops>
inline std::uint64_t hamming_words(const std::uint8_t* row, const std::uint8_t* query, std::size_t bytes) {
    std::uint64_t count = 0;
    std::size_t i = 0;
    for (; i + 8 <= bytes; i += 8) {
        std::uint64_t a, b;
        std::memcpy(&a, row + i, 8);
        std::memcpy(&b, query + i, 8);
        count += Ops::popcount(a ^ b);
    }
    if (i < bytes) {
        std::uint64_t a = 0, b = 0;
        std::memcpy(&a, row + i, bytes - i);
        std::memcpy(&b, query + i, bytes - i);
        count += Ops::popcount(a ^ b);
    }
    return count;
}

template <class Ops, std::size_t Bytes>
inline void hamming_fixed(const std::uint8_t* rows, std::size_t n, const std::uint8_t* query, std::int32_t* totals) {
    for (std::size_t i = 0; i < n; ++i)
        totals[i] += static_cast<std::int32_t>(Ops::hamming(rows + i * Bytes, query, Bytes));
}

// Rows of one word, without a loop: shells of 8, 16 and 32 dims.
template <class Ops, class Word>
inline void hamming_word(const std::uint8_t* rows, std::size_t n, const std::uint8_t* query, std::int32_t* totals) {
    Word probe;
    std::memcpy(&probe, query, sizeof probe);
    for (std::size_t i = 0; i < n; ++i) {
        Word word;
        std::memcpy(&word, rows + i * sizeof word, sizeof word);
        totals[i] += static_cast<std::int32_t>(Ops::popcount(std::uint64_t{static_cast<Word>(word ^ probe)}));
    }
}

// Shells of 8 to 512 dims get loops of constant length; they are what first stages read.
template <class Ops>
void hamming_block(const std::uint8_t* rows, std::size_t n, std::size_t bytes, const std::uint8_t* query,
                   std::int32_t* totals) {
    switch (bytes) {
        case 1: return hamming_word<Ops, std::uint8_t>(rows, n, query, totals);
        case 2: return hamming_word<Ops, std::uint16_t>(rows, n, query, totals);
        case 4: return hamming_word<Ops, std::uint32_t>(rows, n, query, totals);
        case 8: return hamming_fixed<Ops, 8>(rows, n, query, totals);
        case 16: return hamming_fixed<Ops, 16>(rows, n, query, totals);
        case 32: return hamming_fixed<Ops, 32>(rows, n, query, totals);
        case 64: return hamming_fixed<Ops, 64>(rows, n, query, totals);
        default:
            for (std::size_t i = 0; i < n; ++i)
                totals[i] += static_cast<std::int32_t>(Ops::hamming(rows + i * bytes, query, bytes));
    }
}

}  // namespace kukla
