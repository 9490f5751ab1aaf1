// Making lists: what is left of rows beside what their codes say.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "nibbles.hpp"
#include "parallel.hpp"

namespace kukla {

template <class Work>
void in_parts(std::size_t n, std::size_t threads, const Work& work) {
    const std::size_t parts = std::max<std::size_t>(1, std::min(threads, n));
    parallel(parts, [&](std::size_t part) {
        const std::size_t begin = n / parts * part + std::min(part, n % parts);
        work(begin, begin + n / parts + (part < n % parts ? 1 : 0));
    });
}

// |r|^2 / <r, what its code stands for>, in steps of 1 / kStretchSteps: see kukla.partition.model. Of rows whose dims
// are in the order of the groups.
constexpr double kStretchSteps = 64.0;

inline void stretches(const float* values, const std::uint8_t* codes, std::size_t n, std::size_t stride,
                      const std::uint64_t* ends, std::size_t groups, const float* books, std::uint8_t* out) {
    for (std::size_t i = 0; i < n; ++i) {
        const float* row = values + i * stride;
        double squares = 0.0, dots = 0.0;
        for (std::size_t g = 0, d = 0; g < groups; ++g) {
            const std::size_t code = codes[(i * groups + g) / 2] >> g % 2 * 4 & 15;
            for (; d < ends[g]; ++d) {
                squares += static_cast<double>(row[d]) * row[d];
                dots += static_cast<double>(row[d]) * books[d * kCodewords + code];
            }
        }
        const double stretch = dots > 0.0 && squares > 0.0 ? squares / dots : 1.0;
        out[i] = static_cast<std::uint8_t>(std::clamp(std::rint(stretch * kStretchSteps), kStretchSteps / 2, 255.0));
    }
}

}  // namespace kukla
