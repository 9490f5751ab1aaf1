// Sum of scaled int8 rows: the pooling of a static embedding. A plain loop, vectorised by the compiler.
//
// Accumulator: one float32 per column; product and addition are rounded separately, ids in their order.
// Overflow:    as float32.
// Tolerance:   exact against the reference, which rounds in the same places. Against exact arithmetic at most
//              count * 2^-23 * sum |scale * code| per column. Needs -ffp-contract=off.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kukla {

template <class Ops>
void pool_text(const std::int8_t* vectors, std::size_t stride, const float* scales, const std::int32_t* ids,
               std::size_t count, std::size_t dim, float* __restrict out) {
    constexpr std::size_t ahead = 4;
    for (std::size_t d = 0; d < dim; ++d) out[d] = 0.0F;
    for (std::size_t t = 0; t < count; ++t) {
        if (t + ahead < count) {
            const std::int8_t* next = vectors + static_cast<std::size_t>(ids[t + ahead]) * stride;
            for (std::size_t d = 0; d < dim; d += 64) __builtin_prefetch(next + d);
        }
        const std::size_t id = static_cast<std::size_t>(ids[t]);
        const std::int8_t* __restrict row = vectors + id * stride;
        const float scale = scales[id];
        for (std::size_t d = 0; d < dim; ++d) out[d] += scale * static_cast<float>(row[d]);
    }
}

}  // namespace kukla
