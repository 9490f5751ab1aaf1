// The Runner for Python. Shapes are compared here once, when a plan is bound to the segments of a view.
#include "bind_runner.hpp"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <atomic>
#include <memory>
#include <tuple>

#include "bind.hpp"
#include "runner.hpp"

namespace kukla {
namespace {

using Anything = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;

Kind kind_named(const std::string& name) {
    if (name == "binary") return Kind::binary;
    if (name == "int8") return Kind::int8;
    if (name == "float32") return Kind::float32;
    if (name == "float16") return Kind::float16;
    if (name == "pq4") return Kind::lists;
    throw std::invalid_argument("no precision named " + name);
}

// Keeps the arrays alive that the Runner points into.
class BoundRunner {
public:
    using Stage = std::tuple<std::string, std::size_t, bool, std::size_t>;  // precision, dim, renormalise, probes
    // Order, ends, books: see CodebookData.
    using Codebook = std::tuple<Array<const std::uint64_t, 1>, Array<const std::uint64_t, 1>, Array<const float, 2>>;
    // Heads, tails, scales, routes, worths, codes of means, short codes, long codes, shortlist, least share: see
    // PartitionData.
    using Partition = std::tuple<Array<const std::int8_t, 2>, Array<const std::int8_t, 2>, Array<const float, 1>,
                                 Array<const float, 1>, Array<const float, 1>, Codebook, Codebook, Codebook,
                                 std::size_t, std::size_t>;
    // Offsets, rows, blocks, means, routes, short codes, long codes: see ListsData.
    using Lists = std::tuple<Array<const std::uint64_t, 1>, Array<const std::uint32_t, 1>, Array<const std::uint64_t, 1>,
                             Array<const std::uint8_t, 3>, Array<const float, 1>, Array<const std::uint8_t, 3>,
                             Array<const std::uint8_t, 2>>;

    BoundRunner(const std::string& isa, std::vector<std::size_t> ends, const std::vector<Stage>& stages,
                const std::optional<Partition>& partition, std::size_t live)
        : isa_(isa), live_(live), kept_partition_(partition) {
        require(!ends.empty() && !stages.empty(), "a plan has dims and stages");
        ends_ = std::move(ends);
        for (const auto& [precision, dim, renormalise, probes] : stages) {
            require(dim > 0 && dim <= ends_.back(), "a stage's dim must be within the vectors");
            const Kind kind = kind_named(precision);
            require(kind != Kind::lists || (stages_.empty() && stages.size() > 1 && partition && probes > 0),
                    "lists are for a first stage, need a partition, probes, and a stage for segments without lists");
            stages_.push_back({kind, dim, renormalise, probes});
        }
        if (partition) set_partition(*partition);
    }

    BoundRunner(const BoundRunner&) = delete;
    BoundRunner& operator=(const BoundRunner&) = delete;

    // One array of ids, or offsets and bytes; for each stage the arrays of its shells (or one of vectors), scales, norms.
    void add_segment(std::size_t rows, const Optional<std::int64_t, 1>& ids, const Optional<std::uint64_t, 1>& offsets,
                     const Optional<std::uint8_t, 1>& bytes, const std::vector<std::vector<Anything>>& codes,
                     const std::vector<std::vector<Array<const float, 1>>>& scales,
                     const std::vector<Optional<float, 1>>& norms, const std::optional<Lists>& lists,
                     const Optional<std::uint8_t, 1>& live) {
        require(rows < 0xFFFFFFFFU && codes.size() == stages_.size() && scales.size() == stages_.size() &&
                    norms.size() == stages_.size(),
                "a segment has arrays for each stage");
        SegmentData segment;
        segment.rows = rows;
        if (ids) {
            require(ids->shape(0) == rows, "ids must be one a row");
            segment.ids.numbers = ids->data();
        } else {
            require(offsets && bytes && offsets->shape(0) == rows + 1, "string ids are offsets and bytes");
            segment.ids.offsets = offsets->data();
            segment.ids.bytes = bytes->data();
            segment.ids.size = bytes->shape(0);
        }
        for (std::size_t i = 0; i < stages_.size(); ++i) segment.stages.push_back(data(i, rows, codes[i], scales[i], norms[i]));
        if (lists) segment.lists = lists_of(rows, *lists);
        segment.live_rows = rows;
        if (live) {
            require(live->shape(0) == rows, "a mask has one element a row");
            segment.live = live->data();
            segment.live_rows = allowed_by(live->data(), rows);
            if (lists) {
                const std::size_t blocks = segment.lists.blocks[partition_.lists];
                open_.emplace_back(new std::atomic<std::uint8_t>[blocks]);
                segment.open = open_.back().get();
                for (std::size_t b = 0; b < blocks; ++b) segment.open[b] = ListScan::kUnknown;
            }
        }
        segments_.push_back(std::move(segment));
        runner_.emplace(isa_named(isa_.c_str()), ends_.back(), ends_, stages_, segments_, partition_, live_);
        kept_.emplace_back(ids, offsets, bytes, codes, scales, norms, lists, live);
    }

