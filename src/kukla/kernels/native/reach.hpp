// Which rows can still reach a threshold. A first pass bounds all rows by their first shells; those that might reach it
// are bounded by more shells, and so on. Each byte is read once, and only for rows that the bytes before it did not
// rule out.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "nibbles.hpp"
#include "parallel.hpp"
#include "scan.hpp"
#include "scorers.hpp"
#include "top_k.hpp"

namespace kukla {

// After `shells` shells a row is at most its sum so far plus query_tails * sqrt(1 - norms^2); norms may be null: no
// tail is left. It stays open where that is at least the threshold.
struct Checkpoint {
    std::size_t shells;
    const float* norms;
    const float* query_tails;  // of each query
    const float* thresholds;   // of each query
};

class BoundScorer {
public:
    BoundScorer(const Isa& isa, const float* query_scales, const float* margins, std::size_t shells)
        : isa_(isa), query_scales_(query_scales), margins_(margins), stride_(shells) {}

    void add(const std::int8_t* rows, const float* scales, const std::int8_t* queries, std::size_t nq,
             std::size_t width) {
        std::vector<std::int32_t> sums(nq);
        for (std::size_t q = 0; q < nq; ++q)
            sums[q] = std::accumulate(queries + q * width, queries + (q + 1) * width, std::int32_t{0});
        shells_.push_back({rows, scales, {queries, nq, width, width}, std::move(sums), width});
    }

    // Adds all shells of rows [first, first + n) to totals. A few rows of each shell in turn: the hardware then reads
    // them all ahead.
    void add_all(std::size_t q, std::size_t first, std::size_t n, float* totals) const {
        constexpr std::size_t few = 64;
        for (std::size_t i = 0; i < n; i += few)
            for (std::size_t s = 0; s < shells_.size(); ++s)
                isa_.add_narrow(shell(q, s, first + i), nullptr, std::min(few, n - i), 0, totals + i);
    }

    // Adds them of n rows first + at[i], ascending. Where these are close together, memory is faster with the rows
    // between them than without. `all` has room for kCloseRows * kRun.
    void add_shells_at(std::size_t q, std::size_t from, std::size_t to, std::size_t first, const std::uint32_t* at,
                       std::size_t n, float* totals, float* all) const {
        for (std::size_t s = from; s < to; ++s) {
            const std::size_t gap = shells_[s].width <= kShortRow ? kCloseRows : kCloseLongRows;
            for (std::size_t i = 0; i < n; i += kRun) {
                const std::size_t some = std::min(kRun, n - i), rows = at[i + some - 1] - at[i] + 1;
                if (rows > gap * some) {
                    isa_.add_narrow(shell(q, s, first), at + i, some, n - i, totals + i);
                    continue;
                }
                std::fill(all, all + rows, 0.0F);
                isa_.add_narrow(shell(q, s, first + at[i]), nullptr, rows, 0, all);
                for (std::size_t j = i; j < i + some; ++j) totals[j] += all[at[j] - at[i]];
            }
        }
    }

    static constexpr std::size_t kRun = 256;
    static constexpr std::size_t kShortRow = 128, kCloseRows = 3, kCloseLongRows = 2;

    // Of the first `shells` shells.
    std::size_t bytes_per_row(std::size_t shells) const {
        std::size_t bytes = 1;
        for (std::size_t s = 0; s < shells; ++s) bytes += shells_[s].width + sizeof(float);
        return bytes;
    }

    std::size_t size() const { return shells_.size(); }
    const Isa& isa() const { return isa_; }

private:
    struct Shell {
        const std::int8_t* rows;
        const float* scales;
        PaddedQueries<std::int8_t> queries;
        std::vector<std::int32_t> sums;
        std::size_t width;
    };

    NarrowShell shell(std::size_t q, std::size_t s, std::size_t first) const {
        const Shell& shell = shells_[s];
        const std::size_t at = q * stride_ + s;
        return {shell.rows + first * shell.width, shell.scales + first, shell.width, shell.queries[q], shell.sums[q],
                query_scales_[at],                margins_[at]};
    }

