// Partitioned lists: which of them a query looks into, and what their rows' codes say.
//
// A row belongs to the list of its nearest centroid, and its code says what is left of it there. Its score for a query
// is estimated as <query, centroid> + stretch * sum over groups of <query, codeword>. kukla.partition has the same in NumPy: all
// sums of floats are done in one order, so the estimates are equal to the bit.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "isa.hpp"
#include "nibbles.hpp"
#include "top_k.hpp"

namespace kukla {

// Centroids in int8, their first `head` dims apart: these choose which centroids are looked at as a whole.
struct PartitionData {
    std::size_t lists = 0, dim = 0, head = 0, groups = 0;
    const std::int8_t* heads = nullptr;      // (lists, head)
    const std::int8_t* tails = nullptr;      // (lists, dim - head)
    const float* scales = nullptr;           // (lists): what a step of a code is worth
    const float* routes = nullptr;           // (lists): what scores are multiplied by to compare lists
    const float* worths = nullptr;           // (lists): both multiplied
    const std::uint64_t* order = nullptr;    // (ends[groups - 1]): the dims in the order of the groups
    const std::uint64_t* ends = nullptr;     // (groups)
    const float* books = nullptr;            // (ends[groups - 1], 16)
};

// The lists of one segment. Without offsets it has none; without codes, rows are scored in another way. With codes, what
// else is known of the rows is in the tail of their block, where it costs no cache miss.
struct ListsData {
    const std::uint64_t* offsets = nullptr;  // (lists + 1): of rows
    const std::uint32_t* rows = nullptr;     // without codes
    const std::uint64_t* blocks = nullptr;   // (lists + 1)
    const std::uint8_t* codes = nullptr;
};

struct BlockTail {
    std::uint8_t stretches[kNibbleRows];
    std::uint32_t rows[kNibbleRows];
    std::uint8_t top;  // the largest stretch in the list
    std::uint8_t filling[kNibbleRows - 1];
};
static_assert(sizeof(BlockTail) == kBlockTail, "files have no other filling");

constexpr std::size_t kFirstLists = 8;

// One query's view of a partition.
class ListQuery {
public:
    struct Choice {
        double route;  // what lists are ordered by
        double score;  // <query, centroid>
        std::uint32_t list;
        bool operator<(const Choice& other) const {
            return route != other.route ? route > other.route : list < other.list;
        }
    };

    // The first `probes` lists are found from half as many more whole centroids, which their heads chose.
    ListQuery(const Isa& isa, const PartitionData& partition, const float* query, std::size_t probes)
        : isa_(isa), partition_(partition) {
        code(query);
        choose(probes);
        tabulate(query);
    }

    const Choice& operator[](std::size_t i) {
        if (i >= choices_.size()) look_at_all();
        return choices_[i];
    }

    // The estimate of a row is float(score of its list + stretch * (offset + delta * sum)).
    double offset = 0.0, delta = 0.0;
    std::int64_t largest = 0;  // sum there can be
    std::vector<std::uint8_t> tables;

private:
    // In 14 bits; one scale for all dims, so that head and tail add up.
    void code(const float* query) {
        constexpr double most = 8191.0;
        const std::size_t dim = partition_.dim, head = partition_.head;
        float largest_value = 0.0F;
        for (std::size_t d = 0; d < dim; ++d) largest_value = std::max(largest_value, std::fabs(query[d]));
        scale_ = static_cast<double>(largest_value) / most;
        head_.assign(padded(head), 0);
        tail_.assign(padded(dim - head), 0);
        if (!(scale_ > 0.0)) return;
        for (std::size_t d = 0; d < dim; ++d)
            (d < head ? head_[d] : tail_[d - head]) =
                static_cast<std::int16_t>(std::clamp(std::rint(static_cast<double>(query[d]) / scale_), -most, most));
    }

    static std::size_t padded(std::size_t width) { return (width + kQueryPad - 1) / kQueryPad * kQueryPad; }

    void choose(std::size_t probes) {
        const std::size_t lists = partition_.lists, wanted = std::min(lists, probes + probes / 2 + 16);
        probes = std::min(probes, lists);
        dots_.resize(lists);
        isa_.int8_dots(partition_.heads, lists, partition_.head, head_.data(), dots_.data());
        if (wanted == lists) {
            look_at_all();
            return arrange(probes);
        }
        Best near(wanted, lists);
        std::vector<double> totals(lists, 0.0);
        std::vector<float> routes(lists);
        isa_.add_scaled(dots_.data(), partition_.worths, scale_, lists, totals.data());
        isa_.finish(totals.data(), nullptr, lists, routes.data());
        near.offer(routes.data(), 0, lists, nullptr);
        choices_.reserve(lists);
        for (const std::uint64_t key : near.unsorted()) choices_.push_back({0.0, 0.0, static_cast<std::uint32_t>(key)});
        for (std::size_t i = 0; i < wanted; ++i) {
            if (i + 4 < wanted) prefetch_tail(choices_[i + 4].list);
            choices_[i] = whole(choices_[i].list);
        }
        arrange(probes);
    }