    // Seconds and scored candidates of each stage.
    using Counts = std::pair<std::vector<double>, std::vector<std::int64_t>>;

    Counts run(const Array<const float, 2>& queries, const std::vector<std::size_t>& keeps,
               const std::vector<Optional<std::uint8_t, 1>>& masks, std::size_t threads,
               const Array<std::int64_t, 2>& rows, const Array<float, 2>& scores, const Array<float, 2>& cuts) {
        nb::gil_scoped_release released;
        const std::size_t nq = queries.shape(0), depth = depth_of_plan();
        require(queries.shape(1) == ends_.back() && keeps.size() == depth && masks.size() == segments_.size(),
                "queries, keeps or masks do not fit");
        require(rows.shape(0) == nq && rows.shape(1) == keeps.back() && scores.shape(0) == nq &&
                    scores.shape(1) == keeps.back() && cuts.shape(0) == depth && cuts.shape(1) == nq,
                "results do not fit");
        std::vector<const std::uint8_t*> allowed_rows;
        std::vector<std::size_t> allowed;
        std::size_t most = 0;
        for (std::size_t s = 0; s < segments_.size(); ++s) {
            const std::size_t n = segments_[s].rows;
            require(!masks[s] || masks[s]->shape(0) == n, "a mask has one element a row");
            const std::uint8_t* mask = masks[s] ? masks[s]->data() : nullptr;
            allowed_rows.push_back(mask);
            allowed.push_back(mask == nullptr              ? n
                              : mask == segments_[s].live ? segments_[s].live_rows
                                                          : allowed_by(mask, n));
            most += allowed.back();
        }
        for (std::size_t i = 0; i < depth; ++i) {
            require(keeps[i] <= most, "more results than rows");
            most = keeps[i];
        }
        require(runner_.has_value(), "a plan needs a segment to run on");
        Counts counts{std::vector<double>(depth), std::vector<std::int64_t>(depth)};
        runner_->run(queries.data(), nq, keeps, allowed_rows, allowed, threads, rows.data(), scores.data(), cuts.data(),
                     counts.first.data(), counts.second.data());
        return counts;
    }

private:
    static std::size_t allowed_by(const std::uint8_t* mask, std::size_t rows) {
        return rows - static_cast<std::size_t>(std::count(mask, mask + rows, std::uint8_t{0}));
    }

    std::size_t depth_of_plan() const { return stages_.size() - (stages_[0].kind == Kind::lists ? 1 : 0); }

    void set_partition(const Partition& given) {
        const auto& [heads, tails, scales, routes, worths, means, shorts, longs, shortlist, least_share] = given;
        const std::size_t lists = heads.shape(0), dim = ends_.back();
        require(lists > 0 && tails.shape(0) == lists && heads.shape(1) + tails.shape(1) == dim &&
                    scales.shape(0) == lists && routes.shape(0) == lists && worths.shape(0) == lists && shortlist > 0 &&
                    least_share > 0,
                "centroids do not fit the vectors");
        partition_ = {lists,           dim,           heads.shape(1),  heads.data(),     tails.data(),    scales.data(),
                      routes.data(),   worths.data(), codebook(means), codebook(shorts), codebook(longs), shortlist,
                      least_share};
    }

    CodebookData codebook(const Codebook& given) const {
        const auto& [order, group_ends, books] = given;
        const std::size_t groups = group_ends.shape(0), dim = ends_.back();
        require(groups > 0 && groups % 4 == 0 && groups <= kMostGroups && books.shape(1) == kCodewords &&
                    order.shape(0) == books.shape(0) && group_ends.data()[groups - 1] == order.shape(0) &&
                    std::is_sorted(group_ends.data(), group_ends.data() + groups) &&
                    std::all_of(order.data(), order.data() + order.shape(0), [dim](std::uint64_t d) { return d < dim; }),
                "codebooks do not fit the vectors");
        return {groups, order.data(), group_ends.data(), books.data()};
    }

