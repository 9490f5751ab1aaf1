// From sums to scores: scaling, division by norms, rounding. Plain loops, vectorised by the compiler.
//
// Accumulator: float64 per row, shells added in their order.
// Overflow:    none: integer sums are exact in float64 below 2^53, and a lost float32 range gives an infinity.
// Tolerance:   exact: every operation is one IEEE rounding in a fixed order. Needs -ffp-contract=off.
#pragma once

#include <cfloat>
#include <cstddef>
#include <cstdint>

static_assert(FLT_EVAL_METHOD == 0, "float64 must be evaluated as float64");

namespace kukla {

template <class Ops>
void add_scaled_block(const std::int64_t* dots, const float* scales, double query_scale, std::size_t n,
                      double* totals) {
    for (std::size_t i = 0; i < n; ++i)
        totals[i] += static_cast<double>(dots[i]) * (query_scale * static_cast<double>(scales[i]));
}

template <class Ops>
void finish_block(const double* totals, const float* norms, std::size_t n, float* scores) {
    // Adding zero turns -0 into 0, so that equal scores have equal bits.
    if (norms == nullptr) {
        for (std::size_t i = 0; i < n; ++i) scores[i] = static_cast<float>(totals[i]) + 0.0F;
        return;
    }
    for (std::size_t i = 0; i < n; ++i) {
        const float score = static_cast<float>(totals[i] / static_cast<double>(norms[i])) + 0.0F;
        scores[i] = norms[i] == 0.0F ? 0.0F : score;
    }
}

template <class Ops>
void divide_block(const float* totals, const float* norms, std::size_t n, float* quotients) {
    for (std::size_t i = 0; i < n; ++i) {
        const float quotient = totals[i] / norms[i] + 0.0F;
        quotients[i] = norms[i] == 0.0F ? 0.0F : quotient;
    }
}

}  // namespace kukla
