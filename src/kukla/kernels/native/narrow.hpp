// Bounds from int8 codes of rows and of queries, in float32: what rules most rows out before anything else is read.
//
// A shell adds scale * (query_scale * dot + margin): with `margin` no less than what the codes hide, in units of the
// row's scale. What was not read is at most query_tail * |tail of the row| (Cauchy-Schwarz).
//
// Accumulator: int32 for dots; float32 per row, shells added in their order.
// Overflow:    dots: one product is at most 128 * 127, or 255 * 127 where an offset makes codes unsigned, so 65,536 of
//              them are at most 2,122,514,432 < 2^31. Floats: infinities stay; a bound that is no number is infinite.
// Tolerance:   exact: every operation is one IEEE rounding in a fixed order. Needs -ffp-contract=off. That roundings
//              never make a bound too low is the business of the margins: see kukla/search/bounds.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "isa.hpp"

namespace kukla {

// The square of a unit vector's length: its coordinates and the stored prefix norm were rounded, and so is what is
// computed with it here.
constexpr float kUnitSquare = 1.0F + 4e-6F;

// `Acc` begins at a number and has kStep codes a step, kOffset (what it adds to each code), add(row, query), sum(), and
// sum8(Acc[8], sums). Queries are padded with zeros to kQueryPad.

// `Steps` of a shell is how many it has, where that is known here; else any number, or any width.
constexpr std::size_t kAnySteps = 0, kAnyWidth = 1000;

template <class Acc, std::size_t Steps>
inline Acc narrow_dot(const std::int8_t* row, std::size_t width, const std::int8_t* query, const Acc& start) {
    constexpr std::size_t step = Acc::kStep;
    Acc line = start;
    if constexpr (Steps != kAnySteps && Steps != kAnyWidth) {
        for (std::size_t s = 0; s < Steps; ++s) line.add(row + s * step, query + s * step);
    } else {
        const std::size_t whole = width / step * step;
        for (std::size_t d = 0; d < whole; d += step) line.add(row + d, query + d);
        if (Steps == kAnyWidth) {
            std::int8_t tail[step] = {};  // the query is padded, the row is not
            std::memcpy(tail, row + whole, width - whole);
            line.add(tail, query + whole);
        }
    }
    return line;
}

constexpr std::size_t kNarrowAhead = 16;  // rows that are asked for before they are read

// Of eight rows, for which the compiler finds the registers there are.
using EightFloats = float __attribute__((vector_size(32)));
using EightSums = std::int32_t __attribute__((vector_size(32)));

// Row after row, as memory likes it; but lanes are added up for eight rows at a time: for short ones that costs more
// than the products. The floats come right after, so that memory is never left waiting for them.
template <class Acc, std::size_t Steps, class PlaceOf, class AskFor>
void add_narrow_of(const NarrowShell& shell, const PlaceOf& place_of, const AskFor& ask_for, std::size_t n,
                   float* totals) {
    const Acc start(-Acc::kOffset * shell.query_sum);
    const auto dot = [&](std::size_t i) {
        return narrow_dot<Acc, Steps>(shell.rows + place_of(i) * shell.width, shell.width, shell.query, start);
    };
    const float query_scale = shell.query_scale, margin = shell.margin;
    const auto bounded = [&](std::int32_t sum, float scale) {
        return (static_cast<float>(sum) * query_scale + margin) * scale;
    };
    std::size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const Acc lines[8] = {dot(i),     dot(i + 1), dot(i + 2), dot(i + 3),
                              dot(i + 4), dot(i + 5), dot(i + 6), dot(i + 7)};
        ask_for(i + kNarrowAhead);
        std::int32_t sums[8];
        float gathered[8];
        Acc::sum8(lines, sums);
        for (std::size_t j = 0; j < 8; ++j) gathered[j] = shell.scales[place_of(i + j)];
        EightSums dots;
        EightFloats scales, total;
        std::memcpy(&dots, sums, sizeof dots);
        std::memcpy(&scales, gathered, sizeof scales);
        std::memcpy(&total, totals + i, sizeof total);
        total += (__builtin_convertvector(dots, EightFloats) * query_scale + margin) * scales;
        std::memcpy(totals + i, &total, sizeof total);
    }
    for (; i < n; ++i) totals[i] += bounded(dot(i).sum(), shell.scales[place_of(i)]);
}

template <class Acc>
void add_narrow_block(const NarrowShell& shell, const std::uint32_t* at, std::size_t n, std::size_t known,
                      float* totals) {
    const auto all = [](std::size_t i) { return i; };
    const auto some = [=](std::size_t i) { return std::size_t{at[i]}; };
    const auto nothing = [](std::size_t) {};  // the hardware sees the pattern
    // Into the second cache: there is more room for what is on its way.
    const auto eight = [&](std::size_t i) {
        const std::size_t stop = i + 8 < known ? i + 8 : known;
        for (; i < stop; ++i) {
            const std::int8_t* row = shell.rows + at[i] * shell.width;
            for (std::size_t d = 0; d < shell.width; d += 64) __builtin_prefetch(row + d, 0, 1);
            __builtin_prefetch(shell.scales + at[i], 0, 1);
        }
    };
    const auto run = [&](const auto& place_of, const auto& ask_for) {
        if (shell.width % Acc::kStep != 0) return add_narrow_of<Acc, kAnyWidth>(shell, place_of, ask_for, n, totals);
        switch (shell.width / Acc::kStep) {
            case 1:
                return add_narrow_of<Acc, 1>(shell, place_of, ask_for, n, totals);
            case 2:
                return add_narrow_of<Acc, 2>(shell, place_of, ask_for, n, totals);
            case 4:
                return add_narrow_of<Acc, 4>(shell, place_of, ask_for, n, totals);
            case 8:
                return add_narrow_of<Acc, 8>(shell, place_of, ask_for, n, totals);
            case 16:
                return add_narrow_of<Acc, 16>(shell, place_of, ask_for, n, totals);
            default:
                return add_narrow_of<Acc, kAnySteps>(shell, place_of, ask_for, n, totals);
        }
    };
    return at == nullptr ? run(all, nothing) : run(some, eight);
}

// Without norms nothing is left of a row.
template <class Ops>
void narrow_bounds_block(const float* totals, const float* norms, const std::uint32_t* at, float query_tail,
                         std::size_t n, float* bounds) {
    const auto number = [](float bound) { return bound == bound ? bound : __builtin_inff(); };
    const auto bound = [&](float total, float norm) {
        const float rest = kUnitSquare - norm * norm;
        return number(total + query_tail * __builtin_sqrtf(rest < 0.0F ? 0.0F : rest));
    };
    if (norms == nullptr)
        for (std::size_t i = 0; i < n; ++i) bounds[i] = number(totals[i]);
    else if (at == nullptr)
        for (std::size_t i = 0; i < n; ++i) bounds[i] = bound(totals[i], norms[i]);
    else
        for (std::size_t i = 0; i < n; ++i) bounds[i] = bound(totals[i], norms[at[i]]);
}

}  // namespace kukla
