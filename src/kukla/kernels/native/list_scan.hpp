// The first stage of a plan over partitioned lists: the rows of the lists nearest to each query, by their short codes; the
// best of these by their long codes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "candidates.hpp"
#include "lists.hpp"
#include "partition.hpp"
#include "short_scores.hpp"

namespace kukla {

// Scores rows of segments that have lists without codes: `score(query, segment, row)`.
template <class Score>
class ListScan {
public:
    struct Segment {
        std::size_t rows;
        ListsData lists;
        const std::uint8_t* mask;  // may be null
    };

    // `want`: so many allowed rows are looked at by each query at least, if there are so many: the next lists follow.
    ListScan(const Isa& isa, const PartitionData& partition, const Better& better, std::vector<Segment> segments,
             std::size_t probes, std::size_t keep, std::size_t want, const Score& score)
        : isa_(isa), partition_(partition), better_(better), segments_(std::move(segments)),
          probes_(std::min(probes, partition.lists)), keep_(keep), want_(want), score_(score) {
        ahead_ = distance();
    }

    // Appends to each query's candidates; returns how many rows were scored.
    std::int64_t run(const float* queries, std::size_t nq, std::size_t threads,
                     std::vector<std::vector<Candidate>>& found) const {
        if (keep_ == 0) return 0;
        // A single query is done before a second thread has started.
        const std::size_t parts = std::max<std::size_t>(1, std::min(threads, nq));
        std::vector<std::int64_t> scored(parts, 0);
        parallel(parts, [&](std::size_t part) {
            const std::size_t begin = nq / parts * part + std::min(part, nq % parts);
            const std::size_t end = begin + nq / parts + (part < nq % parts ? 1 : 0);
            for (std::size_t q = begin; q < end; ++q)
                scored[part] += ask(queries + q * partition_.dim, q, found[q]);
        });
        std::int64_t total = 0;
        for (const std::int64_t count : scored) total += count;
        return total;
    }

private:
    struct Asked {
        Asked(const ListScan& scan, const float* query, ShortScores::Room& room)
            : lists(scan.isa_, scan.partition_, query, scan.probes_),
              shorts(scan.isa_, scan.keep_ * scan.partition_.shortlist, room) {}
        ListQuery lists;
        ShortScores shorts;
        std::vector<Visit> visits;
        std::vector<Candidate> line;
        std::size_t seen = 0;
    };

    static ShortScores::Room& room() {
        static thread_local ShortScores::Room one;
        return one;
    }

    std::int64_t ask(const float* query, std::size_t number, std::vector<Candidate>& found) const {
        Asked one(*this, query, room());
        for (std::size_t i = 0; i < partition_.lists && (i < probes_ || one.seen < want_); ++i) {
            const ListQuery::Choice choice = one.lists[i];
            for (std::size_t s = 0; s < segments_.size(); ++s) {
                const Segment& segment = segments_[s];
                if (segment.lists.offsets == nullptr) continue;
                if (segment.lists.shorts == nullptr) {
                    one_by_one(one, number, s, choice.list);
                } else {
                    const std::size_t soon = i + ahead_ < probes_ ? one.lists[i + ahead_].list : choice.list;
                    by_short_codes(one, s, choice, blocks_of(segment, soon));
                }
            }
        }
        by_long_codes(one);
        better_.select(one.line, keep_, false);
        found.insert(found.end(), one.line.begin(), one.line.end());
        return static_cast<std::int64_t>(one.seen);
    }

    // So many lists ahead are asked for that their codes are there when they are scanned.
    std::size_t distance() const {
        constexpr std::size_t bytes = 16 << 10;
        std::size_t all = 0;
        for (const Segment& segment : segments_)
            if (segment.lists.shorts != nullptr)
                all += segment.lists.blocks[partition_.lists] * partition_.block_bytes();
        return std::clamp<std::size_t>(bytes * partition_.lists / std::max<std::size_t>(1, all), 1, 8);
    }

    const std::uint8_t* blocks_of(const Segment& segment, std::size_t list) const {
        return segment.lists.shorts + segment.lists.blocks[list] * partition_.block_bytes();
    }

    static std::size_t rows_of(const Segment& segment, std::size_t list) {
        return segment.lists.offsets[list + 1] - segment.lists.offsets[list];
    }

    void score(const Asked& one, const Segment& segment, const ListQuery::Choice& choice, std::size_t blocks,
               const std::uint8_t* next, float* scores) const {
        const Tables& tables = one.lists.shorts;
        isa_.nibble_scores(blocks_of(segment, choice.list), blocks, partition_.shorts.pairs(), tables.entries.data(),
                           static_cast<float>(std::clamp(choice.score, -kMostBase, kMostBase)),
                           static_cast<float>(tables.offset), static_cast<float>(tables.delta), next, scores);
    }

