// Partitioned lists: which of them a query looks into, and what their rows' codes say.
//
// A row belongs to the list of its nearest centroid. Two codes, a short one and a long one, say what is left of it there:
// its score for a query is estimated as <query, centroid> + stretch * sum over groups of <query, codeword>. The mean of a
// block of 32 rows has a code of the same kind.
// kukla.partition has the same in NumPy: all sums of floats are done in one order, so the estimates are equal to the bit.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "isa.hpp"
#include "nibbles.hpp"
#include "prefetch.hpp"
#include "select.hpp"

namespace kukla {

struct CodebookData {
    std::size_t groups = 0;
    const std::uint64_t* order = nullptr;  // (ends[groups - 1]): the dims in the order of the groups
    const std::uint64_t* ends = nullptr;   // (groups)
    const float* books = nullptr;          // (ends[groups - 1], 16)

    std::size_t pairs() const { return groups / 2; }
};

// Centroids in int8, their first `head` dims apart: these choose which lists are looked into.
struct PartitionData {
    std::size_t lists = 0, dim = 0, head = 0;
    const std::int8_t* heads = nullptr;  // (lists, head)
    const std::int8_t* tails = nullptr;  // (lists, dim - head)
    const float* scales = nullptr;       // (lists): what a step of a code is worth
    const float* routes = nullptr;       // (lists): what scores are multiplied by to compare lists
    const float* worths = nullptr;       // (lists): both multiplied
    CodebookData means, shorts, longs;
    std::size_t shortlist = 1;           // so many rows are scored by long codes for each that the stage keeps
    std::size_t least_share = 1;         // of the rows in its lists a query scores at least one in so many

    // As rows_wanted in kukla.partition.model.
    std::size_t rows_wanted(std::size_t seen, std::size_t probes, std::size_t keep) const {
        const auto share = [&](std::size_t of) { return (of * probes + lists - 1) / lists; };
        const std::size_t least = (seen + least_share - 1) / least_share;
        return std::min(seen, std::max({least, share(share(seen)), shortlist * keep}));
    }
    std::size_t mean_bytes() const { return (means.pairs() + 1) * kNibbleRows; }
    std::size_t block_bytes() const { return (shorts.pairs() + 1) * kNibbleRows; }
    std::size_t record_bytes() const { return longs.pairs() + kRecordTail; }
};

// The lists of one segment. Without offsets it has none.
struct ListsData {
    const std::uint64_t* offsets = nullptr;  // (lists + 1): of rows
    const std::uint32_t* rows = nullptr;     // in the order of lists
    const std::uint64_t* blocks = nullptr;   // (lists + 1)
    const std::uint8_t* means = nullptr;     // blocks of 32 codes of the means of blocks
    const float* routes = nullptr;           // of each block: what scores of means are multiplied by to compare them
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

    // The first `probes` lists are those whose heads score best.
    ListQuery(const Isa& isa, const PartitionData& partition, const float* query, std::size_t probes)
        : isa_(isa), partition_(partition) {
        code(query);
        choose(probes);
        tabulate(query, partition.means, means);
        tabulate(query, partition.shorts, shorts);
        tabulate(query, partition.longs, longs);
    }

    // The chosen lists as they lie in memory, where those of one parent are neighbours; then the others, best first.
    const Choice& operator[](std::size_t i) {
        if (i >= choices_.size()) look_at_all();
        return choices_[i];
    }

    Tables means, shorts, longs;

private:
    static constexpr std::size_t kTogether = 16;

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

    // The chosen lists are in the order in which they lie in memory.
    void choose(std::size_t probes) {
        const std::size_t lists = partition_.lists;
        dots_.resize(lists);
        isa_.int8_dots(partition_.heads, lists, partition_.head, head_.data(), dots_.data());
        std::vector<double> totals(lists, 0.0);
        std::vector<float> routes(lists);
        isa_.add_scaled(dots_.data(), partition_.worths, scale_, lists, totals.data());
        isa_.finish(totals.data(), nullptr, lists, routes.data());
        std::vector<std::uint32_t> near;
        select(isa_, routes.data(), lists, probes, [](std::size_t) { return std::size_t{1}; },
               [&](std::uint32_t a, std::uint32_t b) { return routes[a] != routes[b] ? routes[a] > routes[b] : a < b; },
               near);
        whole(near);
    }

    // After the lists that were chosen come all others.
    void look_at_all() {
        std::vector<bool> there(partition_.lists, false);
        for (const Choice& one : choices_) there[one.list] = true;
        const auto first = static_cast<std::ptrdiff_t>(choices_.size());
        std::vector<std::uint32_t> others;
        for (std::size_t l = 0; l < partition_.lists; ++l)
            if (!there[l]) others.push_back(static_cast<std::uint32_t>(l));
        whole(others);
        std::sort(choices_.begin() + first, choices_.end());
    }

    // The scores of lists by all dims of their centroids; neighbours in one go.
    void whole(const std::vector<std::uint32_t>& lists) {
        const std::size_t width = partition_.dim - partition_.head;
        choices_.reserve(choices_.size() + lists.size());
        std::int64_t tails[kTogether] = {};
        std::size_t asked = 0;
        for (std::size_t i = 0; i < lists.size();) {
            std::size_t end = i + 1;
            while (end < lists.size() && end - i < kTogether && lists[end] == lists[end - 1] + 1) ++end;
            for (; asked < std::min(end + kTogether, lists.size()); ++asked) prefetch_tail(lists[asked]);
            if (width > 0) isa_.int8_dots(partition_.tails + lists[i] * width, end - i, width, tail_.data(), tails);
            for (std::size_t j = i; j < end; ++j) choices_.push_back(choice(lists[j], dots_[lists[j]] + tails[j - i]));
            i = end;
        }
    }

    Choice choice(std::size_t list, std::int64_t dot) const {
        const double score = static_cast<double>(dot) * (scale_ * static_cast<double>(partition_.scales[list]));
        return {score * static_cast<double>(partition_.routes[list]), score, static_cast<std::uint32_t>(list)};
    }

    void prefetch_tail(std::size_t list) const {
        const std::size_t width = partition_.dim - partition_.head;
        prefetch_bytes(partition_.tails + list * width, width);
    }

    // One step of all tables is the widest pair over the most that two entries can be, each rounded.
    void tabulate(const float* query, const CodebookData& book, Tables& to) const {
        const std::size_t groups = book.groups;
        std::vector<float> values(groups * kCodewords), lows(groups), widths(groups), gathered(book.ends[groups - 1]);
        for (std::size_t i = 0; i < gathered.size(); ++i) gathered[i] = query[book.order[i]];
        isa_.nibble_tables(gathered.data(), book.ends, groups, book.books, values.data(), lows.data(),
                           widths.data());
        float widest = 0.0F;
        for (std::size_t g = 0; g < groups; ++g) {
            to.offset += static_cast<double>(lows[g]);
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
};

}  // namespace kukla
