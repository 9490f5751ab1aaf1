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

std::size_t nibble_hits(const char* isa, const Array<const std::uint8_t, 3>& codes,
                        const Array<const std::uint8_t, 1>& tables, std::uint16_t least,
                        const Array<std::uint32_t, 1>& positions, const Array<std::uint16_t, 1>& sums) {
    nb::gil_scoped_release released;
    require(codes.shape(1) >= kBlockTail / kNibbleRows, "blocks of codes have a tail");
    const std::size_t blocks = codes.shape(0), pairs = codes.shape(1) - kBlockTail / kNibbleRows;
    require(codes.shape(2) == kNibbleRows && pairs % 2 == 0 && 2 * pairs <= kMostGroups &&
                tables.shape(0) == pairs * 64 && positions.shape(0) == blocks * kNibbleRows &&
                sums.shape(0) == blocks * kNibbleRows,
            "codes, tables and results do not match");
    return isa_named(isa).nibble_hits(codes.data(), blocks, pairs, tables.data(), least, codes.data(), positions.data(),
                                      sums.data());
}

}  // namespace

void bind_partition(nb::module_& m) {
    m.def("nibble_codes", nibble_codes);
    m.def("nibble_stretches", nibble_stretches);
    m.def("nibble_hits", nibble_hits);
}

}  // namespace kukla
