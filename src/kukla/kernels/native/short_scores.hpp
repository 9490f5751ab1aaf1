// The rows of lists that score best by their short codes.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "isa.hpp"
#include "lists.hpp"
#include "nibbles.hpp"

namespace kukla {

// A list in one segment that a query looks into.
struct Visit {
    std::uint32_t segment;
    std::size_t first;  // of its rows, in the order of lists
    double score;       // <query, centroid>
};

struct Short {
    float score;
    std::uint32_t visit;
    std::uint32_t at;  // in its list
};

// Scores are written for a whole list at a time, by code without branches, and looked at when there are many: a
// threshold guessed from a sample of them leaves few, of which the best are found exactly.
class ShortScores {
public:
    static constexpr float kNone = -std::numeric_limits<float>::infinity();  // where no row may be

    ShortScores(const Isa& isa, std::size_t keep) : isa_(isa), keep_(keep) {}

    // Room for the scores of so many blocks of the visit `number`.
    template <class Before>
    float* room(std::size_t blocks, std::uint32_t number, const Before& before) {
        if (used_ + blocks > kBlocks && used_ > 0) harvest(before);
        if (scores_.size() < (used_ + blocks) * kNibbleRows)
            scores_.resize(std::max(2 * scores_.size(), (used_ + blocks) * kNibbleRows));
        for (std::size_t i = 0; i < blocks; ++i)
            places_.push_back({number, static_cast<std::uint32_t>(i * kNibbleRows)});
        used_ += blocks;
        return scores_.data() + (used_ - blocks) * kNibbleRows;
    }

    // `before` is a strict order of rows of equal scores.
    template <class Before>
    std::vector<Short>& best(const Before& before) {
        harvest(before);
        return found_;
    }

private:
    static constexpr std::size_t kBlocks = 1 << 12;  // half a MB of scores
    static constexpr std::size_t kSample = 1 << 12, kBins = 512;

    struct Place {
        std::uint32_t visit, at;
    };

    template <class Before>
    void harvest(const Before& before) {
        const std::size_t slots = used_ * kNibbleRows;
        hits_.resize(slots + kAtLeastRoom);
        const float lowest = std::numeric_limits<float>::lowest();
        const float from = found_.size() < keep_ ? guess(slots) : least_;
        std::size_t count = isa_.at_least(scores_.data(), slots, from, hits_.data());
        if (found_.size() < keep_ && count < keep_ && from > lowest)
            count = isa_.at_least(scores_.data(), slots, lowest, hits_.data());
        for (std::size_t i = 0; i < count; ++i) {
            const Place& place = places_[hits_[i] / kNibbleRows];
            found_.push_back({scores_[hits_[i]], place.visit,
                              place.at + static_cast<std::uint32_t>(hits_[i] % kNibbleRows)});
        }
        used_ = 0;
        places_.clear();
        if (found_.size() < keep_) return;
        const auto last = found_.begin() + static_cast<std::ptrdiff_t>(keep_) - 1;
        std::nth_element(found_.begin(), last, found_.end(), [&](const Short& a, const Short& b) {
            return a.score != b.score ? a.score > b.score : before(a, b);
        });
        least_ = last->score;
        found_.resize(keep_);
    }

    // What somewhat more than `keep` scores reach, by a sample.
    float guess(std::size_t slots) const {
        const float lowest = std::numeric_limits<float>::lowest();
        if (slots < 4 * keep_ || slots < kSample) return lowest;
        const std::size_t step = slots / kSample | 1;  // odd: not always the same rows of blocks
        float low = std::numeric_limits<float>::max(), high = lowest;
        for (std::size_t i = 0; i < slots; i += step) {
            if (scores_[i] == kNone) continue;
            low = std::min(low, scores_[i]);
            high = std::max(high, scores_[i]);
        }
        const float width = (high - low) / kBins;
        if (!(width > 0.0F) || width > std::numeric_limits<float>::max()) return lowest;
        std::array<std::uint32_t, kBins> counts{};
        for (std::size_t i = 0; i < slots; i += step)
            if (scores_[i] != kNone)
                ++counts[std::min<std::size_t>(static_cast<std::size_t>((scores_[i] - low) / width), kBins - 1)];
        std::size_t bin = kBins, seen = 0;
        const std::size_t wanted = keep_ / step + keep_ / step / 8 + 32;
        while (bin > 0 && seen < wanted) seen += counts[--bin];
        return bin == 0 ? lowest : low + static_cast<float>(bin) * width;
    }

    const Isa& isa_;
    std::size_t keep_, used_ = 0;
    float least_ = kNone;
    std::vector<float> scores_;
    std::vector<Place> places_;
    std::vector<std::uint32_t> hits_;
    std::vector<Short> found_;
};

}  // namespace kukla
