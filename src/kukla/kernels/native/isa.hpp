// What one instruction set implements: a table of block kernels. Everything else - threads, blocks, selection - is
// compiled once for the baseline and calls through the table.
//
// The tables live in isa_*.cpp, each compiled with its own flags. Those files must not use inline code of the
// standard library: the linker keeps one copy of such a function, and it might be the AVX-512 one. Their templates
// take a type of an unnamed namespace, so that every file gets its own copy.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kukla {

// Where one shell of n rows is encoded to; null for what is not kept.
struct EncodedShell {
    std::size_t low, width;
    float* norms;        // (n), of the prefix that ends with this shell
    std::uint8_t* bits;  // (n, (width + 7) / 8)
    std::int8_t* codes;  // (n, width)
    float* scales;       // (n)
};

// One shell of rows and of a query, in codes of at most 127; `query` is padded with zeros to kQueryPad.
struct NarrowShell {
    const std::int8_t* rows;
    const float* scales;
    std::size_t width;
    const std::int8_t* query;
    std::int32_t query_sum;  // of its codes
    float query_scale, margin;
};

// Rows lie `bytes`, `width` or `stride` elements apart. Outputs have n elements.
struct Isa {
    const char* name;

    // totals[i] += number of differing bits. See hamming.hpp.
    void (*hamming)(const std::uint8_t* rows, std::size_t n, std::size_t bytes, const std::uint8_t* query,
                    std::int32_t* totals);

    // dots[i] = exact dot product; `query` is padded with zeros to kQueryPad. See int8_dot.hpp.
    void (*int8_dots)(const std::int8_t* rows, std::size_t n, std::size_t width, const std::int16_t* query,
                      std::int64_t* dots);

    // dots[i] = dot product of the first `dim` elements; `query` is padded with zeros to kQueryPad. See float_dot.hpp.
    void (*float32_dots)(const float* rows, std::size_t n, std::size_t stride, std::size_t dim, const double* query,
                         double* dots);
    void (*float16_dots)(const std::uint16_t* rows, std::size_t n, std::size_t stride, std::size_t dim,
                         const double* query, double* dots);

    // totals[i] += dots[i] * (query_scale * scales[i]). See finish.hpp.
    void (*add_scaled)(const std::int64_t* dots, const float* scales, double query_scale, std::size_t n,
                       double* totals);

    // scores[i] = totals[i] / norms[i], rounded; norms may be null. See finish.hpp.
    void (*finish)(const double* totals, const float* norms, std::size_t n, float* scores);

    // totals[i] += (dot * query_scale + margin) * scale of row at[i], or i where `at` is null. The rows at[n..known) will
    // be asked for next. See narrow.hpp.
    void (*add_narrow)(const NarrowShell& shell, const std::uint32_t* at, std::size_t n, std::size_t known,
                       float* totals);

    // bounds[i] = totals[i] + query_tail * sqrt(1 - norms[at[i]]^2); norms may be null: no tail.
    void (*narrow_bounds)(const float* totals, const float* norms, const std::uint32_t* at, float query_tail,
                          std::size_t n, float* bounds);

    // quotients[i] = totals[i] / norms[i], 0 where the norm is. See finish.hpp.
    void (*divide)(const float* totals, const float* norms, std::size_t n, float* quotients);

    // out[0..dim) = sum of scales[id] * vectors[id]. See pool.hpp.
    void (*pool)(const std::int8_t* vectors, std::size_t stride, const float* scales, const std::int32_t* ids,
                 std::size_t count, std::size_t dim, float* out);

    // Norms, bits, codes and scales of finite rows. See encode.hpp.
    void (*encode)(const float* rows, std::size_t n, std::size_t dim, const EncodedShell* shells, std::size_t count);

    // Rows of length 1; returns n, or the first row that is left to the caller. See unit.hpp.
    std::size_t (*unit_rows32)(const float* rows, std::size_t n, std::size_t dim, float* out);
    std::size_t (*unit_rows64)(const double* rows, std::size_t n, std::size_t dim, float* out);

    // scores[v] = base + stretch * (offset + delta * sum of entries) of the 32 rows of each block, which has a base of its
    // own. See nibbles.hpp.
    void (*nibble_scores)(const std::uint8_t* const* blocks, const float* bases, std::size_t count, std::size_t pairs,
                          const std::uint8_t* tables, float offset, float delta, float* scores);

    // Sums of entries of at most 32 records, of which the first `pairs` bytes are codes; `sums` has room for 32.
    void (*nibble_record_sums)(const std::uint8_t* const* records, std::size_t count, std::size_t pairs,
                               const std::uint8_t* tables, std::uint16_t* sums);

    // Where values are at least `least`, ascending; returns how many. `out` has room for kAtLeastRoom more than n.
    std::size_t (*at_least)(const float* values, std::size_t n, float least, std::uint32_t* out);

    // tables (groups, 16): the products of a query, its dims in the order of the groups, with the codewords; the smallest
    // of each group, and how far the largest is from it. See nibbles.hpp.
    void (*nibble_tables)(const float* query, const std::uint64_t* ends, std::size_t groups, const float* books,
                          float* tables, float* lows, float* widths);

    // codes (n, groups / 2): the nearest codewords of rows whose groups end at `ends`. See nibbles.hpp.
    void (*nibble_codes)(const float* values, std::size_t n, std::size_t stride, const std::uint64_t* ends,
                         std::size_t groups, const float* books, const float* halves, std::uint8_t* codes);
};

// Queries are copied into buffers whose length is a multiple of this, so that vector loops may read whole steps.
constexpr std::size_t kQueryPad = 32;

extern const Isa kScalar;
#if defined(__x86_64__)
extern const Isa kAvx2;
extern const Isa kAvx512;
void hamming_vpopcntdq(const std::uint8_t* rows, std::size_t n, std::size_t bytes, const std::uint8_t* query,
                       std::int32_t* totals);
void add_narrow_vnni(const NarrowShell& shell, const std::uint32_t* at, std::size_t n, std::size_t known,
                     float* totals);
// `size` is a multiple of 16, at least 64. See crc32_pclmul.cpp.
std::uint32_t crc32_pclmul(const std::uint8_t* data, std::size_t size, std::uint32_t crc);
#elif defined(__aarch64__)
extern const Isa kNeon;
#endif

// The tables this processor and operating system can run, slowest first; null after the last.
const Isa* const* available_isas();

// Continues zlib's CRC-32; null where this processor has nothing better than zlib. `size` as in crc32_pclmul.
using Crc32 = std::uint32_t (*)(const std::uint8_t* data, std::size_t size, std::uint32_t crc);
Crc32 available_crc32();

}  // namespace kukla
