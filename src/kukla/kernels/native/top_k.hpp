// Selection under a strict total order, in linear time and bounded memory.
//
// A candidate is one 64-bit key, smaller is better: above, 32 bits that order its value; below, its row. Keys are
// unique, so which candidates stay, and in which order, depends neither on blocks nor on threads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace kukla {

// Distances: ascending.
inline std::uint32_t order_of(std::int32_t distance) { return static_cast<std::uint32_t>(distance); }

// Scores: descending, NaN last. The bits of a float grow with its magnitude; turn those of negative numbers round.
inline std::uint32_t order_of(float score) {
    std::uint32_t bits;
    std::memcpy(&bits, &score, sizeof bits);
    const std::uint32_t ascending = (bits >> 31) != 0 ? ~bits : bits | 0x80000000U;
    return score != score ? 0xFFFFFFFFU : ~ascending;
}

inline void value_of(std::uint32_t order, std::int32_t& distance) { distance = static_cast<std::int32_t>(order); }

inline void value_of(std::uint32_t order, float& score) {
    const std::uint32_t ascending = ~order;
    const std::uint32_t bits = (ascending >> 31) != 0 ? ascending & 0x7FFFFFFFU : ~ascending;
    std::memcpy(&score, &bits, sizeof score);
}

// The best `keep` (at least 1) of up to `rows` candidates. Holds at most 2 * keep + 256 keys: when these are full, the
// better part stays and its worst key becomes the threshold, so a candidate costs O(1) on average.
class Best {
public:
    Best(std::size_t keep, std::size_t rows)
        : keep_(keep), full_(std::min(rows, keep + std::max<std::size_t>(keep, 256))) {}

    // Values of rows first, first + 1, ...; `mask` (of the same rows) may be null.
    template <class Value>
    void offer(const Value* values, std::size_t first, std::size_t n, const std::uint8_t* mask) {
        for (std::size_t i = 0; i < n; ++i) {
            const std::uint64_t key = std::uint64_t{order_of(values[i])} << 32 | (first + i);
            if (key >= threshold_ || (mask != nullptr && mask[i] == 0)) continue;
            keys_.push_back(key);
            if (keys_.size() >= full_) shrink();
        }
    }

    void append(const Best& other) { keys_.insert(keys_.end(), other.keys_.begin(), other.keys_.end()); }

    // How a value must be ordered to be kept: no larger than this.
    std::uint32_t worst() const { return static_cast<std::uint32_t>(threshold_ >> 32); }

    // At most `keep`, in no order.
    const std::vector<std::uint64_t>& unsorted() {
        shrink();
        return keys_;
    }

    // Sorted, at most `keep`.
    const std::vector<std::uint64_t>& finish() {
        shrink();
        std::sort(keys_.begin(), keys_.end());
        return keys_;
    }

private:
    void shrink() {
        if (keys_.size() <= keep_) return;
        const auto worst = keys_.begin() + static_cast<std::ptrdiff_t>(keep_ - 1);
        std::nth_element(keys_.begin(), worst, keys_.end());
        threshold_ = *worst;
        keys_.resize(keep_);
    }

    std::size_t keep_;
    std::size_t full_;
    std::uint64_t threshold_ = ~std::uint64_t{0};
    std::vector<std::uint64_t> keys_;
};

// The best k of m scored rows whose numbers may be any: score descending, row ascending, NaN last.
inline void top_k(const float* scores, const std::int64_t* rows, std::size_t m, std::size_t k, std::int64_t* out_rows,
                  float* out_scores) {
    struct Item {
        std::uint32_t order;
        std::uint32_t index;  // of the score, whose bits the order does not keep (-0, NaN)
        std::int64_t row;
        // The index settles equal rows, so that the order is strict.
        bool operator<(const Item& other) const {
            if (order != other.order) return order < other.order;
            return row != other.row ? row < other.row : index < other.index;
        }
    };
    std::vector<Item> items(m);
    for (std::size_t i = 0; i < m; ++i)
        items[i] = {order_of(scores[i] + 0.0F) /* -0 equals 0 */, static_cast<std::uint32_t>(i), rows[i]};
    std::partial_sort(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(k), items.end());
    for (std::size_t i = 0; i < k; ++i) {
        out_rows[i] = items[i].row;
        out_scores[i] = scores[items[i].index];
    }
}

}  // namespace kukla
