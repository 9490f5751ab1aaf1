// From integer sums to upper bounds of whole dot products. Plain loops, vectorised by the compiler.
//
// A shell adds scale * (query_scale * dot + margin): with `margin` no less than what the codes of row and query can
// hide, in units of the row's scale. What was not read is at most query_tail * |tail of the row| (Cauchy-Schwarz).
//
// Accumulator: float64 per row, shells added in their order.
// Overflow:    none: integer sums are exact in float64 below 2^53; infinities and NaN reach every threshold.
// Tolerance:   exact: every operation is one IEEE rounding in a fixed order. Needs -ffp-contract=off.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kukla {

// The square of a unit vector's length, rounding of its coordinates and of the stored prefix norm included.
constexpr double kUnitSquare = 1.0 + 1e-6;

template <class Ops>
void add_bounded_block(const std::int64_t* dots, const float* scales, double query_scale, double margin, std::size_t n,
                       double* totals) {
    for (std::size_t i = 0; i < n; ++i)
        totals[i] += (static_cast<double>(dots[i]) * query_scale + margin) * static_cast<double>(scales[i]);
}

template <class Ops>
void add_tail_block(const double* totals, const float* norms, double query_tail, std::size_t n, double* bounds) {
    for (std::size_t i = 0; i < n; ++i) {
        const double norm = static_cast<double>(norms[i]);
        const double rest = kUnitSquare - norm * norm;
        bounds[i] = totals[i] + query_tail * __builtin_sqrt(rest > 0.0 ? rest : 0.0);
    }
}

}  // namespace kukla
