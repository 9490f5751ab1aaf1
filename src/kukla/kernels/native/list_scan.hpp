// The first stage of a plan over partitioned lists: of the lists nearest to each query the blocks whose means score best;
// their rows by their short codes, the best of these by their long codes.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "candidates.hpp"
#include "lists.hpp"
#include "partition.hpp"
#include "prefetch.hpp"
#include "select.hpp"
#include "short_scores.hpp"

namespace kukla {

class ListScan {
public:
    struct Segment {
        std::size_t rows;
        ListsData lists;
        const std::uint8_t* mask;         // may be null
        std::atomic<std::uint8_t>* open;  // may be null: of each block how many rows the mask allows, or kUnknown
    };

    // Counted when a query first looks at the block. Whoever counts at the same time finds the same.
    static constexpr std::uint8_t kUnknown = 255;

    // `want`: so many allowed rows are looked at by each query at least, if there are so many: the next lists follow.
    ListScan(const Isa& isa, const PartitionData& partition, const Better& better, std::vector<Segment> segments,
             std::size_t probes, std::size_t keep, std::size_t want)
        : isa_(isa), partition_(partition), better_(better), segments_(std::move(segments)),
          probes_(std::min(probes, partition.lists)), keep_(keep), want_(want) {}

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
                scored[part] += ask(queries + q * partition_.dim, found[q]);
        });
        std::int64_t total = 0;
        for (const std::int64_t count : scored) total += count;
        return total;
    }

