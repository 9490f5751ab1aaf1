// Making lists: the nearest centroid of each row.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "isa.hpp"
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

// The list of each row: of the `looks` centroids that `near` (n, count) puts first, the one with the largest
// <row, centroid> - halves[centroid]; of equals the first.
inline void nearest(const Isa& isa, const float* rows, std::size_t n, std::size_t dim, const float* near,
                    const float* centroids, const float* halves, std::size_t count, std::size_t looks,
                    std::size_t threads, std::int64_t* lists) {
    const std::size_t padded = (dim + kQueryPad - 1) / kQueryPad * kQueryPad;
    in_parts(n, threads, [&](std::size_t begin, std::size_t end) {
        std::vector<double> query(padded, 0.0);
        struct Near {
            float score;
            std::uint32_t list;
        };
        std::vector<Near> best(looks);
        for (std::size_t i = begin; i < end; ++i) {
            const float* line = near + i * count;
            // Insertion into a short sorted list: nearly all centroids fail the first comparison.
            std::size_t held = 0;
            for (std::size_t l = 0; l < count; ++l) {
                if (held == looks && !(line[l] > best[held - 1].score)) continue;
                std::size_t at = held < looks ? held++ : looks - 1;
                for (; at > 0 && best[at - 1].score < line[l]; --at) best[at] = best[at - 1];
                best[at] = {line[l], static_cast<std::uint32_t>(l)};
            }
            std::copy(rows + i * dim, rows + (i + 1) * dim, query.begin());
            double most = 0.0;
            std::int64_t chosen = -1;
            for (std::size_t b = 0; b < held; ++b) {
                const std::uint32_t list = best[b].list;
                double dot;
                isa.float32_dots(centroids + list * dim, 1, dim, dim, query.data(), &dot);
                dot -= static_cast<double>(halves[list]);
                if (chosen < 0 || dot > most || (dot == most && list < chosen)) {
                    most = dot;
                    chosen = list;
                }
            }
            lists[i] = chosen;
        }
    });
}

}  // namespace kukla
