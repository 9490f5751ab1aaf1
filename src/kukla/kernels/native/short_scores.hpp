// The rows of lists that score best by their short codes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

#include "bins.hpp"
#include "isa.hpp"
#include "lists.hpp"
#include "nibbles.hpp"

namespace kukla {

// A list in one segment that a query looks into.
struct Visit {
    std::uint32_t segment;
    std::uint32_t blocks;
    std::size_t number;  // of its first block, of all blocks to choose from
    std::size_t first;   // of its rows, in the order of lists
    std::size_t rows;
    std::size_t block;   // its first one in the segment
    double score;        // <query, centroid>
};

// Where a block begins.
struct Place {
    std::uint32_t visit;
    std::uint32_t at;  // of its first row, in its list
};

struct Short {
    float score;
    std::uint32_t visit;
    std::uint32_t at;  // in its list
};

// Scores are written for many blocks at a time, by code without branches, and looked at when there are many: a
// threshold guessed from a sample of them leaves few, of which the best are found exactly. They stay in the order in
// which they lie in memory, because their long codes are read next.
class ShortScores {
public:
    static constexpr std::size_t kBlocks = 1 << 12;  // half a MB of scores
    static constexpr float kNone = -std::numeric_limits<float>::infinity();  // where no row may be

    // A thread uses the same room for all its queries: half a megabyte is slow to get.
    struct Room {
        std::vector<float> scores;
        std::vector<std::uint32_t> hits;
    };

    ShortScores(const Isa& isa, std::size_t keep, Room& room) : isa_(isa), keep_(keep), room_(room) {}

    // Room for the scores of so many blocks, at most kBlocks, whose places follow.
    template <class Before>
    float* of(std::size_t blocks, const Before& before) {
        if (places_.size() + blocks > kBlocks && !places_.empty()) harvest(before);
        const std::size_t used = places_.size();
        if (room_.scores.size() < (used + blocks) * kNibbleRows)
            room_.scores.resize(std::max(2 * room_.scores.size(), (used + blocks) * kNibbleRows));
        return room_.scores.data() + used * kNibbleRows;
    }

    void place(const Place& one) { places_.push_back(one); }

    // Of the last `count` places the one numbered i.
    const Place& place_of(std::size_t i, std::size_t count) const { return places_[places_.size() - count + i]; }

    // `before` is a strict order of rows of equal scores.
    template <class Before>
    const std::vector<Short>& best(const Before& before) {
        harvest(before);
        return found_;
    }

private:
    static constexpr std::size_t kSample = 1 << 8;  // at least so many scores
    static constexpr std::size_t kOfTheBest = 32;   // and about so many of those that are kept

    template <class Before>
    void harvest(const Before& before) {
        const std::size_t slots = places_.size() * kNibbleRows;
        room_.hits.resize(std::max(room_.hits.size(), slots + kAtLeastRoom));
        const float* scores = room_.scores.data();
        std::uint32_t* hits = room_.hits.data();
        const float lowest = std::numeric_limits<float>::lowest();
        const float from = found_.size() < keep_ ? guess(slots) : least_;
        std::size_t count = isa_.at_least(scores, slots, from, hits);
        if (found_.size() < keep_ && count < keep_ && from > lowest) count = isa_.at_least(scores, slots, lowest, hits);
        found_.reserve(found_.size() + count);
        for (std::size_t i = 0; i < count; ++i) {
            const Place& place = places_[hits[i] / kNibbleRows];
            found_.push_back({scores[hits[i]], place.visit, place.at + static_cast<std::uint32_t>(hits[i] % kNibbleRows)});
        }
        places_.clear();
        if (found_.size() >= keep_) cut(before);
    }

    // Leaves the best `keep`, in the order in which they are.
    template <class Before>
    void cut(const Before& before) {
        float low = found_[0].score, high = low;
        for (const Short& one : found_) {
            low = std::min(low, one.score);
            high = std::max(high, one.score);
        }
        least_ = low;
        if (found_.size() == keep_) return;
        Bins bins(low, high);
        std::size_t bin = 0, above = 0;
        const bool usable = bins.usable();
        if (usable) {
            for (const Short& one : found_) bins.add(one.score);
            std::tie(bin, above) = bins.reaching(keep_);
        }
        std::vector<Short> edge;  // those of one bin: some of them are among the best
        for (const Short& one : found_)
            if (!usable || bins.of(one.score) == bin) edge.push_back(one);
        const auto better = [&](const Short& a, const Short& b) {
            return a.score != b.score ? a.score > b.score : before(a, b);
        };
        const auto last = edge.begin() + static_cast<std::ptrdiff_t>(keep_ - above) - 1;
        std::nth_element(edge.begin(), last, edge.end(), better);
        const Short worst = *last;
        least_ = worst.score;
        std::size_t kept = 0;
        for (const Short& one : found_) {
            bool among = one.score > least_;
            if (one.score == least_) among = !before(worst, one);
            found_[kept] = one;  // without a branch that would be mispredicted
            kept += among;
        }
        found_.resize(kept);
    }

    // What somewhat more than `keep` scores reach, by a sample.
    float guess(std::size_t slots) const {
        const float lowest = std::numeric_limits<float>::lowest();
        if (slots < 4 * keep_ || slots < kSample) return lowest;
        const float* scores = room_.scores.data();
        const std::size_t step = std::min(slots / kSample, keep_ / kOfTheBest) | 1;  // odd: not always the same rows
        float low = std::numeric_limits<float>::max(), high = lowest;
        for (std::size_t i = 0; i < slots; i += step) {
            if (scores[i] == kNone) continue;
            low = std::min(low, scores[i]);
            high = std::max(high, scores[i]);
        }
        Bins bins(low, high);
        if (!bins.usable()) return lowest;
        for (std::size_t i = 0; i < slots; i += step)
            if (scores[i] != kNone) bins.add(scores[i]);
        const std::size_t bin = bins.reaching(keep_ / step + keep_ / step / 8 + 16).first;
        return bin == 0 ? lowest : bins.low(bin);
    }

    const Isa& isa_;
    std::size_t keep_;
    Room& room_;
    float least_ = kNone;
    std::vector<Place> places_;
    std::vector<Short> found_;
};

}  // namespace kukla
