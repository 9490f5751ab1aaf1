// Partitioned lists: which of them a query looks into, and what their rows' codes say.
//
// A row belongs to the list of its nearest centroid. Two codes, a short one and a long one, say what is left of it there:
// its score for a query is estimated as <query, centroid> + stretch * sum over groups of <query, codeword>.
// kukla.partition has the same in NumPy: all sums of floats are done in one order, so the estimates are equal to the bit.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "bins.hpp"
#include "isa.hpp"
#include "nibbles.hpp"

namespace kukla {

struct CodebookData {
    std::size_t groups = 0;
    const std::uint64_t* order = nullptr;  // (ends[groups - 1]): the dims in the order of the groups
    const std::uint64_t* ends = nullptr;   // (groups)
    const float* books = nullptr;          // (ends[groups - 1], 16)

    std::size_t pairs() const { return groups / 2; }
};

// Centroids in int8, their first `head` dims apart: these choose which centroids are looked at as a whole.
struct PartitionData {
    std::size_t lists = 0, dim = 0, head = 0;
    const std::int8_t* heads = nullptr;  // (lists, head)
    const std::int8_t* tails = nullptr;  // (lists, dim - head)
    const float* scales = nullptr;       // (lists): what a step of a code is worth
    const float* routes = nullptr;       // (lists): what scores are multiplied by to compare lists
    const float* worths = nullptr;       // (lists): both multiplied
    CodebookData shorts, longs;
    std::size_t shortlist = 1;           // so many rows are scored by long codes for each that the stage keeps