private:
    static constexpr std::size_t kRecords = 1024;  // so many are asked for before the first is read

    // A thread uses the same room for all its queries: half a megabyte is slow to get.
    struct Room {
        ShortScores::Room shorts;
        std::vector<const std::uint8_t*> codes;
        std::vector<float> bases, means, scores;
        std::vector<std::uint8_t> open;
        std::vector<std::uint32_t> slots, chosen;
    };

    struct Asked {
        Asked(const ListScan& scan, const float* query, Room& given)
            : lists(scan.isa_, scan.partition_, query, scan.probes_), room(given),
              shorts(scan.isa_, scan.keep_ * scan.partition_.shortlist, given.shorts) {
            room.open.clear();
            visits.reserve(std::min<std::size_t>(scan.probes_ * scan.segments_.size(), 4096));
        }
        ListQuery lists;
        Room& room;  // scores and open rows of all blocks to choose from, one visit after the other
        ShortScores shorts;
        std::vector<Visit> visits;
        std::vector<Candidate> line;
        std::size_t seen = 0, scored = 0;
    };

    static Room& room() {
        static thread_local Room one;
        return one;
    }

    std::int64_t ask(const float* query, std::vector<Candidate>& found) const {
        Asked one(*this, query, room());
        for (std::size_t i = 0; i < partition_.lists && (i < probes_ || one.seen < want_); ++i) {
            const ListQuery::Choice choice = one.lists[i];
            for (std::size_t s = 0; s < segments_.size(); ++s)
                if (segments_[s].lists.offsets != nullptr) look(one, s, choice);
        }
        compare_means(one);
        by_short_codes(one);
        by_long_codes(one);
        better_.select(one.line, keep_, false);
        found.insert(found.end(), one.line.begin(), one.line.end());
        return static_cast<std::int64_t>(one.scored);
    }

    static std::size_t rows_of(const Segment& segment, std::size_t list) {
        return segment.lists.offsets[list + 1] - segment.lists.offsets[list];
    }

    static bool allowed(const Segment& segment, std::uint32_t row) {
        return row < segment.rows && (segment.mask == nullptr || segment.mask[row] != 0);
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

    // The blocks of a list are to choose from, as far as they have rows that are allowed.
    void look(Asked& one, std::size_t s, const ListQuery::Choice& choice) const {
        const Segment& segment = segments_[s];
        const std::size_t first = segment.lists.offsets[choice.list], count = rows_of(segment, choice.list);
        if (count == 0) return;
        const std::size_t blocks = (count + kNibbleRows - 1) / kNibbleRows, used = one.room.open.size();
        one.room.open.resize(used + blocks, kNibbleRows);
        std::uint8_t* open = one.room.open.data() + used;
        std::size_t all = count;
        if (segment.mask == nullptr) {
            open[blocks - 1] = static_cast<std::uint8_t>(count - (blocks - 1) * kNibbleRows);
        } else {
            count_open(segment, choice.list, blocks, open);
            all = std::accumulate(open, open + blocks, std::size_t{0});
        }
        one.visits.push_back({static_cast<std::uint32_t>(s), static_cast<std::uint32_t>(blocks), used, first, count,
                              segment.lists.blocks[choice.list], choice.score});
        one.seen += all;
    }

    static void count_open(const Segment& segment, std::size_t list, std::size_t blocks, std::uint8_t* open) {
        const std::size_t block = segment.lists.blocks[list];
        bool known = segment.open != nullptr;
        for (std::size_t i = 0; known && i < blocks; ++i) {
            open[i] = segment.open[block + i].load(std::memory_order_relaxed);
            known = open[i] != kUnknown;
        }
        if (known) return;
        std::fill(open, open + blocks, std::uint8_t{0});
        const std::uint32_t* rows = segment.lists.rows + segment.lists.offsets[list];
        for (std::size_t i = 0; i < rows_of(segment, list); ++i) open[i / kNibbleRows] += allowed(segment, rows[i]);
        for (std::size_t i = 0; segment.open != nullptr && i < blocks; ++i)
            segment.open[block + i].store(open[i], std::memory_order_relaxed);
    }

    // The codes of means are in blocks, too, which lists share: each is scored once.
    void compare_means(Asked& one) const {
        constexpr std::uint32_t none = ~std::uint32_t{0};
        std::vector<std::size_t> begin(segments_.size() + 1, 0);
        for (std::size_t s = 0; s < segments_.size(); ++s) {
            const ListsData& lists = segments_[s].lists;
            const std::size_t blocks = lists.offsets == nullptr ? 0 : lists.blocks[partition_.lists];
            begin[s + 1] = begin[s] + (blocks + kNibbleRows - 1) / kNibbleRows;
        }
        Room& room = one.room;
        room.slots.assign(begin.back(), none);
        room.codes.clear();
        for (const Visit& visit : one.visits) {
            const std::uint8_t* means = segments_[visit.segment].lists.means;
            for (std::size_t m = visit.block / kNibbleRows; m <= (visit.block + visit.blocks - 1) / kNibbleRows; ++m) {
                std::uint32_t& slot = room.slots[begin[visit.segment] + m];
                if (slot != none) continue;
                slot = static_cast<std::uint32_t>(room.codes.size());
                room.codes.push_back(means + m * partition_.mean_bytes());
            }
        }
        room.bases.assign(room.codes.size(), 0.0F);
        room.means.resize(room.codes.size() * kNibbleRows);
        const Tables& tables = one.lists.means;
        isa_.nibble_scores(room.codes.data(), room.bases.data(), room.codes.size(), partition_.means.pairs(),
                           tables.entries.data(), static_cast<float>(tables.offset), static_cast<float>(tables.delta),
                           room.means.data());
        constexpr float most = std::numeric_limits<float>::max();
        room.scores.resize(room.open.size());
        for (const Visit& visit : one.visits) {
            const float* routes = segments_[visit.segment].lists.routes + visit.block;
            const float base = base_of(visit.score);
            float* scores = room.scores.data() + visit.number;
            for (std::size_t i = 0; i < visit.blocks;) {
                const std::size_t block = visit.block + i, inside = block % kNibbleRows;
                const std::uint32_t slot = room.slots[begin[visit.segment] + block / kNibbleRows];
                const float* means = room.means.data() + slot * kNibbleRows + inside;
                const std::size_t end = std::min<std::size_t>(visit.blocks, i + kNibbleRows - inside);
                for (; i < end; ++i) {
                    const float score = (base + *means++) * routes[i];
                    scores[i] = score > -most ? std::min(score, most) : -most;  // not NaN
                }
            }
        }
    }

    static float base_of(double score) { return static_cast<float>(std::clamp(score, -kMostBase, kMostBase)); }

    void by_short_codes(Asked& one) const {
        Room& room = one.room;
        const auto block_of = [&one](std::uint32_t number) {
            const auto after = std::upper_bound(one.visits.begin(), one.visits.end(), std::size_t{number},
                                                [](std::size_t n, const Visit& visit) { return n < visit.number; });
            const Visit& visit = *std::prev(after);
            return std::pair(visit.segment, visit.block + number - visit.number);
        };
        select(isa_, room.scores.data(), room.open.size(), partition_.rows_wanted(one.seen, probes_, keep_),
               [&room](std::size_t i) { return room.open[i]; },
               [&](std::uint32_t a, std::uint32_t b) {
                   if (room.scores[a] != room.scores[b]) return room.scores[a] > room.scores[b];
                   return block_of(a) < block_of(b);
               },
               room.chosen);
        const Tables& tables = one.lists.shorts;
        std::uint32_t number = 0;  // of the visit
        for (std::size_t from = 0; from < room.chosen.size(); from += ShortScores::kBlocks) {
            const std::size_t here = std::min(ShortScores::kBlocks, room.chosen.size() - from);
            float* scores = one.shorts.of(here, before(one));
            room.codes.resize(here);
            room.bases.resize(here);
            for (std::size_t i = 0; i < here; ++i) {
                const std::size_t block = room.chosen[from + i];
                while (block >= one.visits[number].number + one.visits[number].blocks) ++number;
                const Visit& visit = one.visits[number];
                const std::size_t inside = block - visit.number;
                room.codes[i] =
                    segments_[visit.segment].lists.shorts + (visit.block + inside) * partition_.block_bytes();
                room.bases[i] = base_of(visit.score);
                one.shorts.place({number, static_cast<std::uint32_t>(inside * kNibbleRows)});
            }
            isa_.nibble_scores(room.codes.data(), room.bases.data(), here, partition_.shorts.pairs(),
                               tables.entries.data(), static_cast<float>(tables.offset),
                               static_cast<float>(tables.delta), scores);
            for (std::size_t i = 0; i < here; ++i) {
                const std::uint8_t open = room.open[room.chosen[from + i]];
                one.scored += open;
                if (open < kNibbleRows) leave_out(one, one.shorts.place_of(i, here), scores + i * kNibbleRows);
            }
        }
    }

    // What a filter does not allow, and what fills the last block of a list.
    void leave_out(const Asked& one, const Place& place, float* scores) const {
        const Visit& visit = one.visits[place.visit];
        const Segment& segment = segments_[visit.segment];
        const std::size_t row = visit.first + place.at, count = std::min(visit.rows - place.at, kNibbleRows);
        std::fill(scores + count, scores + kNibbleRows, ShortScores::kNone);
        if (segment.mask == nullptr) return;
        for (std::size_t i = 0; i < count; ++i)
            if (!allowed(segment, segment.lists.rows[row + i])) scores[i] = ShortScores::kNone;
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
            prefetch_bytes(records[i], bytes);
            prefetch_line(records[i] + bytes - 1);
            prefetch_line(segments_[visit.segment].lists.rows + visit.first + best[i].at);
        };
        one.line.reserve(one.line.size() + best.size());
        for (std::size_t from = 0; from < best.size(); from += kNibbleRows) {
            if (from % kRecords == 0)
                for (std::size_t i = from; i < std::min(from + kRecords, best.size()); ++i) ask_for(i);
            const std::size_t here = std::min(kNibbleRows, best.size() - from);
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
};

}  // namespace kukla
