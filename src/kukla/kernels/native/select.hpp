// The best of scored things, left in the order in which they are.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <tuple>
#include <vector>

#include "bins.hpp"
#include "isa.hpp"
#include "nibbles.hpp"

namespace kukla {

// Numbers below n, ascending, of those that come first by `before` and weigh `wanted` together. Things without weight are
// left out. `scores` are finite, and no thing with a smaller score comes before one with a larger; `before` is a strict
// order of all things.
template <class Weight, class Before>
void select(const Isa& isa, const float* scores, std::size_t n, std::size_t wanted, const Weight& weight,
            const Before& before, std::vector<std::uint32_t>& chosen) {
    std::size_t all = 0;
    float low = std::numeric_limits<float>::max(), high = std::numeric_limits<float>::lowest();
    for (std::size_t i = 0; i < n; ++i) {
        all += weight(i);
        low = std::min(low, scores[i]);
        high = std::max(high, scores[i]);
    }
    chosen.resize(n + kAtLeastRoom);
    if (wanted >= all || wanted == 0) {
        std::size_t kept = 0;
        for (std::size_t i = 0; i < n; ++i)
            if (wanted > 0 && weight(i) > 0) chosen[kept++] = static_cast<std::uint32_t>(i);
        chosen.resize(kept);
        return;
    }
    Bins bins(low, high);
    std::size_t bin = 0, above = 0, hits = n;
    if (bins.usable()) {
        for (std::size_t i = 0; i < n; ++i) bins.add(scores[i], static_cast<std::uint32_t>(weight(i)));
        std::tie(bin, above) = bins.reaching(wanted);
    }
    // A score at the lower end of a bin may be rounded into it.
    if (bin > 0)
        hits = isa.at_least(scores, n, bins.low(bin - 1), chosen.data());
    else
        std::iota(chosen.begin(), chosen.begin() + static_cast<std::ptrdiff_t>(n), 0U);
    const auto bin_of = [&](std::uint32_t i) { return bins.usable() ? bins.of(scores[i]) : 0; };
    std::vector<std::uint32_t> edge;  // those of one bin: some of them are among the best
    std::size_t kept = 0;
    for (std::size_t hit = 0; hit < hits; ++hit) {
        const std::uint32_t i = chosen[hit];
        const std::size_t there = bin_of(i);
        if (there < bin || weight(i) == 0) continue;
        if (there == bin) edge.push_back(i);
        chosen[kept++] = i;
    }
    std::vector<std::uint32_t> out = edge;
    std::sort(out.begin(), out.end(), before);
    std::size_t first = 0;
    while (above < wanted) above += weight(out[first++]);
    out.erase(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(first));
    std::sort(out.begin(), out.end());
    // Both ascend: what is out is passed over.
    auto next = out.begin();
    std::size_t left = 0;
    for (std::size_t hit = 0; hit < kept; ++hit) {
        if (next != out.end() && *next == chosen[hit])
            ++next;
        else
            chosen[left++] = chosen[hit];
    }
    chosen.resize(left);
}

}  // namespace kukla
