// What partitions are made with, for Python.
#include "bind_partition.hpp"

#include "bind.hpp"
#include "partition.hpp"

namespace kukla {
namespace {

void nibble_codes(const char* isa, const Array<const float, 2>& values, const Array<const std::uint64_t, 1>& ends,
                  const Array<const float, 2>& books, const Array<const float, 2>& halves, std::size_t threads,
                  const Array<std::uint8_t, 2>& codes) {
    nb::gil_scoped_release released;
    const std::size_t n = values.shape(0), stride = values.shape(1), groups = ends.shape(0);
    require(groups > 0 && groups % 2 == 0 && groups <= kMostGroups && ends.data()[groups - 1] == stride &&
                std::is_sorted(ends.data(), ends.data() + groups) && books.shape(0) == stride &&
                books.shape(1) == kCodewords && halves.shape(0) == groups && halves.shape(1) == kCodewords &&
                codes.shape(0) == n && codes.shape(1) == groups / 2,
            "values, codebooks and codes do not match");
    const Isa& table = isa_named(isa);
    in_parts(n, threads, [&](std::size_t begin, std::size_t end) {
        table.nibble_codes(values.data() + begin * stride, end - begin, stride, ends.data(), groups, books.data(),
                           halves.data(), codes.data() + begin * (groups / 2));
    });
}

void nibble_stretches(const Array<const float, 2>& values, const Array<const std::uint8_t, 2>& codes,
                      const Array<const std::uint64_t, 1>& ends, const Array<const float, 2>& books,
                      std::size_t threads, const Array<std::uint8_t, 1>& out) {
    nb::gil_scoped_release released;
    const std::size_t n = values.shape(0), stride = values.shape(1), groups = ends.shape(0);
    require(groups > 0 && groups % 2 == 0 && ends.data()[groups - 1] == stride &&
                std::is_sorted(ends.data(), ends.data() + groups) && books.shape(0) == stride &&
                books.shape(1) == kCodewords && codes.shape(0) == n && codes.shape(1) == groups / 2 &&
                out.shape(0) == n,
            "values, codes and codebooks do not match");
    in_parts(n, threads, [&](std::size_t begin, std::size_t end) {
        stretches(values.data() + begin * stride, codes.data() + begin * (groups / 2), end - begin, stride, ends.data(),
                  groups, books.data(), out.data() + begin);
    });
}

void nibble_scores(const char* isa, const Array<const std::uint8_t, 3>& blocks,
                   const Array<const std::uint8_t, 1>& tables, float base, float offset, float delta,
                   const Array<float, 1>& scores) {
    nb::gil_scoped_release released;
    require(blocks.shape(1) > 0, "blocks have a line of stretches");
    const std::size_t count = blocks.shape(0), pairs = blocks.shape(1) - 1;
    require(blocks.shape(2) == kNibbleRows && pairs % 2 == 0 && 2 * pairs <= kMostGroups &&
                tables.shape(0) == pairs * 64 && scores.shape(0) == count * kNibbleRows,
            "codes, tables and scores do not match");
    std::vector<const std::uint8_t*> all(count);
    for (std::size_t i = 0; i < count; ++i) all[i] = blocks.data() + i * blocks.shape(1) * kNibbleRows;
    const std::vector<float> bases(count, base);
    isa_named(isa).nibble_scores(all.data(), bases.data(), count, pairs, tables.data(), offset, delta, scores.data());
}

void nibble_sums(const char* isa, const Array<const std::uint8_t, 2>& records,
                 const Array<const std::uint8_t, 1>& tables, const Array<std::uint16_t, 1>& sums) {
    nb::gil_scoped_release released;
    require(records.shape(1) >= kRecordTail, "records have a tail");
    const std::size_t count = records.shape(0), width = records.shape(1), pairs = width - kRecordTail;
    require(pairs % 2 == 0 && 2 * pairs <= kMostGroups && tables.shape(0) == pairs * 64 && sums.shape(0) == count,
            "records, tables and sums do not match");
    for (std::size_t from = 0; from < count; from += kNibbleRows) {
        const std::size_t here = std::min(kNibbleRows, count - from);
        const std::uint8_t* some[kNibbleRows];
        for (std::size_t i = 0; i < here; ++i) some[i] = records.data() + (from + i) * width;
        std::uint16_t found[kNibbleRows];
        isa_named(isa).nibble_record_sums(some, here, pairs, tables.data(), found);
        std::copy(found, found + here, sums.data() + from);
    }
}

std::size_t at_least(const char* isa, const Array<const float, 1>& values, float least,
                     const Array<std::uint32_t, 1>& places) {
    nb::gil_scoped_release released;
    require(places.shape(0) == values.shape(0) + kAtLeastRoom, "places have room for all values and more");
    return isa_named(isa).at_least(values.data(), values.shape(0), least, places.data());
}

}  // namespace

void bind_partition(nb::module_& m) {
    m.def("nibble_codes", nibble_codes);
    m.def("nibble_stretches", nibble_stretches);
    m.def("nibble_scores", nibble_scores);
    m.def("nibble_sums", nibble_sums);
    m.def("at_least", at_least);
}

}  // namespace kukla
