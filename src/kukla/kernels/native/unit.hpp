// Rows of length 1.
//
// Accumulator: 16 float64 lanes; lane j takes the squares of coordinates j, j + 16, ... in order, then lanes are added
//              in halves (8, 4, 2, 1): the order of float_dot.hpp.
// Overflow:    rows whose largest magnitude is not within [kSafeLeast, kSafeMost] are left to the caller, as are rows of
//              zeros and rows with NaN or infinity.
// Tolerance:   exact: a division in float64, rounded once to float32.
#pragma once

#include <cstddef>

namespace kukla {

constexpr double kSafeLeast = 0x1p-400, kSafeMost = 0x1p+400;

// Returns n, or the first row that is left to the caller; rows from there on are not written.
template <class Ops, class From>
std::size_t unit_rows_block(const From* rows, std::size_t n, std::size_t dim, float* out) {
    constexpr std::size_t lanes = 16;
    for (std::size_t i = 0; i < n; ++i) {
        const From* row = rows + i * dim;
        double sums[lanes] = {}, largest[lanes] = {};
        std::size_t d = 0;
        for (; d + lanes <= dim; d += lanes)
            for (std::size_t j = 0; j < lanes; ++j) {
                const double x = static_cast<double>(row[d + j]), magnitude = __builtin_fabs(x);
                sums[j] += x * x;
                largest[j] = magnitude > largest[j] ? magnitude : largest[j];
            }
        for (std::size_t j = 0; d < dim; ++d, ++j) {
            const double x = static_cast<double>(row[d]), magnitude = __builtin_fabs(x);
            sums[j] += x * x;
            largest[j] = magnitude > largest[j] ? magnitude : largest[j];
        }
        for (std::size_t half = lanes / 2; half > 0; half /= 2)
            for (std::size_t j = 0; j < half; ++j) {
                sums[j] += sums[j + half];
                largest[j] = largest[j + half] > largest[j] ? largest[j + half] : largest[j];
            }
        if (!(largest[0] >= kSafeLeast && largest[0] <= kSafeMost && __builtin_isfinite(sums[0]))) return i;
        const double norm = __builtin_sqrt(sums[0]);
        for (d = 0; d < dim; ++d) out[i * dim + d] = static_cast<float>(static_cast<double>(row[d]) / norm);
    }
    return n;
}

}  // namespace kukla
