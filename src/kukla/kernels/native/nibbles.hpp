// Four-bit codes of residuals (product quantisation with sixteen codewords a group): scanned by table look-ups inside
// registers (André, Kermarrec and Le Scouarnec, "Cache locality is not enough: high-performance nearest neighbor search
// with product quantization fast scan", VLDB 2015), and made.
//
// Short codes:  in blocks of 32 rows, or of 32 means of such blocks. A block has a line of 32 bytes for each pair of groups: byte v holds row v's code of
//               the first group in its low half, of the second in its high half. There is an even number of pairs. The
//               line after them holds the stretches of the rows.
// Long codes:   a record a row: a byte for each pair of groups, then kRecordTail bytes: the stretch, and zero. Records are
//               turned into lines, 32 at a time.
// Tables:       for each two pairs 128 bytes: of the low groups of both, then of the high groups of both, each table of
//               sixteen bytes twice, so that vectors of 16, 32 and 64 bytes find what they need in one piece. Those
//               of a pair of groups add up to at most 255.
// Accumulator:  uint16 per row. At most kMostGroups groups of at most kMostEntry each: no overflow.
// Tolerance:    exact; scores are float32, in one order of operations, the same to the bit on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "prefetch.hpp"

namespace kukla {

constexpr std::size_t kNibbleRows = 32;
constexpr std::size_t kRecordTail = 2;
constexpr std::size_t kCodewords = 16;
constexpr std::size_t kMostGroups = 256;
constexpr int kMostPair = 254;  // and one, where both are rounded up

constexpr float kStretchStep = 1.0F / 64.0F;

// How an instruction set without one of its own sums the entries of the lines of a block.
struct PlainSums {
    static void of(const std::uint8_t* lines, std::size_t pairs, const std::uint8_t* tables, std::uint16_t* sums) {
        std::uint16_t line[kNibbleRows] = {};
        for (std::size_t p = 0; p < pairs; ++p, lines += kNibbleRows) {
            const std::uint8_t *low = tables + p / 2 * 128 + p % 2 * 32, *high = low + 64;
            for (std::size_t v = 0; v < kNibbleRows; ++v)
                line[v] = static_cast<std::uint16_t>(line[v] + low[lines[v] & 15] + high[lines[v] >> 4]);
        }
        std::memcpy(sums, line, sizeof line);
    }
};

// So many blocks ahead are asked for: their codes are there when they are scanned. Where their pages are is asked for
// earlier.
constexpr std::size_t kBlocksAhead = 16, kPagesAhead = 64;

// scores[v] = base + stretch * (offset + delta * sum) of the rows of blocks of short codes.
template <class Sums>
void nibble_scores_block(const std::uint8_t* const* blocks, const float* bases, std::size_t count, std::size_t pairs,
                         const std::uint8_t* tables, float offset, float delta, float* scores) {
    const std::size_t bytes = (pairs + 1) * kNibbleRows;
    for (std::size_t block = 0; block < count; ++block, scores += kNibbleRows) {
        if (block + kPagesAhead < count) prefetch_line(blocks[block + kPagesAhead]);
        if (block + kBlocksAhead < count)
            prefetch_bytes(blocks[block + kBlocksAhead], bytes);
        std::uint16_t sums[kNibbleRows];
        Sums::of(blocks[block], pairs, tables, sums);
        const std::uint8_t* stretches = blocks[block] + pairs * kNibbleRows;
        const float base = bases[block];
        for (std::size_t v = 0; v < kNibbleRows; ++v)
            scores[v] = base + (static_cast<float>(stretches[v]) * kStretchStep) *
                                   (offset + delta * static_cast<float>(sums[v]));
    }
}

// Eight columns of eight bytes.
using Eight = std::uint64_t __attribute__((vector_size(64)));

// How an instruction set without a way of its own turns bytes [from, from + here) of 32 records into lines.
template <class Ops>  // one of each instruction set
struct PlainLines {
    static constexpr std::size_t kPairs = 64;

