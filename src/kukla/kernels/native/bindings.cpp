// The Python module. Arguments were checked in Python (kukla.kernels.checks); shapes are compared again here, so that a
// wrong call of this private module is an exception too. The GIL is released while kernels run.
#include <type_traits>

#include "bind.hpp"
#include "bind_partition.hpp"
#include "bind_runner.hpp"
#include "reach.hpp"
#include "scan.hpp"

namespace kukla {
namespace {

nb::tuple available() {
    nb::list names;
    for (const Isa* const* isa = available_isas(); *isa != nullptr; ++isa) names.append((*isa)->name);
    return nb::tuple(names);
}

// A pointer to n elements, or null.
template <class T>
const T* optional_data(const Optional<T, 1>& array, std::size_t n) {
    require(!array || array->shape(0) == n, "norms and mask must have one element per row");
    return array ? array->data() : nullptr;
}

BinaryScorer binary_scorer(const char* isa, const Matrices<std::uint8_t>& shells, const Matrices<std::uint8_t>& queries,
                           std::size_t nq) {
    require(!shells.empty() && shells.size() == queries.size(), "shells and queries must be equally many");
    BinaryScorer scorer(isa_named(isa));
    for (std::size_t s = 0; s < shells.size(); ++s) {
        require(shells[s].shape(0) == shells[0].shape(0) && queries[s].shape(0) == nq &&
                    shells[s].shape(1) == queries[s].shape(1),
                "shells and queries must match");
        scorer.add(shells[s].data(), queries[s].data(), shells[s].shape(1));
    }
    return scorer;
}

Int8Scorer int8_scorer(const char* isa, const Matrices<std::int8_t>& shells,
                       const std::vector<Array<const float, 1>>& scales, const Matrices<std::int16_t>& queries,
                       const Array<const double, 2>& query_scales, const Optional<float, 1>& norms, std::size_t nq) {
    require(!shells.empty() && shells.size() == queries.size() && shells.size() == scales.size(),
            "shells, scales and query codes must be equally many");
    require(query_scales.shape(0) == nq && query_scales.shape(1) == shells.size(), "query scales must be (nq, S)");
    const std::size_t n = shells[0].shape(0);
    Int8Scorer scorer(isa_named(isa), query_scales.data(), shells.size(), optional_data<float>(norms, n));
    for (std::size_t s = 0; s < shells.size(); ++s) {
        require(shells[s].shape(0) == n && scales[s].shape(0) == n && queries[s].shape(0) == nq &&
                    shells[s].shape(1) == queries[s].shape(1),
                "shells, scales and query codes must match");
        scorer.add(shells[s].data(), scales[s].data(), queries[s].data(), nq, shells[s].shape(1));
    }
    return scorer;
}

template <class Element>
FloatScorer<Element> float_scorer(const char* isa, const Array<const Element, 2>& vectors,
                                  const Array<const float, 2>& queries, std::size_t dim,
                                  const Optional<float, 1>& norms, std::size_t nq) {
    require(queries.shape(0) == nq && dim <= vectors.shape(1) && dim <= queries.shape(1), "queries or dim do not fit");
    return {isa_named(isa), vectors.data(), vectors.shape(1), queries.data(), nq, queries.shape(1), dim,
            optional_data<float>(norms, vectors.shape(0))};
}

template <class Scorer>
void run_scan(const Scorer& scorer, std::size_t n, const Optional<std::uint8_t, 1>& mask, std::size_t threads,
              const Array<std::int64_t, 2>& rows, const Array<typename Scorer::Value, 2>& values) {
    const std::uint8_t* allowed = optional_data<std::uint8_t>(mask, n);
    const std::size_t nq = rows.shape(0), keep = rows.shape(1);
    require(values.shape(0) == nq && values.shape(1) == keep, "results must have equal shapes");
    require(n < 0xFFFFFFFFU, "too many rows");
    const std::size_t most =
        allowed == nullptr ? n : n - static_cast<std::size_t>(std::count(allowed, allowed + n, std::uint8_t{0}));
    require(keep <= most, "more results than rows");
    scan(scorer, n, nq, keep, allowed, threads, rows.data(), values.data());
}

template <class Scorer>
void run_score(const Scorer& scorer, std::size_t n, const Array<const std::int64_t, 2>& rows, std::size_t threads,
               const Array<typename Scorer::Value, 2>& values) {
    require(values.shape(0) == rows.shape(0) && values.shape(1) == rows.shape(1),
            "results must have the shape of rows");
    const std::int64_t* row = rows.data();
    require(std::all_of(row, row + rows.size(), [n](std::int64_t r) { return static_cast<std::uint64_t>(r) < n; }),
            "a row is out of range");
    score(scorer, row, rows.shape(0), rows.shape(1), threads, values.data());
}

void scan_binary(const char* isa, const Matrices<std::uint8_t>& shells, const Matrices<std::uint8_t>& queries,
                 const Optional<std::uint8_t, 1>& mask, std::size_t threads, const Array<std::int64_t, 2>& rows,
                 const Array<std::int32_t, 2>& distances) {
    nb::gil_scoped_release released;
    run_scan(binary_scorer(isa, shells, queries, rows.shape(0)), shells[0].shape(0), mask, threads, rows, distances);
}

void scan_int8(const char* isa, const Matrices<std::int8_t>& shells, const std::vector<Array<const float, 1>>& scales,
               const Matrices<std::int16_t>& queries, const Array<const double, 2>& query_scales,
               const Optional<float, 1>& norms, const Optional<std::uint8_t, 1>& mask, std::size_t threads,
               const Array<std::int64_t, 2>& rows, const Array<float, 2>& scores) {
    nb::gil_scoped_release released;
    run_scan(int8_scorer(isa, shells, scales, queries, query_scales, norms, rows.shape(0)), shells[0].shape(0), mask,
             threads, rows, scores);
}

template <class Element>
void scan_float(const char* isa, const Array<const Element, 2>& vectors, const Array<const float, 2>& queries,
                std::size_t dim, const Optional<float, 1>& norms, const Optional<std::uint8_t, 1>& mask,
                std::size_t threads, const Array<std::int64_t, 2>& rows, const Array<float, 2>& scores) {
    nb::gil_scoped_release released;
    run_scan(float_scorer<Element>(isa, vectors, queries, dim, norms, rows.shape(0)), vectors.shape(0), mask, threads,
             rows, scores);
}

void score_binary(const char* isa, const Matrices<std::uint8_t>& shells, const Matrices<std::uint8_t>& queries,
                  const Array<const std::int64_t, 2>& rows, std::size_t threads,
                  const Array<std::int32_t, 2>& distances) {
    nb::gil_scoped_release released;
    run_score(binary_scorer(isa, shells, queries, rows.shape(0)), shells[0].shape(0), rows, threads, distances);
}

void score_int8(const char* isa, const Matrices<std::int8_t>& shells, const std::vector<Array<const float, 1>>& scales,
                const Matrices<std::int16_t>& queries, const Array<const double, 2>& query_scales,
                const Optional<float, 1>& norms, const Array<const std::int64_t, 2>& rows, std::size_t threads,
                const Array<float, 2>& scores) {
    nb::gil_scoped_release released;
    run_score(int8_scorer(isa, shells, scales, queries, query_scales, norms, rows.shape(0)), shells[0].shape(0), rows,
              threads, scores);
}

template <class Element>
void score_float(const char* isa, const Array<const Element, 2>& vectors, const Array<const float, 2>& queries,
                 std::size_t dim, const Optional<float, 1>& norms, const Array<const std::int64_t, 2>& rows,
                 std::size_t threads, const Array<float, 2>& scores) {
    nb::gil_scoped_release released;
    run_score(float_scorer<Element>(isa, vectors, queries, dim, norms, rows.shape(0)), vectors.shape(0), rows, threads,
              scores);
}

BoundScorer bound_scorer(const char* isa, const Matrices<std::int8_t>& shells,
                         const std::vector<Array<const float, 1>>& scales, const Matrices<std::int8_t>& queries,
                         const Array<const float, 2>& query_scales, const Array<const float, 2>& margins,
                         std::size_t count) {
    const std::size_t nq = query_scales.shape(0);
    require(count > 0 && count <= shells.size() && shells.size() == queries.size() && shells.size() == scales.size(),
            "shells, scales and query codes must be equally many");
    require(query_scales.shape(1) == shells.size() && margins.shape(0) == nq && margins.shape(1) == shells.size(),
            "query scales and margins must be (nq, S)");
    const std::size_t n = shells[0].shape(0);
    BoundScorer scorer(isa_named(isa), query_scales.data(), margins.data(), shells.size());
    for (std::size_t s = 0; s < count; ++s) {
        require(shells[s].shape(0) == n && scales[s].shape(0) == n && queries[s].shape(0) == nq &&
                    shells[s].shape(1) == queries[s].shape(1),
                "shells, scales and query codes must match");
        scorer.add(shells[s].data(), scales[s].data(), queries[s].data(), nq, shells[s].shape(1));
    }
    return scorer;
}

void bound_int8(const char* isa, const Matrices<std::int8_t>& shells,
                const std::vector<Array<const float, 1>>& scales, const Matrices<std::int8_t>& queries,
                const Array<const float, 2>& query_scales, const Array<const float, 2>& margins, std::size_t count,
                const Optional<float, 1>& norms, const Optional<std::uint8_t, 1>& mask, std::size_t threads,
                const Array<float, 2>& totals, const Array<std::int64_t, 2>& rows, const Array<float, 2>& values) {
    nb::gil_scoped_release released;
    const BoundScorer scorer = bound_scorer(isa, shells, scales, queries, query_scales, margins, count);
    const std::size_t n = shells[0].shape(0), nq = query_scales.shape(0);
    require(totals.shape(0) == nq && totals.shape(1) == n && rows.shape(0) == nq && values.shape(0) == nq &&
                rows.shape(1) == values.shape(1) && rows.shape(1) <= n,
            "totals must be (nq, n), results (nq, keep)");
    bound_all(scorer, optional_data<float>(norms, n), n, nq, rows.shape(1), optional_data<std::uint8_t>(mask, n),
              threads, totals.data(), rows.data(), values.data());
}

// (rows of all queries one after the other, offsets between them, rows scored at each checkpoint)
nb::tuple reach_int8(const char* isa, const Matrices<std::int8_t>& shells,
                     const std::vector<Array<const float, 1>>& scales, const Matrices<std::int8_t>& queries,
                     const Array<const float, 2>& query_scales, const Array<const float, 2>& margins,
                     const Array<const float, 2>& totals, const std::vector<std::size_t>& checkpoints,
                     const std::vector<Optional<float, 1>>& norms, const Array<const float, 2>& query_tails,
                     const Array<const float, 2>& thresholds, const Optional<std::uint8_t, 1>& mask,
                     std::size_t threads) {
    Reached reached;
    {
        nb::gil_scoped_release released;
        const BoundScorer scorer = bound_scorer(isa, shells, scales, queries, query_scales, margins, shells.size());
        const std::size_t n = shells[0].shape(0), nq = query_scales.shape(0), depth = checkpoints.size();
        require(totals.shape(0) == nq && totals.shape(1) == n, "totals must be (nq, n)");
        require(depth > 0 && norms.size() == depth && query_tails.shape(0) == depth && query_tails.shape(1) == nq &&
                    thresholds.shape(0) == depth && thresholds.shape(1) == nq,
                "norms must be one array a checkpoint, query tails and thresholds (checkpoints, nq)");
        std::vector<Checkpoint> at;
        for (std::size_t c = 0; c < depth; ++c) {
            require(checkpoints[c] > (c == 0 ? 0 : checkpoints[c - 1]) && checkpoints[c] <= shells.size(),
                    "checkpoints must rise up to the number of shells");
            at.push_back({checkpoints[c], optional_data<float>(norms[c], n), query_tails.data() + c * nq,
                          thresholds.data() + c * nq});
        }
        reached = reach(scorer, at, n, nq, totals.data(), optional_data<std::uint8_t>(mask, n), threads);
    }
    const auto array = [](const std::vector<std::int64_t>& values) {
        auto* kept = new std::vector<std::int64_t>(values);
        nb::capsule owner(kept, [](void* data) noexcept { delete static_cast<std::vector<std::int64_t>*>(data); });
        return nb::ndarray<nb::numpy, std::int64_t, nb::ndim<1>>(kept->data(), {kept->size()}, owner);
    };
    std::vector<std::int64_t> rows, offsets{0};
    for (const std::vector<std::int64_t>& found : reached.rows) {
        rows.insert(rows.end(), found.begin(), found.end());
        offsets.push_back(static_cast<std::int64_t>(rows.size()));
    }
    return nb::make_tuple(array(rows), array(offsets), array(reached.scored));
}

void top_k_lines(const Array<const float, 2>& scores, const Array<const std::int64_t, 2>& rows,
                 const Array<std::int64_t, 2>& out_rows, const Array<float, 2>& out_scores) {
    nb::gil_scoped_release released;
    const std::size_t lines = scores.shape(0), m = scores.shape(1), k = out_rows.shape(1);
    require(rows.shape(0) == lines && rows.shape(1) == m && out_rows.shape(0) == lines &&
                out_scores.shape(0) == lines && out_scores.shape(1) == k && k <= m && m <= 0xFFFFFFFFU,
            "scores, rows and results do not match");
    for (std::size_t q = 0; q < lines; ++q)
        top_k(scores.data() + q * m, rows.data() + q * m, m, k, out_rows.data() + q * k, out_scores.data() + q * k);
}

template <class From>
std::size_t unit_rows_of(const char* isa, const Array<const From, 2>& rows, const Array<float, 2>& out) {
    nb::gil_scoped_release released;
    require(out.shape(0) == rows.shape(0) && out.shape(1) == rows.shape(1), "results must have the shape of rows");
    if constexpr (std::is_same_v<From, float>)
        return isa_named(isa).unit_rows32(rows.data(), rows.shape(0), rows.shape(1), out.data());
    else
        return isa_named(isa).unit_rows64(rows.data(), rows.shape(0), rows.shape(1), out.data());
}

void encode_rows(const char* isa, const Array<const float, 2>& rows, const std::vector<std::size_t>& dims,
                    const std::vector<Array<float, 1>>& norms, const std::vector<Array<std::uint8_t, 2>>& bits,
                    const std::vector<Array<std::int8_t, 2>>& codes, const std::vector<Array<float, 1>>& scales) {
    nb::gil_scoped_release released;
    const std::size_t n = rows.shape(0), count = dims.size();
    require(count > 0 && dims.back() == rows.shape(1) && norms.size() <= count, "dims or norms do not fit the rows");
    require((bits.empty() || bits.size() == count) && (codes.empty() || codes.size() == count) &&
                codes.size() == scales.size(),
            "bits, codes and scales must be one for each dim, or none");
    std::vector<EncodedShell> shells;
    std::size_t low = 0;
    for (std::size_t s = 0; s < count; ++s) {
        require(dims[s] > low, "dims must ascend");
        const std::size_t width = dims[s] - low;
        require((s >= norms.size() || norms[s].shape(0) == n) &&
                    (bits.empty() || (bits[s].shape(0) == n && bits[s].shape(1) == (width + 7) / 8)) &&
                    (codes.empty() ||
                     (codes[s].shape(0) == n && codes[s].shape(1) == width && scales[s].shape(0) == n)),
                "a result has the wrong shape");
        shells.push_back({low, width, s < norms.size() ? norms[s].data() : nullptr,
                          bits.empty() ? nullptr : bits[s].data(), codes.empty() ? nullptr : codes[s].data(),
                          codes.empty() ? nullptr : scales[s].data()});
        low = dims[s];
    }
    isa_named(isa).encode(rows.data(), n, rows.shape(1), shells.data(), shells.size());
}

std::uint32_t crc32(const Array<const std::uint8_t, 1>& data, std::uint32_t crc) {
    nb::gil_scoped_release released;
    const Crc32 kernel = available_crc32();
    require(kernel != nullptr && data.shape(0) >= 64 && data.shape(0) % 16 == 0, "data is no multiple of 16 bytes");
    return kernel(data.data(), data.shape(0), crc);
}

void pool_rows(const char* isa, const Array<const std::int8_t, 2>& vectors, const Array<const float, 1>& scales,
               const Array<const std::int32_t, 1>& ids, const Array<const std::int64_t, 1>& offsets,
               const Array<float, 2>& out) {
    nb::gil_scoped_release released;
    const Isa& table = isa_named(isa);
    const std::size_t n = out.shape(0), dim = out.shape(1), total = ids.shape(0), rows = vectors.shape(0);
    require(offsets.shape(0) == n + 1 && scales.shape(0) == rows && dim <= vectors.shape(1),
            "offsets, scales or results do not match");
    require(std::all_of(ids.data(), ids.data() + total,
                        [rows](std::int32_t id) { return id >= 0 && static_cast<std::size_t>(id) < rows; }),
            "an id is out of range");
    for (std::size_t i = 0; i < n; ++i) {
        const std::int64_t begin = offsets.data()[i], end = offsets.data()[i + 1];
        require(0 <= begin && begin <= end && static_cast<std::uint64_t>(end) <= total, "offsets must rise");
        table.pool(vectors.data(), vectors.shape(1), scales.data(), ids.data() + begin,
                   static_cast<std::size_t>(end - begin), dim, out.data() + i * dim);
    }
}

}  // namespace
}  // namespace kukla