    // The best few first: they say how good a row must be. Then the other probes as they lie in memory, where lists of
    // one parent are neighbours. Then, in order, those that are looked into only if rows are missing.
    void arrange(std::size_t probes) {
        const auto first = choices_.begin(), end = first + static_cast<std::ptrdiff_t>(probes);
        const auto few = first + static_cast<std::ptrdiff_t>(std::min(probes, kFirstLists));
        if (end != choices_.end()) std::nth_element(first, end - 1, choices_.end());
        std::partial_sort(first, few, end);
        std::sort(few, end, [](const Choice& a, const Choice& b) { return a.list < b.list; });
        std::sort(end, choices_.end());
    }

    // After the lists that were chosen come all others.
    void look_at_all() {
        std::vector<bool> there(partition_.lists, false);
        for (const Choice& one : choices_) there[one.list] = true;
        const auto first = static_cast<std::ptrdiff_t>(choices_.size());
        for (std::size_t l = 0; l < partition_.lists; ++l)
            if (!there[l]) choices_.push_back(whole(l));
        std::sort(choices_.begin() + first, choices_.end());
    }

    Choice choice(std::size_t list, std::int64_t dot) const {
        const double score = static_cast<double>(dot) * (scale_ * static_cast<double>(partition_.scales[list]));
        return {score * static_cast<double>(partition_.routes[list]), score, static_cast<std::uint32_t>(list)};
    }

    Choice whole(std::size_t list) const {
        const std::size_t width = partition_.dim - partition_.head;
        std::int64_t tail = 0;
        if (width > 0) isa_.int8_dots(partition_.tails + list * width, 1, width, tail_.data(), &tail);
        return choice(list, dots_[list] + tail);
    }

    void prefetch_tail(std::size_t list) const {
        const std::size_t width = partition_.dim - partition_.head;
        for (std::size_t i = 0; i < width; i += 64) __builtin_prefetch(partition_.tails + list * width + i);
    }

    // One step of all tables is the widest table over the most that an entry can be.
    void tabulate(const float* query) {
        const std::size_t groups = partition_.groups;
        std::vector<float> values(groups * kCodewords), lows(groups), gathered(partition_.ends[groups - 1]);
        for (std::size_t i = 0; i < gathered.size(); ++i) gathered[i] = query[partition_.order[i]];
        isa_.nibble_tables(gathered.data(), partition_.ends, groups, partition_.books, values.data());
        float widest = 0.0F;
        for (std::size_t g = 0; g < groups; ++g) {
            const float* table = values.data() + g * kCodewords;
            float low = table[0], high = table[0];
            for (std::size_t c = 1; c < kCodewords; ++c) {
                low = std::min(low, table[c]);
                high = std::max(high, table[c]);
            }
            lows[g] = low;
            offset += static_cast<double>(low);
            widest = std::max(widest, high - low);
        }
        // Products beyond float32, or so small that steps are: only the centroids say what is near.
        const bool usable = widest > 1e-36F && widest <= std::numeric_limits<float>::max() && std::isfinite(offset);
        delta = usable ? static_cast<double>(widest) / kMostEntry : 0.0;
        if (!std::isfinite(offset)) offset = 0.0;
        const float steps = usable ? static_cast<float>(kMostEntry) / widest : 0.0F;
        tables.resize(groups * 32);
        for (std::size_t g = 0; g < groups; ++g) {
            const float* table = values.data() + g * kCodewords;
            std::uint8_t coded[kCodewords];
            for (std::size_t c = 0; c < kCodewords; ++c)
                coded[c] = usable ? static_cast<std::uint8_t>(static_cast<int>((table[c] - lows[g]) * steps + 0.5F)) : 0;
            largest += *std::max_element(coded, coded + kCodewords);
            std::uint8_t* to = tables.data() + g / 4 * 128 + g / 2 % 2 * 32 + g % 2 * 64;
            std::copy(coded, coded + kCodewords, to);
            std::copy(coded, coded + kCodewords, to + kCodewords);
        }
    }

    const Isa& isa_;
    const PartitionData& partition_;
    double scale_ = 0.0;
    std::vector<std::int16_t> head_, tail_;
    std::vector<std::int64_t> dots_;
    std::vector<Choice> choices_;
};

}  // namespace kukla
