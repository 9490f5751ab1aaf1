// Compares every table this processor has with plain loops, without Python: for cross compiling and for sanitizers.
// Rows lie in heap blocks of exactly their size, so that AddressSanitizer sees any byte read beyond them.
//
//   cd src/kukla/kernels/native
//   aarch64-linux-gnu-g++ -std=c++17 -O3 -ffp-contract=off -static -pthread -I.
//       isa.cpp isa_scalar.cpp isa_neon.cpp ../../../../tests/kernels/native_parity.cpp -o /tmp/parity
//   qemu-aarch64-static /tmp/parity
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "scan.hpp"

using namespace kukla;

namespace {

int checks = 0, failures = 0;
std::mt19937_64 random_bits(1);

void expect(bool ok, const Isa& isa, const char* kernel, std::size_t width) {
    ++checks;
    if (ok) return;
    ++failures;
    std::printf("FAILED %s %s, width %zu\n", isa.name, kernel, width);
}

template <class T>
std::unique_ptr<T[]> random_array(std::size_t n, std::int64_t low, std::int64_t high, double unit = 1) {
    std::unique_ptr<T[]> values(new T[n]);
    std::uniform_int_distribution<std::int64_t> draw(low, high);
    for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<T>(static_cast<double>(draw(random_bits)) * unit);
    return values;
}

template <class T>
bool equal(const std::vector<T>& a, const std::vector<T>& b) {
    return a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

void check_blocks(const Isa& isa, std::size_t width) {
    constexpr std::size_t n = 9;
    const auto bits = random_array<std::uint8_t>(n * width, 0, 255), probe = random_array<std::uint8_t>(width, 0, 255);
    std::vector<std::int32_t> distances(n, 5), wanted(n, 5);
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < width; ++j) wanted[i] += __builtin_popcount(bits[i * width + j] ^ probe[j]);
    isa.hamming(bits.get(), n, width, probe.get(), distances.data());
    expect(equal(distances, wanted), isa, "hamming", width);

    const auto codes = random_array<std::int8_t>(n * width, -128, -100);  // one sign: the largest sums
    const auto query = random_array<std::int16_t>(width, 8000, 8191);
    const PaddedQueries<std::int16_t> padded(query.get(), 1, width, width);
    std::vector<std::int64_t> dots(n), sums(n, 0);
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < width; ++j) sums[i] += std::int64_t{codes[i * width + j]} * query[j];
    isa.int8_dots(codes.get(), n, width, padded[0], dots.data());
    expect(equal(dots, sums), isa, "int8_dots", width);

    const auto narrow = random_array<std::int8_t>(width, -127, 127);
    const PaddedQueries<std::int8_t> narrow_padded(narrow.get(), 1, width, width);
    const auto units = random_array<float>(n, 1, 1000, 1e-3);
    NarrowShell shell{codes.get(), units.get(), width, narrow_padded[0], 0, 0.25F, 3.0F};
    for (std::size_t j = 0; j < width; ++j) shell.query_sum += narrow[j];
    const std::uint32_t at[n] = {8, 0, 1, 1, 7, 3, 5, 2, 4};
    for (const std::uint32_t* which : {static_cast<const std::uint32_t*>(nullptr), at}) {
        std::vector<float> bounded(n, 0.5F), plainly(n, 0.5F);
        isa.add_narrow(shell, which, n, n, bounded.data());
        for (std::size_t i = 0; i < n; ++i) {
            const std::size_t row = which == nullptr ? i : which[i];
            std::int32_t dot = 0;
            for (std::size_t j = 0; j < width; ++j) dot += codes[row * width + j] * narrow[j];
            plainly[i] += (static_cast<float>(dot) * shell.query_scale + shell.margin) * units[row];
        }
        expect(equal(bounded, plainly), isa, "add_narrow", width);
    }

    const auto floats = random_array<float>(n * width, -1000000, 1000000, 1e-6);
    const auto halves = random_array<std::uint16_t>(n * width, 0, 0x7BFF);  // finite, subnormals included
    const auto probes = random_array<float>(width, -1000000, 1000000, 1e-6);
    const PaddedQueries<double> wide(probes.get(), 1, width, width);
    std::vector<double> got(n), scalar(n);
    isa.float32_dots(floats.get(), n, width, width, wide[0], got.data());
    kScalar.float32_dots(floats.get(), n, width, width, wide[0], scalar.data());
    expect(equal(got, scalar), isa, "float32_dots", width);
    isa.float16_dots(halves.get(), n, width, width, wide[0], got.data());
    kScalar.float16_dots(halves.get(), n, width, width, wide[0], scalar.data());
    expect(equal(got, scalar), isa, "float16_dots", width);

