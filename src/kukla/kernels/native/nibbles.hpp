// Four-bit codes of residuals (product quantisation with sixteen codewords a group): scanned by table look-ups inside
// registers (André, Kermarrec and Le Scouarnec, "Cache locality is not enough: high-performance nearest neighbor search
// with product quantization fast scan", VLDB 2015), and made.
//
// Layout:      blocks of 32 rows. A block has a line of 32 bytes for each pair of groups: byte v holds row v's code of
//              the first group in its low half, of the second in its high half. There is an even number of pairs.
//              Then come kBlockTail bytes of other things about the rows.
// Tables:      for each two pairs 128 bytes: of the low groups of both, then of the high groups of both, each table of
//              sixteen bytes twice, so that vectors of 16, 32 and 64 bytes find what they need in one piece. Entries
//              are at most kMostEntry, so that two of them add up in a byte.
// Accumulator: uint16 per row. At most kMostGroups groups of at most kMostEntry each: no overflow.
// Tolerance:   exact.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace kukla {

constexpr std::size_t kNibbleRows = 32;
constexpr std::size_t kBlockTail = 6 * kNibbleRows;
constexpr std::size_t kCodewords = 16;
constexpr std::size_t kMostGroups = 256;
constexpr int kMostEntry = 127;

template <class Ops>
std::size_t nibble_hits_block(const std::uint8_t* codes, std::size_t blocks, std::size_t pairs,
                              const std::uint8_t* tables, std::uint16_t least, const std::uint8_t*,
                              std::uint32_t* positions, std::uint16_t* sums) {
    std::size_t found = 0;
    for (std::size_t block = 0; block < blocks; ++block) {
        std::uint16_t line[kNibbleRows] = {};
        for (std::size_t p = 0; p < pairs; ++p, codes += kNibbleRows) {
            const std::uint8_t *low = tables + p / 2 * 128 + p % 2 * 32, *high = low + 64;
            for (std::size_t v = 0; v < kNibbleRows; ++v)
                line[v] = static_cast<std::uint16_t>(line[v] + low[codes[v] & 15] + high[codes[v] >> 4]);
        }
        codes += kBlockTail;
        for (std::size_t v = 0; v < kNibbleRows; ++v)
            if (line[v] >= least) {
                positions[found] = static_cast<std::uint32_t>(block * kNibbleRows + v);
                sums[found++] = line[v];
            }
    }
    return found;
}

// Sixteen floats, for which the compiler finds the registers there are.
using Sixteen = float __attribute__((vector_size(64)));

template <class Ops>
void nibble_tables_block(const float* query, const std::uint64_t* ends, std::size_t groups, const float* books,
                         float* tables) {
    std::size_t d = 0;
    for (std::size_t g = 0; g < groups; ++g) {
        Sixteen table = {}, book;
        for (; d < ends[g]; ++d) {
            std::memcpy(&book, books + d * kCodewords, sizeof book);
            table += query[d] * book;
        }
        std::memcpy(tables + g * kCodewords, &table, sizeof table);
    }
}

// The nearest codeword of each group: the one with the largest sum of values[d] * books[d][c], less halves[g][c]; of
// equals the first. Sums are float32, dim after dim: the same to the bit on every machine.
template <class Ops>
void nibble_codes_block(const float* values, std::size_t n, std::size_t stride, const std::uint64_t* ends,
                        std::size_t groups, const float* books, const float* halves, std::uint8_t* codes) {
    for (std::size_t i = 0; i < n; ++i) {
        const float* row = values + i * stride;
        std::size_t d = 0;
        std::uint8_t low = 0;
        for (std::size_t g = 0; g < groups; ++g) {
            Sixteen scores = {}, book;
            for (; d < ends[g]; ++d) {
                std::memcpy(&book, books + d * kCodewords, sizeof book);
                scores += row[d] * book;
            }
            std::memcpy(&book, halves + g * kCodewords, sizeof book);
            scores -= book;
            std::uint8_t best = 0;
            float most = scores[0];
            for (std::uint8_t c = 1; c < kCodewords; ++c) {
                const bool more = scores[c] > most;
                best = more ? c : best;
                most = more ? scores[c] : most;
            }
            if (g % 2 == 0)
                low = best;
            else
                codes[(i * groups + g) / 2] = static_cast<std::uint8_t>(low | best << 4);
        }
    }
}

}  // namespace kukla