    const Isa& isa_;
    const float* query_scales_;
    const float* margins_;
    std::size_t stride_;
    std::vector<Shell> shells_;
};

// A part of n rows for each thread.
inline std::pair<std::size_t, std::size_t> part_of(std::size_t n, std::size_t parts, std::size_t part) {
    const std::size_t begin = n / parts * part + std::min(part, n % parts);
    return {begin, begin + n / parts + (part < n % parts ? 1 : 0)};
}

// Bounds of all rows after all shells of the scorer, tails left out: totals (nq, n), and for each query the `keep` rows
// with the largest of them, divided by norms where there are some. Needs keep <= number of allowed rows; rows that are
// not allowed may be left out of totals.
inline void bound_all(const BoundScorer& scorer, const float* norms, std::size_t n, std::size_t nq, std::size_t keep,
                      const std::uint8_t* mask, std::size_t threads, float* totals, std::int64_t* out_rows,
                      float* out_values) {
    const Isa& isa = scorer.isa();
    const std::size_t row_bytes = scorer.bytes_per_row(scorer.size());
    const std::size_t block = std::clamp<std::size_t>(kBlockBytes / row_bytes, 16, kBlockRows);
    const std::size_t gap = bridged_rows(row_bytes);
    for (std::size_t tile = 0; tile < nq; tile += kQueryTile) {
        const std::size_t queries = std::min(kQueryTile, nq - tile);
        const std::size_t parts =
            parts_for(threads, n, static_cast<double>(n) * static_cast<double>(row_bytes * queries));
        std::vector<std::vector<Best>> best(parts);
        parallel(parts, [&](std::size_t part) {
            const auto [begin, end] = part_of(n, parts, part);
            std::vector<Best> mine(keep == 0 ? 0 : queries, Best(std::max<std::size_t>(keep, 1), end - begin));
            std::vector<float> values(block);
            std::vector<std::uint32_t> places(block + kAtLeastRoom);
            std::size_t first = begin, last = begin;
            while (next_stretch(mask, end, block, gap, first, last)) {
                const std::size_t rows = last - first;
                for (std::size_t q = 0; q < queries; ++q) {
                    float* sums = totals + (tile + q) * n + first;
                    std::fill(sums, sums + rows, 0.0F);
                    scorer.add_all(tile + q, first, rows, sums);
                    if (keep == 0) continue;
                    const float* ranked = sums;
                    if (norms != nullptr) {
                        isa.divide(sums, norms + first, rows, values.data());
                        ranked = values.data();
                    }
                    const std::uint8_t* allowed = mask == nullptr ? nullptr : mask + first;
                    float worst;
                    value_of(mine[q].worst(), worst);
                    if (worst != worst) {  // not full yet, or of no numbers
                        mine[q].offer(ranked, first, rows, allowed);
                        continue;
                    }
                    const std::size_t count = isa.at_least(ranked, rows, worst, places.data());
                    for (std::size_t i = 0; i < count; ++i)
                        mine[q].offer(ranked + places[i], first + places[i], 1,
                                      allowed == nullptr ? nullptr : allowed + places[i]);
                }
            }
            best[part] = std::move(mine);
        });
        for (std::size_t q = 0; keep != 0 && q < queries; ++q) {
            for (std::size_t other = 1; other < parts; ++other) best[0][q].append(best[other][q]);
            std::size_t at = (tile + q) * keep;
            for (const std::uint64_t key : best[0][q].finish()) {
                out_rows[at] = static_cast<std::int64_t>(key & 0xFFFFFFFFU);
                value_of(static_cast<std::uint32_t>(key >> 32), out_values[at++]);
            }
        }
    }
}

constexpr std::size_t kReachRows = 1 << 15;  // of a block: their sums stay in a core's L2 cache

// One thread's memory for a block.
struct ReachScratch {
    ReachScratch()
        : open(kReachRows),
          places(kReachRows + kAtLeastRoom),
          totals(kReachRows),
          bounds(kReachRows),
          all(BoundScorer::kCloseRows * BoundScorer::kRun) {}
    std::vector<std::uint32_t> open, places;
    std::vector<float> totals, bounds, all;
};

// The rows of one block that reach the thresholds of query q, appended to `found`. `scored[c]` counts rows whose shells
// up to checkpoint c were read; `totals` are their sums at the first.
inline void reach_block(const BoundScorer& scorer, const std::vector<Checkpoint>& checkpoints, std::size_t q,
                        std::size_t base, std::size_t rows, const float* totals, const std::uint8_t* mask,
                        ReachScratch& memory, std::vector<std::int64_t>& found, std::vector<std::int64_t>& scored) {
    const Isa& isa = scorer.isa();
    float* bounds = memory.bounds.data();
    std::uint32_t* open = memory.open.data();
    const auto norms_at = [&](const Checkpoint& c) { return c.norms == nullptr ? nullptr : c.norms + base; };
    const Checkpoint& start = checkpoints.front();
    isa.narrow_bounds(totals, norms_at(start), nullptr, start.query_tails[q], rows, bounds);
    std::size_t count = isa.at_least(bounds, rows, start.thresholds[q], memory.places.data());
    std::copy_n(memory.places.data(), count, open);
    std::int64_t allowed = static_cast<std::int64_t>(rows);
    if (mask != nullptr) {
        count = static_cast<std::size_t>(
            std::remove_if(open, open + count, [&](std::uint32_t i) { return mask[base + i] == 0; }) - open);
        allowed -= std::count(mask + base, mask + base + rows, std::uint8_t{0});
    }
    scored[0] += allowed;
    for (std::size_t i = 0; i < count; ++i) memory.totals[i] = totals[open[i]];
    for (std::size_t c = 1; c < checkpoints.size() && count != 0; ++c) {
        const Checkpoint& at = checkpoints[c];
        scorer.add_shells_at(q, checkpoints[c - 1].shells, at.shells, base, open, count, memory.totals.data(),
                             memory.all.data());
        isa.narrow_bounds(memory.totals.data(), norms_at(at), open, at.query_tails[q], count, bounds);
        scored[c] += static_cast<std::int64_t>(count);
        count = isa.at_least(bounds, count, at.thresholds[q], memory.places.data());
        for (std::size_t i = 0; i < count; ++i) {
            open[i] = open[memory.places[i]];
            memory.totals[i] = memory.totals[memory.places[i]];
        }
    }
    for (std::size_t i = 0; i < count; ++i) found.push_back(static_cast<std::int64_t>(base + open[i]));
}

struct Reached {
    std::vector<std::vector<std::int64_t>> rows;  // of each query, ascending
    std::vector<std::int64_t> scored;             // at each checkpoint, summed over queries
};

// Rows of n that may reach the thresholds of each query; `totals` (nq, n) are bound_all's of the first checkpoint.
inline Reached reach(const BoundScorer& scorer, const std::vector<Checkpoint>& checkpoints, std::size_t n,
                     std::size_t nq, const float* totals, const std::uint8_t* mask, std::size_t threads) {
    Reached result{std::vector<std::vector<std::int64_t>>(nq), std::vector<std::int64_t>(checkpoints.size(), 0)};
    const std::size_t parts = parts_for(
        threads, n, static_cast<double>(n) * static_cast<double>(nq * scorer.bytes_per_row(checkpoints[0].shells)));
    std::vector<std::vector<std::vector<std::int64_t>>> found(parts);
    std::vector<std::vector<std::int64_t>> scored(parts);
    parallel(parts, [&](std::size_t part) {
        const auto [begin, end] = part_of(n, parts, part);
        std::vector<std::vector<std::int64_t>> mine(nq);
        std::vector<std::int64_t> counts(checkpoints.size(), 0);
        ReachScratch memory;
        for (std::size_t base = begin; base < end; base += kReachRows)
            for (std::size_t q = 0; q < nq; ++q)
                reach_block(scorer, checkpoints, q, base, std::min(kReachRows, end - base), totals + q * n + base, mask,
                            memory, mine[q], counts);
        found[part] = std::move(mine);
        scored[part] = std::move(counts);
    });
    for (std::size_t part = 0; part < parts; ++part) {
        for (std::size_t q = 0; q < nq; ++q)
            result.rows[q].insert(result.rows[q].end(), found[part][q].begin(), found[part][q].end());
        for (std::size_t c = 0; c < checkpoints.size(); ++c) result.scored[c] += scored[part][c];
    }
    return result;
}

}  // namespace kukla
