// Scores by size, in bins of equal width: which score so many reach, about.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>

namespace kukla {

class Bins {
public:
    Bins(float low, float high) : low_(low), width_((high - low) / kBins), per_width_(1.0F / width_), counts_{} {}

    // Not where all scores are equal, or farther apart than a float32 can say.
    bool usable() const {
        constexpr float most = std::numeric_limits<float>::max();
        return width_ > 0.0F && width_ <= most && per_width_ <= most;
    }

    std::size_t of(float score) const {
        return std::min<std::size_t>(static_cast<std::size_t>((score - low_) * per_width_), kBins - 1);
    }
    void add(float score, std::uint32_t times = 1) { counts_[of(score)] += times; }
    float low(std::size_t bin) const { return low_ + static_cast<float>(bin) * width_; }

    // The bin of the `wanted`-th largest, and how many are in larger bins.
    std::pair<std::size_t, std::size_t> reaching(std::size_t wanted) const {
        std::size_t bin = kBins - 1, above = 0;
        while (bin > 0 && above + counts_[bin] < wanted) above += counts_[bin--];
        return {bin, above};
    }

private:
    static constexpr std::size_t kBins = 512;
    float low_, width_, per_width_;
    std::array<std::uint32_t, kBins> counts_;
};

}  // namespace kukla