    static bool allowed(const Segment& segment, std::uint32_t row) {
        return row < segment.rows && (segment.mask == nullptr || segment.mask[row] != 0);
    }

    void one_by_one(Asked& one, std::size_t number, std::size_t s, std::uint32_t list) const {
        const Segment& segment = segments_[s];
        for (std::size_t i = segment.lists.offsets[list]; i < segment.lists.offsets[list + 1]; ++i) {
            const std::uint32_t row = segment.lists.rows[i];
            if (!allowed(segment, row)) continue;
            one.line.push_back(candidate(s, row, score_(number, s, row)));
            ++one.seen;
        }
    }

    void by_short_codes(Asked& one, std::size_t s, const ListQuery::Choice& choice, const std::uint8_t* next) const {
        const Segment& segment = segments_[s];
        const std::size_t first = segment.lists.offsets[choice.list], count = rows_of(segment, choice.list);
        const std::uint32_t* rows = segment.lists.rows + first;
        std::size_t open = count;
        if (segment.mask != nullptr) {
            open = 0;
            for (std::size_t i = 0; i < count; ++i) open += allowed(segment, rows[i]);
        }
        if (open == 0) return;
        one.seen += open;
        const std::size_t blocks = (count + kNibbleRows - 1) / kNibbleRows;
        float* scores = one.shorts.of(blocks, static_cast<std::uint32_t>(one.visits.size()), before(one));
        one.visits.push_back({static_cast<std::uint32_t>(s), first, choice.score});
        score(one, segment, choice, blocks, next, scores);
        std::fill(scores + count, scores + blocks * kNibbleRows, ShortScores::kNone);
        if (open == count) return;
        for (std::size_t i = 0; i < count; ++i)
            if (!allowed(segment, rows[i])) scores[i] = ShortScores::kNone;
    }

    // Ids are read here: a damaged row number must not lead outside of them. Such a row is left out later.
    auto before(const Asked& one) const {
        const auto known = [this, &one](const Short& row) {
            Candidate found = at(one, row, 0.0F);
            found.row = std::min(found.row, static_cast<std::uint32_t>(segments_[found.segment].rows - 1));
            return found;
        };
        return [this, known](const Short& a, const Short& b) { return better_(known(a), known(b)); };
    }

    Candidate at(const Asked& one, const Short& row, float score) const {
        const Visit& visit = one.visits[row.visit];
        return candidate(visit.segment, segments_[visit.segment].lists.rows[visit.first + row.at], score);
    }

    void by_long_codes(Asked& one) const {
        const std::vector<Short>& best = one.shorts.best(before(one));
        const Tables& tables = one.lists.longs;
        const std::size_t pairs = partition_.longs.pairs(), bytes = partition_.record_bytes();
        std::vector<const std::uint8_t*> records;
        records.reserve(best.size());
        for (const Short& row : best) {
            const Visit& visit = one.visits[row.visit];
            records.push_back(segments_[visit.segment].lists.longs + (visit.first + row.at) * bytes);
        }
        const auto ask_for = [&](std::size_t i) {
            const Visit& visit = one.visits[best[i].visit];
            for (std::size_t byte = 0; byte < bytes; byte += 64) __builtin_prefetch(records[i] + byte);
            __builtin_prefetch(segments_[visit.segment].lists.rows + visit.first + best[i].at);
        };
        for (std::size_t i = 0; i < std::min(kNibbleRows, best.size()); ++i) ask_for(i);
        one.line.reserve(one.line.size() + best.size());
        for (std::size_t from = 0; from < best.size(); from += kNibbleRows) {
            const std::size_t here = std::min(kNibbleRows, best.size() - from);
            for (std::size_t i = from + kNibbleRows; i < std::min(from + 2 * kNibbleRows, best.size()); ++i) ask_for(i);
            std::uint16_t sums[kNibbleRows];
            isa_.nibble_record_sums(records.data() + from, here, pairs, tables.entries.data(), sums);
            for (std::size_t i = 0; i < here; ++i) {
                const double stretch = records[from + i][pairs] / kStretchSteps;
                const double residual = stretch * (tables.offset + tables.delta * sums[i]);
                const Short& row = best[from + i];
                const Candidate found =
                    at(one, row, static_cast<float>(one.visits[row.visit].score + residual));
                if (found.row < segments_[found.segment].rows) one.line.push_back(found);
            }
        }
    }

    const Isa& isa_;
    const PartitionData& partition_;
    const Better& better_;
    std::vector<Segment> segments_;
    std::size_t probes_, keep_, want_;
    std::size_t ahead_ = 1;
    const Score& score_;
};

}  // namespace kukla
