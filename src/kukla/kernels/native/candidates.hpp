// Rows that may be results, and the order among them: by score, then by id.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "top_k.hpp"

namespace kukla {

struct Candidate {
    std::uint32_t order;  // of the score: smaller is better
    std::uint32_t segment;
    std::uint32_t row;
    float score;
};

inline Candidate candidate(std::size_t segment, std::int64_t row, float score) {
    return {order_of(score + 0.0F), static_cast<std::uint32_t>(segment), static_cast<std::uint32_t>(row), score};
}

// The ids of a segment: integers, or strings that are bytes from offsets[i] to offsets[i + 1].
struct Ids {
    const std::int64_t* numbers = nullptr;
    const std::uint64_t* offsets = nullptr;
    const std::uint8_t* bytes = nullptr;
    std::size_t size = 0;  // of all bytes

    // Damaged offsets must not lead outside the file: such an id counts as empty.
    std::pair<const std::uint8_t*, std::size_t> text(std::size_t row) const {
        const std::uint64_t from = offsets[row], to = offsets[row + 1];
        if (from > to || to > size) return {bytes, 0};
        return {bytes + from, to - from};
    }
};

// A strict order: what is better comes first. Inside a segment rows are in the order of their ids.
class Better {
public:
    explicit Better(std::vector<Ids> segments) : segments_(std::move(segments)) {}

    bool operator()(const Candidate& a, const Candidate& b) const {
        if (a.order != b.order) return a.order < b.order;
        return a.segment == b.segment ? a.row < b.row : id_before(a, b);
    }

    // The best `keep`; sorted if asked.
    void select(std::vector<Candidate>& line, std::size_t keep, bool sorted) const {
        // Handed over by reference: the order is copied often otherwise.
        const auto better = [this](const Candidate& a, const Candidate& b) { return (*this)(a, b); };
        if (keep < line.size()) {
            std::nth_element(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(keep), line.end(), better);
            line.resize(keep);
        }
        if (sorted) std::sort(line.begin(), line.end(), better);
    }

private:
    bool id_before(const Candidate& a, const Candidate& b) const {
        const Ids &left = segments_[a.segment], &right = segments_[b.segment];
        if (left.numbers != nullptr && right.numbers != nullptr) {
            if (left.numbers[a.row] != right.numbers[b.row]) return left.numbers[a.row] < right.numbers[b.row];
            return a.segment < b.segment;
        }
        if (left.numbers != nullptr || right.numbers != nullptr) return a.segment < b.segment;
        const auto [x, x_size] = left.text(a.row);
        const auto [y, y_size] = right.text(b.row);
        const int compared = std::memcmp(x, y, std::min(x_size, y_size));
        if (compared != 0) return compared < 0;
        return x_size != y_size ? x_size < y_size : a.segment < b.segment;
    }

    std::vector<Ids> segments_;
};

}  // namespace kukla