    std::size_t block_bytes() const { return (shorts.pairs() + 1) * kNibbleRows; }
    std::size_t record_bytes() const { return longs.pairs() + kRecordTail; }
};

// The lists of one segment. Without offsets it has none; without codes, rows are scored in another way.
struct ListsData {
    const std::uint64_t* offsets = nullptr;  // (lists + 1): of rows
    const std::uint32_t* rows = nullptr;     // in the order of lists
    const std::uint64_t* blocks = nullptr;   // (lists + 1)
    const std::uint8_t* shorts = nullptr;    // blocks
    const std::uint8_t* longs = nullptr;     // records, in the order of `rows`
};

// What a row's code adds to the score of its list is stretch * (offset + delta * sum).
struct Tables {
    double offset = 0.0, delta = 0.0;
    std::vector<std::uint8_t> entries;
};

// Scores in float32 stay finite: see kukla.partition.probe.
constexpr double kMostTable = 0x1p124, kMostBase = 0x1p126;

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
        tabulate(query, partition.shorts, shorts);
        tabulate(query, partition.longs, longs);
    }

    // The chosen lists as they lie in memory, where those of one parent are neighbours; then the others, best first.
    const Choice& operator[](std::size_t i) {
        if (i >= chosen_ && !sorted_) {
            std::sort(choices_.begin() + static_cast<std::ptrdiff_t>(chosen_), choices_.end());
            sorted_ = true;
        }
        if (i >= choices_.size()) look_at_all();
        return choices_[i];
    }

    Tables shorts, longs;

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
        // lrint is an instruction, where rint is a call.
        const auto coded = [&](float value) {
            return static_cast<std::int16_t>(std::lrint(std::clamp(static_cast<double>(value) / scale_, -most, most)));
        };
        for (std::size_t d = 0; d < head; ++d) head_[d] = coded(query[d]);
        for (std::size_t d = head; d < dim; ++d) tail_[d - head] = coded(query[d]);
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
        std::vector<double> totals(lists, 0.0);
        std::vector<float> routes(lists);
        isa_.add_scaled(dots_.data(), partition_.worths, scale_, lists, totals.data());
        isa_.finish(totals.data(), nullptr, lists, routes.data());
        const std::vector<std::uint32_t> near = best_of(routes, wanted);
        choices_.reserve(wanted);
        for (std::size_t i = 0; i < wanted; ++i) {
            if (i + 4 < wanted) prefetch_tail(near[i + 4]);
            choices_.push_back(whole(near[i]));
        }
        arrange(probes);
    }

    // Ties to the smaller number; in no order.
    std::vector<std::uint32_t> best_of(const std::vector<float>& routes, std::size_t wanted) const {
        const auto [low, high] = std::minmax_element(routes.begin(), routes.end());
        std::vector<std::uint32_t> found(routes.size() + kAtLeastRoom);
        std::size_t count = 0;
        Bins bins(*low, *high);
        if (bins.usable()) {
            for (const float route : routes) bins.add(route);
            const float least = bins.low(bins.reaching(wanted).first);
            count = isa_.at_least(routes.data(), routes.size(), least, found.data());
        }
        if (count < wanted) {
            count = routes.size();
            std::iota(found.begin(), found.end(), 0U);
        }
        found.resize(count);
        if (wanted < count)
            std::nth_element(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(wanted), found.end(),
                             [&](std::uint32_t a, std::uint32_t b) {
                                 return routes[a] != routes[b] ? routes[a] > routes[b] : a < b;
                             });
        found.resize(wanted);
        return found;
    }

    void arrange(std::size_t probes) {
        chosen_ = probes;
        const auto first = choices_.begin(), end = first + static_cast<std::ptrdiff_t>(probes);
        if (end != choices_.end()) std::nth_element(first, end - 1, choices_.end());
        std::sort(first, end, [](const Choice& a, const Choice& b) { return a.list < b.list; });
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

    // One step of all tables is the widest pair over the most that two entries can be, each rounded.
    void tabulate(const float* query, const CodebookData& book, Tables& to) const {
        const std::size_t groups = book.groups;
        std::vector<float> values(groups * kCodewords), lows(groups), widths(groups), gathered(book.ends[groups - 1]);
        for (std::size_t i = 0; i < gathered.size(); ++i) gathered[i] = query[book.order[i]];
        isa_.nibble_tables(gathered.data(), book.ends, groups, book.books, values.data());
        float widest = 0.0F;
        for (std::size_t g = 0; g < groups; ++g) {
            const float* table = values.data() + g * kCodewords;
            float low = table[0], high = table[0];
            for (std::size_t c = 1; c < kCodewords; ++c) {
                low = std::min(low, table[c]);
                high = std::max(high, table[c]);
            }
            lows[g] = low;
            widths[g] = high - low;
            to.offset += static_cast<double>(low);
            if (g % 2 == 1) widest = std::max(widest, widths[g - 1] + widths[g]);
        }
        // Products so large that sums leave float32, or so small that steps are: only the centroids say what is near.
        const bool moderate = std::fabs(to.offset) <= kMostTable;
        const bool usable = moderate && widest > 1e-36F &&
                            static_cast<double>(widest) * static_cast<double>(groups) <= kMostTable;
        to.delta = usable ? static_cast<double>(widest) / kMostPair : 0.0;
        if (!moderate) to.offset = 0.0;
        to.entries.assign(groups * 32, 0);
        if (!usable) return;
        const float steps = static_cast<float>(kMostPair) / widest;
        for (std::size_t g = 0; g < groups; ++g) {
            const float* table = values.data() + g * kCodewords;
            std::uint8_t coded[kCodewords];
            for (std::size_t c = 0; c < kCodewords; ++c)
                coded[c] = static_cast<std::uint8_t>(static_cast<int>((table[c] - lows[g]) * steps + 0.5F));
            std::uint8_t* line = to.entries.data() + g / 4 * 128 + g / 2 % 2 * 32 + g % 2 * 64;
            std::copy(coded, coded + kCodewords, line);
            std::copy(coded, coded + kCodewords, line + kCodewords);
        }
    }

    const Isa& isa_;
    const PartitionData& partition_;
    double scale_ = 0.0;
    std::vector<std::int16_t> head_, tail_;
    std::vector<std::int64_t> dots_;
    std::vector<Choice> choices_;
    std::size_t chosen_ = 0;
    bool sorted_ = false;
};

}  // namespace kukla