    const auto scales = random_array<float>(n, 1, 1000, 1e-3), norms = random_array<float>(n, 0, 2);
    std::vector<double> totals(n, 0.5), expected(n, 0.5);
    isa.add_scaled(sums.data(), scales.get(), 0.1, n, totals.data());
    for (std::size_t i = 0; i < n; ++i) {
        const double unit = 0.1 * static_cast<double>(scales[i]);
        expected[i] = expected[i] + static_cast<double>(sums[i]) * unit;
    }
    expect(equal(totals, expected), isa, "add_scaled", width);
    std::vector<float> scores(n), rounded(n);
    isa.finish(totals.data(), norms.get(), n, scores.data());
    for (std::size_t i = 0; i < n; ++i)
        rounded[i] = norms[i] == 0 ? 0 : static_cast<float>(expected[i] / static_cast<double>(norms[i]));
    expect(equal(scores, rounded), isa, "finish", width);

    const auto ids = random_array<std::int32_t>(20, 0, n - 1);
    std::vector<float> pooled(width), plain(width);
    isa.pool(codes.get(), width, scales.get(), ids.get(), 20, width, pooled.data());
    kScalar.pool(codes.get(), width, scales.get(), ids.get(), 20, width, plain.data());
    expect(equal(pooled, plain), isa, "pool", width);

    if (width == 0) return;
    std::vector<float> unit_rows(n * width), lengths(n), unit_scales(n);
    std::vector<std::uint8_t> signs(n * ((width + 7) / 8));
    std::vector<std::int8_t> coded(n * width);
    auto expected_units = unit_rows;
    auto expected_lengths = lengths, expected_scales = unit_scales;
    auto expected_signs = signs;
    auto expected_codes = coded;
    expect(isa.unit_rows32(floats.get(), n, width, unit_rows.data()) ==
                   kScalar.unit_rows32(floats.get(), n, width, expected_units.data()) &&
               equal(unit_rows, expected_units),
           isa, "unit_rows", width);
    const EncodedShell to{0, width, lengths.data(), signs.data(), coded.data(), unit_scales.data()};
    const EncodedShell to_expected{0, width, expected_lengths.data(), expected_signs.data(), expected_codes.data(),
                                   expected_scales.data()};
    isa.encode(floats.get(), n, width, &to, 1);
    kScalar.encode(floats.get(), n, width, &to_expected, 1);
    expect(equal(lengths, expected_lengths) && equal(signs, expected_signs) && equal(coded, expected_codes) &&
               equal(unit_scales, expected_scales),
           isa, "encode", width);
}

void check_scan(const Isa& isa) {
    constexpr std::size_t n = 40000, nq = 5, bytes = 48, keep = 37;
    const auto rows = random_array<std::uint8_t>(n * bytes, 0, 255);
    const auto queries = random_array<std::uint8_t>(nq * bytes, 0, 255);
    const auto mask = random_array<std::uint8_t>(n, 0, 3);
    std::vector<std::vector<std::int64_t>> found;
    for (const Isa* table : {&kScalar, &isa})
        for (std::size_t threads = 1; threads <= 4; ++threads) {
            BinaryScorer scorer(*table);
            scorer.add(rows.get(), queries.get(), bytes);
            std::vector<std::int64_t> best(nq * keep);
            std::vector<std::int32_t> distances(nq * keep), again(nq * keep);
            scan(scorer, n, nq, keep, mask.get(), threads, best.data(), distances.data());
            score(scorer, best.data(), nq, keep, threads, again.data());
            expect(equal(distances, again), *table, "score", threads);
            found.push_back(best);
        }
    for (const auto& best : found) expect(equal(best, found[0]), isa, "scan", bytes);
}

}  // namespace

int main() {
    std::string names;
    for (const Isa* const* isa = available_isas(); *isa != nullptr; ++isa) {
        names += std::string(" ") + (*isa)->name;
        for (std::size_t width = 0; width <= 200; ++width) check_blocks(**isa, width);
        for (std::size_t width : {1000, 1536, 2048, 2049, 3072, 8191, 8192, 8193, 16385, 65536})
            check_blocks(**isa, width);
        check_scan(**isa);
    }
    std::printf("%d passed, %d failed:%s\n", checks - failures, failures, names.c_str());
    return failures == 0 ? 0 : 1;
}