    ListsData lists_of(std::size_t rows, const Lists& given) const {
        const auto& [offsets, numbers, blocks, means, routes, shorts, longs] = given;
        const std::size_t lists = partition_.lists;
        require(lists > 0 && offsets.shape(0) == lists + 1 && numbers.shape(0) == rows && offsets.data()[0] == 0 &&
                    offsets.data()[lists] == rows && std::is_sorted(offsets.data(), offsets.data() + lists + 1),
                "lists do not fit the partition");
        ListsData made;
        made.offsets = offsets.data();
        made.rows = numbers.data();
        require(blocks.shape(0) == lists + 1 && shorts.shape(1) * kNibbleRows == partition_.block_bytes() &&
                    shorts.shape(2) == kNibbleRows && blocks.data()[lists] == shorts.shape(0) &&
                    means.shape(0) == (shorts.shape(0) + kNibbleRows - 1) / kNibbleRows &&
                    means.shape(1) * kNibbleRows == partition_.mean_bytes() && means.shape(2) == kNibbleRows &&
                    routes.shape(0) == shorts.shape(0) && longs.shape(0) == rows &&
                    longs.shape(1) == partition_.record_bytes(),
                "codes do not fit the lists");
        for (std::size_t l = 0; l < lists; ++l)
            require(blocks.data()[l + 1] - blocks.data()[l] ==
                        (offsets.data()[l + 1] - offsets.data()[l] + kNibbleRows - 1) / kNibbleRows,
                    "codes do not fit the lists");
        made.blocks = blocks.data();
        made.means = means.data();
        made.routes = routes.data();
        made.shorts = shorts.data();
        made.longs = longs.data();
        return made;
    }

    StageData data(std::size_t i, std::size_t rows, const std::vector<Anything>& codes,
                   const std::vector<Array<const float, 1>>& scales, const Optional<float, 1>& norms) const {
        StageData made;
        const Kind kind = stages_[i].kind;
        if (kind == Kind::lists) return made;
        require(!norms || norms->shape(0) == rows, "norms must be one a row");
        made.norms = norms ? norms->data() : nullptr;
        if (kind == Kind::float32 || kind == Kind::float16) {
            require(codes.size() == 1 && codes[0].ndim() == 2 && codes[0].shape(0) == rows &&
                        codes[0].shape(1) == ends_.back() && codes[0].itemsize() == (kind == Kind::float32 ? 4 : 2),
                    "vectors do not fit");
            made.vectors = codes[0].data();
            return made;
        }
        std::size_t low = 0, shells = 0;
        for (const std::size_t high : ends_) {
            if (high > stages_[i].dim) break;
            const std::size_t width = kind == Kind::binary ? (high - low + 7) / 8 : high - low;
            require(shells < codes.size() && codes[shells].ndim() == 2 && codes[shells].shape(0) == rows &&
                        codes[shells].shape(1) == width && codes[shells].itemsize() == 1,
                    "shells do not fit");
            made.shells.push_back(codes[shells].data());
            if (kind == Kind::int8) {
                require(shells < scales.size() && scales[shells].shape(0) == rows, "scales must be one a row");
                made.scales.push_back(scales[shells].data());
            }
            ++shells;
            low = high;
        }
        require(low == stages_[i].dim && shells == codes.size(), "a stage's dim must be one of the nesting");
        return made;
    }

    using Kept = std::tuple<Optional<std::int64_t, 1>, Optional<std::uint64_t, 1>, Optional<std::uint8_t, 1>,
                            std::vector<std::vector<Anything>>, std::vector<std::vector<Array<const float, 1>>>,
                            std::vector<Optional<float, 1>>, std::optional<Lists>, Optional<std::uint8_t, 1>>;

    std::string isa_;
    std::size_t live_;
    std::optional<Partition> kept_partition_;
    PartitionData partition_;
    std::vector<std::size_t> ends_;
    std::vector<StageSpec> stages_;
    std::vector<SegmentData> segments_;
    std::vector<Kept> kept_;
    std::vector<std::unique_ptr<std::atomic<std::uint8_t>[]>> open_;
    std::optional<Runner> runner_;
};

}  // namespace

void bind_runner(nb::module_& m) {
    nb::class_<BoundRunner>(m, "Runner")
        .def(nb::init<const std::string&, std::vector<std::size_t>, const std::vector<BoundRunner::Stage>&,
                      const std::optional<BoundRunner::Partition>&, std::size_t>(),
             nb::arg("isa"), nb::arg("ends"), nb::arg("stages"), nb::arg("partition").none(), nb::arg("live"))
        .def("add_segment", &BoundRunner::add_segment, nb::arg("rows"), nb::arg("ids").none(),
             nb::arg("offsets").none(), nb::arg("bytes").none(), nb::arg("codes"), nb::arg("scales"), nb::arg("norms"),
             nb::arg("lists").none(), nb::arg("live").none())
        .def("run", &BoundRunner::run, nb::arg("queries"), nb::arg("keeps"), nb::arg("masks"), nb::arg("threads"),
             nb::arg("rows"), nb::arg("scores"), nb::arg("cuts"));
}

}  // namespace kukla
