// The Runner for Python. Shapes are compared here once, when a plan is bound to the segments of a view.
#include "bind_runner.hpp"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

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
    throw std::invalid_argument("no precision named " + name);
}

// Keeps the arrays alive that the Runner points into.
class BoundRunner {
public:
    using Stage = std::tuple<std::string, std::size_t, bool>;  // precision, dim, renormalise

    BoundRunner(const std::string& isa, std::vector<std::size_t> ends, const std::vector<Stage>& stages) : isa_(isa) {
        require(!ends.empty() && !stages.empty(), "a plan has dims and stages");
        ends_ = std::move(ends);
        for (const auto& [precision, dim, renormalise] : stages) {
            require(dim > 0 && dim <= ends_.back(), "a stage's dim must be within the vectors");
            stages_.push_back({kind_named(precision), dim, renormalise});
        }
    }

    // One array of ids, or offsets and bytes; for each stage the arrays of its shells (or one of vectors), scales, norms.
    void add_segment(std::size_t rows, const Optional<std::int64_t, 1>& ids, const Optional<std::uint64_t, 1>& offsets,
                     const Optional<std::uint8_t, 1>& bytes, const std::vector<std::vector<Anything>>& codes,
                     const std::vector<std::vector<Array<const float, 1>>>& scales,
                     const std::vector<Optional<float, 1>>& norms) {
        require(rows < 0xFFFFFFFFU && codes.size() == stages_.size() && scales.size() == stages_.size() &&
                    norms.size() == stages_.size(),
                "a segment has arrays for each stage");
        SegmentData segment;
        segment.rows = rows;
        if (ids) {
            require(ids->shape(0) == rows, "ids must be one a row");
            segment.ids = ids->data();
        } else {
            require(offsets && bytes && offsets->shape(0) == rows + 1, "string ids are offsets and bytes");
            segment.id_offsets = offsets->data();
            segment.id_bytes = bytes->data();
            segment.id_size = bytes->shape(0);
        }
        for (std::size_t i = 0; i < stages_.size(); ++i) segment.stages.push_back(data(i, rows, codes[i], scales[i], norms[i]));
        segments_.push_back(std::move(segment));
        runner_.emplace(isa_named(isa_.c_str()), ends_.back(), ends_, stages_, segments_);
        kept_.emplace_back(ids, offsets, bytes, codes, scales, norms);
    }

    // Seconds and scored candidates of each stage.
    using Counts = std::pair<std::vector<double>, std::vector<std::int64_t>>;

    Counts run(const Array<const float, 2>& queries, const std::vector<std::size_t>& keeps,
               const std::vector<Optional<std::uint8_t, 1>>& masks, std::size_t threads,
               const Array<std::int64_t, 2>& rows, const Array<float, 2>& scores, const Array<float, 2>& cuts) {
        nb::gil_scoped_release released;
        const std::size_t nq = queries.shape(0), depth = stages_.size();
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
            allowed.push_back(mask == nullptr
                                  ? n
                                  : n - static_cast<std::size_t>(std::count(mask, mask + n, std::uint8_t{0})));
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
    StageData data(std::size_t i, std::size_t rows, const std::vector<Anything>& codes,
                   const std::vector<Array<const float, 1>>& scales, const Optional<float, 1>& norms) const {
        StageData made;
        const Kind kind = stages_[i].kind;
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
                            std::vector<Optional<float, 1>>>;

    std::string isa_;
    std::vector<std::size_t> ends_;
    std::vector<StageSpec> stages_;
    std::vector<SegmentData> segments_;
    std::vector<Kept> kept_;
    std::optional<Runner> runner_;
};

}  // namespace

void bind_runner(nb::module_& m) {
    nb::class_<BoundRunner>(m, "Runner")
        .def(nb::init<const std::string&, std::vector<std::size_t>, const std::vector<BoundRunner::Stage>&>(),
             nb::arg("isa"), nb::arg("ends"), nb::arg("stages"))
        .def("add_segment", &BoundRunner::add_segment, nb::arg("rows"), nb::arg("ids").none(),
             nb::arg("offsets").none(), nb::arg("bytes").none(), nb::arg("codes"), nb::arg("scales"), nb::arg("norms"))
        .def("run", &BoundRunner::run, nb::arg("queries"), nb::arg("keeps"), nb::arg("masks"), nb::arg("threads"),
             nb::arg("rows"), nb::arg("scores"), nb::arg("cuts"));
}

}  // namespace kukla
