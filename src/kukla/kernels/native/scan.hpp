// The two shapes of search work: scan all rows for the best few, and score given rows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "parallel.hpp"
#include "scorers.hpp"
#include "top_k.hpp"

namespace kukla {

constexpr std::size_t kQueryTile = 64;           // queries that share one reading of the rows
constexpr std::size_t kBlockBytes = 256 * 1024;  // of rows; stays in a core's L2 cache while a tile of queries uses it
constexpr std::size_t kBlockRows = 2048;

// Forbidden rows that are scored with their neighbours: so many bytes are read sooner than skipped.
inline std::size_t bridged_rows(std::size_t row_bytes) {
    constexpr std::size_t bytes = 2048;
    return std::clamp<std::size_t>(bytes / row_bytes, 1, 16);
}

// Moves [first, last) to the next stretch of at most `longest` rows worth scoring: it begins with an allowed row and
// ends before `gap` forbidden ones in a row, so that a sparse mask saves most of the work. False at the end.
inline bool next_stretch(const std::uint8_t* mask, std::size_t end, std::size_t longest, std::size_t gap,
                         std::size_t& first, std::size_t& last) {
    first = last;
    if (mask != nullptr)
        while (first < end && mask[first] == 0) ++first;
    if (first == end) return false;
    const std::size_t stop = std::min(end, first + longest);
    last = mask == nullptr ? stop : first + 1;
    for (std::size_t row = last; row < stop && row - last < gap; ++row)
        if (mask[row] != 0) last = row + 1;
    return true;
}

// The best `keep` of n rows for each query, into arrays (nq, keep). Needs keep <= number of allowed rows.
template <class Scorer>
void scan(const Scorer& scorer, std::size_t n, std::size_t nq, std::size_t keep, const std::uint8_t* mask,
          std::size_t threads, std::int64_t* out_rows, typename Scorer::Value* out_values) {
    if (keep == 0) return;
    const std::size_t row_bytes = scorer.bytes_per_row();
    const std::size_t block = std::clamp<std::size_t>(kBlockBytes / row_bytes, 16, kBlockRows);
    const std::size_t gap = bridged_rows(row_bytes);
    for (std::size_t tile = 0; tile < nq; tile += kQueryTile) {
        const std::size_t queries = std::min(kQueryTile, nq - tile);
        const std::size_t parts =
            parts_for(threads, n, static_cast<double>(n) * static_cast<double>(row_bytes * queries));
        std::vector<std::vector<Best>> best(parts);
        parallel(parts, [&](std::size_t part) {
            const std::size_t begin = n / parts * part + std::min(part, n % parts);
            const std::size_t end = begin + n / parts + (part < n % parts ? 1 : 0);
            std::vector<Best> mine(queries, Best(keep, end - begin));
            std::vector<typename Scorer::Value> values(block);
            Scratch scratch(block);
            std::size_t next = begin, after = begin;
            bool more = next_stretch(mask, end, block, gap, next, after);
            while (more) {
                const std::size_t first = next, last = after;
                more = next_stretch(mask, end, block, gap, next, after);
                if (more && mask != nullptr) scorer.prefetch(next);  // no pattern that the hardware could see
                for (std::size_t q = 0; q < queries; ++q) {
                    scorer(tile + q, first, last - first, values.data(), scratch);
                    mine[q].offer(values.data(), first, last - first, mask == nullptr ? nullptr : mask + first);
                }
            }
            best[part] = std::move(mine);
        });
        parallel(std::min(parts, queries), [&](std::size_t part) {
            for (std::size_t q = part; q < queries; q += std::min(parts, queries)) {
                for (std::size_t other = 1; other < parts; ++other) best[0][q].append(best[other][q]);
                std::size_t at = (tile + q) * keep;
                for (const std::uint64_t key : best[0][q].finish()) {
                    out_rows[at] = static_cast<std::int64_t>(key & 0xFFFFFFFFU);
                    value_of(static_cast<std::uint32_t>(key >> 32), out_values[at++]);
                }
            }
        });
    }
}

// The values of given rows, arrays (nq, m). Needs every row to be in range.
template <class Scorer>
void score(const Scorer& scorer, const std::int64_t* rows, std::size_t nq, std::size_t m, std::size_t threads,
           typename Scorer::Value* out) {
    constexpr std::size_t ahead = 4;
    const std::size_t pairs = nq * m;
    const std::size_t parts =
        parts_for(threads, pairs, static_cast<double>(pairs) * static_cast<double>(scorer.bytes_per_row()));
    parallel(parts, [&](std::size_t part) {
        const std::size_t begin = pairs / parts * part + std::min(part, pairs % parts);
        const std::size_t end = begin + pairs / parts + (part < pairs % parts ? 1 : 0);
        Scratch scratch(1);
        for (std::size_t i = begin; i < end; ++i) {
            if (i + ahead < end) scorer.prefetch(static_cast<std::size_t>(rows[i + ahead]));
            scorer(i / m, static_cast<std::size_t>(rows[i]), 1, out + i, scratch);
        }
    });
}

}  // namespace kukla
