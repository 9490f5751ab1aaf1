// Which rows can still reach a threshold: all of them are bounded by their first shells, those that might reach it by
// more shells, and so on. Each byte is read once, and only for rows that the bytes before it did not rule out.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "parallel.hpp"
#include "scan.hpp"
#include "scorers.hpp"

namespace kukla {

// After `shells` shells a row is at most its sum so far plus query_tails * sqrt(1 - norms^2); norms may be null: no
// tail is left.
struct Checkpoint {
    std::size_t shells;
    const float* norms;
    const double* query_tails;  // of each query
};

class ReachScorer {
public:
    ReachScorer(const Isa& isa, const double* query_scales, const double* margins, std::size_t shells)
        : isa_(isa), query_scales_(query_scales), margins_(margins), stride_(shells) {}

    void add(const std::int8_t* rows, const float* scales, const std::int16_t* queries, std::size_t nq,
             std::size_t width) {
        shells_.add(rows, scales, queries, nq, width);
    }

    // Adds shell s of rows [first, first + n) to totals[0..n).
    void add_shell(std::size_t q, std::size_t s, std::size_t first, std::size_t n, double* totals,
                   std::int64_t* dots) const {
        shells_.dots(isa_, q, s, first, n, dots);
        isa_.add_bounded(dots, shells_.scales(s, first), query_scales_[q * stride_ + s], margins_[q * stride_ + s], n,
                         totals);
    }

    void bound(std::size_t q, const Checkpoint& at, std::size_t first, std::size_t n, const double* totals,
               double* bounds) const {
        if (at.norms == nullptr)
            std::copy(totals, totals + n, bounds);
        else
            isa_.add_tail(totals, at.norms + first, at.query_tails[q], n, bounds);
    }

    void prefetch(std::size_t row, std::size_t from, std::size_t to) const { shells_.prefetch(row, from, to); }
    std::size_t bytes_per_row(std::size_t shells) const { return shells_.bytes_per_row(shells); }

private:
    const Isa& isa_;
    const double* query_scales_;
    const double* margins_;
    std::size_t stride_;
    Int8Shells shells_;
};

// Rows of a block that were not ruled out, as stretches [first, last) without gaps.
struct Stretch {
    std::size_t first, last;
};

// One thread's memory for a block that begins at row `base`.
struct ReachScratch {
    explicit ReachScratch(std::size_t rows) : totals(rows), bounds(rows), dots(rows) {}
    std::vector<double> totals, bounds;
    std::vector<std::int64_t> dots;
    std::vector<Stretch> alive, next;
};

// The rows of one block that reach the threshold of query q, appended to `found`. `scored[c]` counts rows whose shells
// up to checkpoint c were read; the checkpoints before `start` are passed without a look.
inline void reach_block(const ReachScorer& scorer, const std::vector<Checkpoint>& checkpoints, std::size_t q,
                        double threshold, std::size_t start, std::size_t base, ReachScratch& memory,
                        std::vector<std::int64_t>& found, std::vector<std::int64_t>& scored) {
    constexpr std::size_t ahead = 4;
    for (const Stretch& s : memory.alive)
        std::fill(memory.totals.data() + (s.first - base), memory.totals.data() + (s.last - base), 0.0);
    std::size_t shell = 0;
    for (std::size_t c = 0; c < checkpoints.size() && !memory.alive.empty(); ++c) {
        const Checkpoint& at = checkpoints[c];
        memory.next.clear();
        for (std::size_t i = 0; i < memory.alive.size(); ++i) {
            if (shell > 0 && i + ahead < memory.alive.size())
                scorer.prefetch(memory.alive[i + ahead].first, shell, at.shells);
            const auto [first, last] = memory.alive[i];
            double* totals = memory.totals.data() + (first - base);
            for (std::size_t s = shell; s < at.shells; ++s)
                scorer.add_shell(q, s, first, last - first, totals, memory.dots.data());
            scored[c] += static_cast<std::int64_t>(last - first);
            if (c < start) {
                memory.next.push_back({first, last});
                continue;
            }
            scorer.bound(q, at, first, last - first, totals, memory.bounds.data());
            for (std::size_t row = first; row < last; ++row) {
                if (memory.bounds[row - first] < threshold) continue;  // NaN stays
                if (!memory.next.empty() && memory.next.back().last == row)
                    memory.next.back().last = row + 1;
                else
                    memory.next.push_back({row, row + 1});
            }
        }
        shell = at.shells;
        memory.alive.swap(memory.next);
    }
    for (const Stretch& s : memory.alive)
        for (std::size_t row = s.first; row < s.last; ++row) found.push_back(static_cast<std::int64_t>(row));
}

struct Reached {
    std::vector<std::vector<std::int64_t>> rows;  // of each query, ascending
    std::vector<std::int64_t> scored;             // at each checkpoint, summed over queries
};

// Rows of n that may reach the threshold of each query. `starts` are the first checkpoints worth a look.
inline Reached reach(const ReachScorer& scorer, const std::vector<Checkpoint>& checkpoints, std::size_t n,
                     std::size_t nq, const double* thresholds, const std::int64_t* starts, const std::uint8_t* mask,
                     std::size_t threads) {
    Reached result{std::vector<std::vector<std::int64_t>>(nq), std::vector<std::int64_t>(checkpoints.size(), 0)};
    const std::size_t row_bytes = scorer.bytes_per_row(checkpoints.front().shells);
    const std::size_t block = std::clamp<std::size_t>(kBlockBytes / row_bytes, 16, kBlockRows);
    for (std::size_t tile = 0; tile < nq; tile += kQueryTile) {
        const std::size_t queries = std::min(kQueryTile, nq - tile);
        const std::size_t parts =
            parts_for(threads, n, static_cast<double>(n) * static_cast<double>(row_bytes * queries));
        std::vector<std::vector<std::vector<std::int64_t>>> found(parts);
        std::vector<std::vector<std::int64_t>> scored(parts);
        parallel(parts, [&](std::size_t part) {
            const std::size_t begin = n / parts * part + std::min(part, n % parts);
            const std::size_t end = begin + n / parts + (part < n % parts ? 1 : 0);
            std::vector<std::vector<std::int64_t>> mine(queries);
            std::vector<std::int64_t> counts(checkpoints.size(), 0);
            ReachScratch memory(block);
            for (std::size_t base = begin; base < end; base += block) {
                const std::size_t stop = std::min(end, base + block);
                for (std::size_t q = 0; q < queries; ++q) {
                    memory.alive.clear();
                    if (mask == nullptr) memory.alive.push_back({base, stop});
                    for (std::size_t row = base; mask != nullptr && row < stop; ++row) {
                        if (mask[row] == 0) continue;
                        if (!memory.alive.empty() && memory.alive.back().last == row)
                            memory.alive.back().last = row + 1;
                        else
                            memory.alive.push_back({row, row + 1});
                    }
                    reach_block(scorer, checkpoints, tile + q, thresholds[tile + q],
                                static_cast<std::size_t>(starts[tile + q]), base, memory, mine[q], counts);
                }
            }
            found[part] = std::move(mine);
            scored[part] = std::move(counts);
        });
        for (std::size_t part = 0; part < parts; ++part) {
            for (std::size_t q = 0; q < queries; ++q)
                result.rows[tile + q].insert(result.rows[tile + q].end(), found[part][q].begin(), found[part][q].end());
            for (std::size_t c = 0; c < checkpoints.size(); ++c) result.scored[c] += scored[part][c];
        }
    }
    return result;
}

}  // namespace kukla