    static void of(const std::uint8_t* const* records, std::size_t from, std::size_t here, std::uint8_t* lines) {
        for (std::size_t eight = 0; eight < kNibbleRows; eight += 8) {
            Eight rows[8];
            for (std::size_t v = 0; v < 8; ++v) {
                if (here == kPairs) {
                    std::memcpy(&rows[v], records[eight + v] + from, kPairs);
                } else {
                    rows[v] = Eight{};
                    std::memcpy(&rows[v], records[eight + v] + from, here);
                }
            }
            transpose(rows);
            for (std::size_t p = 0; p < here; ++p) {
                const std::uint64_t bytes = rows[p % 8][p / 8];
                std::memcpy(lines + p * kNibbleRows + eight, &bytes, 8);
            }
        }
    }

private:
    // In each of the eight columns.
    static void transpose(Eight* rows) {
        const auto swap = [](Eight& a, Eight& b, int bits, std::uint64_t mask) {
            const Eight t = ((a >> bits) ^ b) & mask;
            b ^= t;
            a ^= t << bits;
        };
        for (const int i : {0, 1, 2, 3}) swap(rows[i], rows[i + 4], 32, 0x00000000FFFFFFFFU);
        for (const int i : {0, 1, 4, 5}) swap(rows[i], rows[i + 2], 16, 0x0000FFFF0000FFFFU);
        for (const int i : {0, 2, 4, 6}) swap(rows[i], rows[i + 1], 8, 0x00FF00FF00FF00FFU);
    }
};

// Sums of 1 to 32 records; sums[v] of what is not there is anything.
template <class Sums, class Lines>
void nibble_record_sums_block(const std::uint8_t* const* records, std::size_t count, std::size_t pairs,
                              const std::uint8_t* tables, std::uint16_t* sums) {
    constexpr std::size_t most = (kMostGroups / 2 + Lines::kPairs - 1) / Lines::kPairs * Lines::kPairs;
    alignas(64) std::uint8_t lines[most * kNibbleRows];
    const std::uint8_t* all[kNibbleRows];
    for (std::size_t v = 0; v < kNibbleRows; ++v) all[v] = records[v < count ? v : 0];
    for (std::size_t from = 0; from < pairs; from += Lines::kPairs) {
        const std::size_t left = pairs - from;
        Lines::of(all, from, left < Lines::kPairs ? left : Lines::kPairs, lines + from * kNibbleRows);
    }
    Sums::of(lines, pairs, tables, sums);
}

// Where values are at least `least`; `out` has room for all of them and kAtLeastRoom more.
constexpr std::size_t kAtLeastRoom = 16;

template <class Ops>
std::size_t at_least_block(const float* values, std::size_t n, float least, std::uint32_t* out) {
    std::size_t found = 0;
    for (std::size_t i = 0; i < n; ++i) {
        out[found] = static_cast<std::uint32_t>(i);
        found += values[i] >= least;
    }
    return found;
}

// Sixteen floats, for which the compiler finds the registers there are.
using Sixteen = float __attribute__((vector_size(64)));

template <class Ops>
void nibble_tables_block(const float* query, const std::uint64_t* ends, std::size_t groups, const float* books,
                         float* tables, float* lows, float* widths) {
    std::size_t d = 0;
    for (std::size_t g = 0; g < groups; ++g) {
        Sixteen table = {}, book;
        for (; d < ends[g]; ++d) {
            std::memcpy(&book, books + d * kCodewords, sizeof book);
            table += query[d] * book;
        }
        std::memcpy(tables + g * kCodewords, &table, sizeof table);
        float low[kCodewords], high[kCodewords];
        std::memcpy(low, &table, sizeof table);
        std::memcpy(high, &table, sizeof table);
        for (std::size_t half = kCodewords / 2; half > 0; half /= 2)
            for (std::size_t c = 0; c < half; ++c) {
                low[c] = low[c + half] < low[c] ? low[c + half] : low[c];
                high[c] = high[c + half] > high[c] ? high[c + half] : high[c];
            }
        lows[g] = low[0];
        widths[g] = high[0] - low[0];
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
