// The first stage of a plan over partitioned lists: the rows of the lists nearest to each query, by their codes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "candidates.hpp"
#include "lists.hpp"
#include "partition.hpp"

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
        for (const Segment& segment : segments_) masked_ = masked_ || segment.mask != nullptr;
        ahead_ = distance();
    }

    // Appends to each query's candidates; returns how many rows were scored.
    std::int64_t run(const float* queries, std::size_t nq, std::size_t threads,
                     std::vector<std::vector<Candidate>>& found) const {
        if (keep_ == 0) return 0;
        // A single query is done before a second thread has started.
        const std::size_t parts = std::max<std::size_t>(1, std::min({threads, nq}));
        std::vector<std::int64_t> scored(parts, 0);
        parallel(parts, [&](std::size_t part) {
            const std::size_t begin = nq / parts * part + std::min(part, nq % parts);
            const std::size_t end = begin + nq / parts + (part < nq % parts ? 1 : 0);
            Room room;
            for (std::size_t first = begin; first < end; first += kTile)
                scored[part] += tile(queries, first, std::min(end, first + kTile), room, found);
        });
        std::int64_t total = 0;
        for (const std::int64_t count : scored) total += count;
        return total;
    }

private:
    static constexpr std::size_t kTile = 96;    // queries that share a reading of the lists; their tables fit in L2
    static constexpr std::size_t kBlocks = 64;  // of a list that are scanned before the threshold is looked at again

    struct Room {
        std::vector<std::uint32_t> positions = std::vector<std::uint32_t>(kBlocks * kNibbleRows);
        std::vector<std::uint16_t> sums = std::vector<std::uint16_t>(kBlocks * kNibbleRows);
    };

    struct Place {
        const std::uint8_t* codes;
        std::size_t count;
    };

    Place place(const Segment& segment, std::size_t list) const {
        const ListsData& lists = segment.lists;
        if (lists.codes == nullptr) return {nullptr, 0};
        return {lists.codes + lists.blocks[list] * block_bytes(), lists.offsets[list + 1] - lists.offsets[list]};
    }

    struct Asked {
        Asked(const ListScan& scan, const float* query, std::size_t number)
            : number(number), lists(scan.isa_, scan.partition_, query, scan.probes_),
              best(scan.better_, scan.keep_) {
            // Together, because each is a cache miss, and the codes that are read later push everything out.
            places.reserve(scan.probes_ * scan.segments_.size());
            for (std::size_t i = 0; i < scan.probes_; ++i)
                for (const Segment& segment : scan.segments_) places.push_back(scan.place(segment, lists[i].list));
        }
        std::size_t number;
        ListQuery lists;
        std::vector<Place> places;  // of the first lists: (probes, segments)
        Shortlist best;
        std::size_t seen = 0;
        std::int64_t scored = 0;
    };

    std::int64_t tile(const float* queries, std::size_t begin, std::size_t end, Room& room,
                      std::vector<std::vector<Candidate>>& found) const {
        std::vector<std::unique_ptr<Asked>> asked;
        for (std::size_t q = begin; q < end; ++q)
            asked.push_back(std::make_unique<Asked>(*this, queries + q * partition_.dim, q));
        // Which lists a query looks into does not depend on the order in which they are read.
        const bool together = asked.size() > 1 && !masked_;
        const std::size_t alone = together ? std::min(kFirstLists, probes_) : probes_;
        for (const auto& one : asked)
            for (std::size_t i = 0; i < alone; ++i)
                visit(*one, i, i + ahead_ < probes_ ? &one->places[(i + ahead_) * segments_.size()] : nullptr, room);
        if (together) {
            std::vector<std::pair<std::uint32_t, std::pair<std::uint32_t, std::uint32_t>>> visits;
            for (std::size_t a = 0; a < asked.size(); ++a)
                for (std::size_t i = alone; i < probes_; ++i)
                    visits.push_back({asked[a]->lists[i].list, {static_cast<std::uint32_t>(a),
                                                                static_cast<std::uint32_t>(i)}});
            std::sort(visits.begin(), visits.end());
            for (std::size_t v = 0; v < visits.size(); ++v) {
                const auto& [a, i] = visits[v].second;
                const Place* next = nullptr;
                if (v + ahead_ < visits.size()) {
                    const auto& [b, j] = visits[v + ahead_].second;
                    next = &asked[b]->places[j * segments_.size()];
                }
                visit(*asked[a], i, next, room);
            }
        }
        std::int64_t scored = 0;
        for (const auto& one : asked) {
            for (std::size_t i = probes_; i < partition_.lists && one->seen < want_; ++i)
                visit(*one, i, nullptr, room);
            std::vector<Candidate> line = one->best.finish();
            std::vector<Candidate>& to = found[one->number];
            to.insert(to.end(), line.begin(), line.end());
            scored += one->scored;
        }
        return scored;
    }

    // So many lists ahead are asked for that their codes are there when they are scanned.
    std::size_t distance() const {
        constexpr std::size_t bytes = 16 << 10;
        std::size_t all = 0;
        for (const Segment& segment : segments_)
            if (segment.lists.codes != nullptr) all += segment.lists.blocks[partition_.lists] * block_bytes();
        return std::clamp<std::size_t>(bytes * partition_.lists / std::max<std::size_t>(1, all), 1, 8);
    }

    std::size_t block_bytes() const { return partition_.groups / 2 * kNibbleRows + kBlockTail; }

    static const BlockTail& tail(const std::uint8_t* block, std::size_t bytes) {
        return *reinterpret_cast<const BlockTail*>(block + bytes - kBlockTail);
    }

    static bool allowed(const Segment& segment, std::uint32_t row) {
        return row < segment.rows && (segment.mask == nullptr || segment.mask[row] != 0);
    }

    // `next` is where a list is that comes soon, in each segment.
    void visit(Asked& one, std::size_t i, const Place* next, Room& room) const {
        const ListQuery::Choice choice = one.lists[i];
        for (std::size_t s = 0; s < segments_.size(); ++s) {
            const Segment& segment = segments_[s];
            if (segment.lists.offsets == nullptr) continue;
            if (segment.lists.codes == nullptr)
                one_by_one(one, s, choice.list);
            else
                by_codes(one, s, choice, i < probes_ ? one.places[i * segments_.size() + s] : place(segment, choice.list),
                         next == nullptr ? nullptr : next[s].codes, room);
        }
    }

    void one_by_one(Asked& one, std::size_t s, std::uint32_t list) const {
        const Segment& segment = segments_[s];
        for (std::size_t i = segment.lists.offsets[list]; i < segment.lists.offsets[list + 1]; ++i) {
            const std::uint32_t row = segment.lists.rows[i];
            if (!allowed(segment, row)) continue;
            one.best.offer(candidate(s, row, score_(one.number, s, row)));
            ++one.seen;
            ++one.scored;
        }
    }

    void by_codes(Asked& one, std::size_t s, const ListQuery::Choice& choice, const Place& place,
                  const std::uint8_t* next, Room& room) const {
        const Segment& segment = segments_[s];
        const auto [codes, count] = place;
        if (count == 0) return;
        const std::size_t pairs = partition_.groups / 2, bytes = block_bytes();
        const std::uint8_t* following = next == nullptr ? codes : next;
        const std::size_t open = segment.mask == nullptr ? count : open_rows(segment, codes, count);
        one.seen += open;
        one.scored += static_cast<std::int64_t>(open);
        if (open == 0) return;
        const double top = std::max<double>(tail(codes, bytes).top, 1.0) / kStretchSteps;
        for (std::size_t from = 0; from < count; from += kBlocks * kNibbleRows) {
            const std::size_t here = std::min(count - from, kBlocks * kNibbleRows);
            const std::size_t blocks = (here + kNibbleRows - 1) / kNibbleRows;
            const std::uint8_t* first = codes + from / kNibbleRows * bytes;
            const std::int64_t least = least_sum(one, choice.score, top);
            if (least > one.lists.largest) return;
            const std::size_t hits = isa_.nibble_hits(first, blocks, pairs, one.lists.tables.data(),
                                                      static_cast<std::uint16_t>(least),
                                                      following + from / kNibbleRows * bytes, room.positions.data(),
                                                      room.sums.data());
            for (std::size_t h = 0; h < hits; ++h) {
                if (room.positions[h] >= here) continue;  // the filling of the last block
                const BlockTail& known = tail(first + room.positions[h] / kNibbleRows * bytes, bytes);
                const std::size_t v = room.positions[h] % kNibbleRows;
                if (!allowed(segment, known.rows[v])) continue;
                const double stretch = known.stretches[v] / kStretchSteps;
                const double residual = stretch * (one.lists.offset + one.lists.delta * room.sums[h]);
                one.best.offer(candidate(s, known.rows[v], static_cast<float>(choice.score + residual)));
            }
        }
    }

    std::size_t open_rows(const Segment& segment, const std::uint8_t* codes, std::size_t count) const {
        const std::size_t bytes = block_bytes();
        std::size_t found = 0;
        for (std::size_t i = 0; i < count; ++i)
            found += allowed(segment, tail(codes + i / kNibbleRows * bytes, bytes).rows[i % kNibbleRows]);
        return found;
    }

    // A sum below it cannot reach the shortlist, stretched by at most `stretch`. A little less than the division says: it
    // rounds, and estimates are rounded to float32.
    static std::int64_t least_sum(const Asked& one, double score, double stretch) {
        if (one.best.worst() == 0xFFFFFFFFU || !(one.lists.delta > 0.0)) return 0;
        const double worst = static_cast<double>(one.best.worst_score());
        const double missing = worst - std::fabs(worst) * 0x1p-23 - score;
        if (!(missing > 0.0)) return 0;
        const double sum = std::floor((missing / stretch - one.lists.offset) / one.lists.delta) - 1.0;
        return sum > 65535.0 ? 65536 : sum > 0.0 ? static_cast<std::int64_t>(sum) : 0;
    }

    const Isa& isa_;
    const PartitionData& partition_;
    const Better& better_;
    std::vector<Segment> segments_;
    std::size_t probes_, keep_, want_;
    std::size_t ahead_ = 1;
    bool masked_ = false;
    const Score& score_;
};

}  // namespace kukla
