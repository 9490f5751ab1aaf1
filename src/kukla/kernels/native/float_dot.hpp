// Dot product of float32 or float16 rows with a float32 query that was widened to float64.
//
// Accumulator: 16 float64 lanes; lane j takes coordinates j, j + 16, ... in order, then lanes are added in halves
//              (8, 4, 2, 1). Every instruction set keeps this order, and a product of two float32 is exact in float64
//              (fused or not), so all native results are equal to the bit.
// Overflow:    as float64: none for finite float32 input (2^256 * 2^16 at most).
// Tolerance:   against any other order of additions, dim * 2^-53 * sum |q_i x_i| before the rounding to float32:
//              the same float32 or its neighbour, unless terms cancel almost completely.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace kukla {

// `Acc` starts at zero and has add(row, query) for 16 coordinates and store(double[16]).
template <class Acc, class Element>
inline double float_dot(const Element* row, const double* query, std::size_t dim) {
    constexpr std::size_t step = 16;
    Acc acc;
    std::size_t i = 0;
    for (; i + step <= dim; i += step) acc.add(row + i, query + i);
    if (i < dim) {
        Element tail[step] = {};  // zeros leave their lanes as they are
        std::memcpy(tail, row + i, (dim - i) * sizeof(Element));
        acc.add(tail, query + i);
    }
    alignas(64) double lanes[step];
    acc.store(lanes);
    for (std::size_t half = step / 2; half > 0; half /= 2)
        for (std::size_t j = 0; j < half; ++j) lanes[j] += lanes[j + half];
    return lanes[0];
}

template <class Acc, class Element>
void float_dot_block(const Element* rows, std::size_t n, std::size_t stride, std::size_t dim, const double* query,
                     double* dots) {
    // The hardware fetches ahead in whole rows; the prefixes of long rows have to be asked for.
    constexpr std::size_t ahead = 8;
    const bool far_apart = (stride - dim) * sizeof(Element) >= 256;
    for (std::size_t i = 0; i < n; ++i) {
        const Element* row = rows + i * stride;
        if (far_apart && i + ahead < n)
            for (std::size_t d = 0; d < dim; d += 64 / sizeof(Element)) __builtin_prefetch(row + ahead * stride + d);
        dots[i] = float_dot<Acc>(row, query, dim);
    }
}

}  // namespace kukla
