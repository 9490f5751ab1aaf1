// Dot product of int8 codes with int16 query codes of magnitude at most 8191.
//
// Accumulator: int32 lanes, flushed into an int64.
// Overflow:    one product is at most 8191 * 128 = 1,048,448, so an int32 lane holds 2,048 of them
//              (2,147,221,504 < 2^31). A lane of a vector of L lanes takes every L-th product, so it may run for
//              2,048 * L coordinates; kFlush is 8,192 for L >= 4 and 2,048 for one lane. The int64 total holds
//              2^43 products; widths are at most 65,536.
// Tolerance:   exact.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace kukla {

// `Acc` starts at zero and has kStep, kFlush (a multiple of 2 * kStep), add(row, query) for kStep coordinates,
// merge(Acc) and sum().
template <class Acc>
inline std::int64_t int8_dot(const std::int8_t* row, const std::int16_t* query, std::size_t width) {
    constexpr std::size_t step = Acc::kStep;
    std::int64_t total = 0;
    std::size_t i = 0;
    while (i + step <= width) {
        const std::size_t stop = width - i < Acc::kFlush ? width : i + Acc::kFlush;
        Acc even, odd;  // two chains of additions hide their latency
        for (; i + 2 * step <= stop; i += 2 * step) {
            even.add(row + i, query + i);
            odd.add(row + i + step, query + i + step);
        }
        if (i + step <= stop) {
            even.add(row + i, query + i);
            i += step;
        }
        even.merge(odd);
        total += even.sum();
    }
    if (i < width) {
        std::int8_t tail[step] = {};  // the query is padded, the row is not
        std::memcpy(tail, row + i, width - i);
        Acc last;
        last.add(tail, query + i);
        total += last.sum();
    }
    return total;
}

template <class Acc>
void int8_dot_block(const std::int8_t* rows, std::size_t n, std::size_t width, const std::int16_t* query,
                    std::int64_t* dots) {
    for (std::size_t i = 0; i < n; ++i) dots[i] = int8_dot<Acc>(rows + i * width, query, width);
}

// Four rows at a time: for short rows, adding up the lanes of one accumulator costs more than the products. `Acc` also
// has sum4(const Acc[4], dots), in int32: that holds 2,048 products, far more than such rows have.
template <class Acc>
void int8_dot_block4(const std::int8_t* rows, std::size_t n, std::size_t width, const std::int16_t* query,
                     std::int64_t* dots) {
    constexpr std::size_t few = 256;
    std::size_t i = 0;
    if (width <= few && width % Acc::kStep == 0)
        for (; i + 4 <= n; i += 4) {
            const std::int8_t* row = rows + i * width;
            Acc lines[4];
            for (std::size_t d = 0; d < width; d += Acc::kStep) {
                lines[0].add(row + d, query + d);
                lines[1].add(row + width + d, query + d);
                lines[2].add(row + 2 * width + d, query + d);
                lines[3].add(row + 3 * width + d, query + d);
            }
            Acc::sum4(lines, dots + i);
        }
    int8_dot_block<Acc>(rows + i * width, n - i, width, query, dots + i);
}

}  // namespace kukla