NB_MODULE(_native, m) {
    using namespace kukla;
    m.def("available", &available);
    bind_partition(m);
    bind_runner(m);
    m.def("scan_binary", &scan_binary, nb::arg("isa"), nb::arg("shells"), nb::arg("queries"), nb::arg("mask").none(),
          nb::arg("threads"), nb::arg("rows"), nb::arg("distances"));
    m.def("scan_int8", &scan_int8, nb::arg("isa"), nb::arg("shells"), nb::arg("scales"), nb::arg("query_codes"),
          nb::arg("query_scales"), nb::arg("norms").none(), nb::arg("mask").none(), nb::arg("threads"),
          nb::arg("rows"), nb::arg("scores"));
    m.def("score_binary", &score_binary, nb::arg("isa"), nb::arg("shells"), nb::arg("queries"), nb::arg("rows"),
          nb::arg("threads"), nb::arg("distances"));
    m.def("score_int8", &score_int8, nb::arg("isa"), nb::arg("shells"), nb::arg("scales"), nb::arg("query_codes"),
          nb::arg("query_scales"), nb::arg("norms").none(), nb::arg("rows"), nb::arg("threads"), nb::arg("scores"));
    const auto define_float = [&m](auto scan, auto score) {
        m.def("scan_float", scan, nb::arg("isa"), nb::arg("vectors").noconvert(), nb::arg("queries"), nb::arg("dim"),
              nb::arg("norms").none(), nb::arg("mask").none(), nb::arg("threads"), nb::arg("rows"), nb::arg("scores"));
        m.def("score_float", score, nb::arg("isa"), nb::arg("vectors").noconvert(), nb::arg("queries"),
              nb::arg("dim"), nb::arg("norms").none(), nb::arg("rows"), nb::arg("threads"), nb::arg("scores"));
    };
    define_float(&scan_float<float>, &score_float<float>);
    define_float(&scan_float<std::uint16_t>, &score_float<std::uint16_t>);
    m.def("bound_int8", &bound_int8, nb::arg("isa"), nb::arg("shells"), nb::arg("scales"), nb::arg("query_codes"),
          nb::arg("query_scales"), nb::arg("margins"), nb::arg("count"), nb::arg("norms").none(),
          nb::arg("mask").none(), nb::arg("threads"), nb::arg("totals"), nb::arg("rows"), nb::arg("values"));
    m.def("reach_int8", &reach_int8, nb::arg("isa"), nb::arg("shells"), nb::arg("scales"), nb::arg("query_codes"),
          nb::arg("query_scales"), nb::arg("margins"), nb::arg("totals"), nb::arg("checkpoints"), nb::arg("norms"),
          nb::arg("query_tails"), nb::arg("thresholds"), nb::arg("mask").none(), nb::arg("threads"));
    m.def("top_k", &top_k_lines, nb::arg("scores"), nb::arg("rows"), nb::arg("out_rows"), nb::arg("out_scores"));
    m.def("unit_rows", &unit_rows_of<float>, nb::arg("isa"), nb::arg("rows").noconvert(), nb::arg("out").noconvert());
    m.def("unit_rows", &unit_rows_of<double>, nb::arg("isa"), nb::arg("rows").noconvert(), nb::arg("out").noconvert());
    m.def("encode_rows", &encode_rows, nb::arg("isa"), nb::arg("rows").noconvert(), nb::arg("dims"), nb::arg("norms"),
          nb::arg("bits"), nb::arg("codes"), nb::arg("scales"));
    m.def("has_crc32", [] { return available_crc32() != nullptr; });
    m.def("crc32", &crc32, nb::arg("data").noconvert(), nb::arg("crc"));
    m.def("pool_rows", &pool_rows, nb::arg("isa"), nb::arg("vectors"), nb::arg("scales"), nb::arg("ids"),
          nb::arg("offsets"), nb::arg("out"));
}
