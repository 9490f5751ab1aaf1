// What a segment keeps beside the floats of a row: prefix norms, sign bits, int8 codes with their scales.
//
// The specification is kukla.nesting.prefix_norms, kukla.precision.pack_signs and kukla.precision.encode_int8.
// Accumulator: norms: 16 float64 lanes for each shell, as in unit.hpp; the sums of shells are added in their order.
// Overflow:    none: squares of float32 are far inside float64, and a quotient is at most 127 (1 + 2**-23).
// Vectors:     plain loops; each instruction set compiles its own (`Ops` is a type of its file).
// Tolerance:   exact: every product, quotient and sum is that of the specification, to the bit. Rows must be finite.
#pragma once

#include <cfloat>
#include <cstddef>
#include <cstdint>

#include "isa.hpp"

namespace kukla {

template <class Ops>
double shell_squares(const float* x, std::size_t width) {
    constexpr std::size_t lanes = 16;
    double sums[lanes] = {};
    std::size_t d = 0;
    for (; d + lanes <= width; d += lanes)
        for (std::size_t j = 0; j < lanes; ++j) sums[j] += static_cast<double>(x[d + j]) * static_cast<double>(x[d + j]);
    for (std::size_t j = 0; d < width; ++d, ++j) sums[j] += static_cast<double>(x[d]) * static_cast<double>(x[d]);
    for (std::size_t half = lanes / 2; half > 0; half /= 2)
        for (std::size_t j = 0; j < half; ++j) sums[j] += sums[j + half];
    return sums[0];
}

template <class Ops>
float shell_largest(const float* x, std::size_t width) {
    constexpr std::size_t lanes = 16;
    float largest[lanes] = {};
    std::size_t d = 0;
    for (; d + lanes <= width; d += lanes)
        for (std::size_t j = 0; j < lanes; ++j) {
            const float magnitude = __builtin_fabsf(x[d + j]);
            largest[j] = magnitude > largest[j] ? magnitude : largest[j];
        }
    for (; d < width; ++d) largest[0] = __builtin_fabsf(x[d]) > largest[0] ? __builtin_fabsf(x[d]) : largest[0];
    for (std::size_t j = 1; j < lanes; ++j) largest[0] = largest[j] > largest[0] ? largest[j] : largest[0];
    return largest[0];
}

// Comparisons become bytes in steps that compilers vectorise; a multiplication gathers eight of them, the first into the
// highest bit. Processors are little-endian (so is the format).
template <class Ops>
void shell_signs(const float* x, std::size_t width, std::uint8_t* bits) {
    constexpr std::size_t step = 64;
    std::uint8_t flags[step];
    for (std::size_t d = 0; d < width; d += step) {
        const std::size_t some = width - d < step ? width - d : step;
        if (some == step) {
            for (std::size_t j = 0; j < step; ++j) flags[j] = x[d + j] > 0.0F ? 1 : 0;
        } else {
            __builtin_memset(flags, 0, step);
            for (std::size_t j = 0; j < some; ++j) flags[j] = x[d + j] > 0.0F ? 1 : 0;
        }
        for (std::size_t j = 0; j < some; j += 8) {
            std::uint64_t eight;
            __builtin_memcpy(&eight, flags + j, sizeof eight);
            bits[(d + j) / 8] = static_cast<std::uint8_t>((eight * 0x8040201008040201ULL) >> 56);
        }
    }
}

// Returns the scale.
template <class Ops>
float shell_codes(const float* x, std::size_t width, std::int8_t* codes) {
    constexpr double smallest = static_cast<double>(FLT_MIN);
    const double largest_scale = static_cast<double>(__builtin_nextafterf(FLT_MAX / 127.0F, 0.0F));
    const float largest = shell_largest<Ops>(x, width);
    if (!(largest > 0.0F)) {
        __builtin_memset(codes, 0, width);
        return 0.0F;
    }
    double wanted = static_cast<double>(largest) / 127.0;
    wanted = wanted < smallest ? smallest : wanted > largest_scale ? largest_scale : wanted;
    const float scale = static_cast<float>(wanted);
    const double divisor = static_cast<double>(scale);
    // Adding and taking away 1.5 * 2**52 rounds to the nearest whole number, ties to even, with no more than SSE2.
    constexpr double magic = 6755399441055744.0;
    for (std::size_t d = 0; d < width; ++d) {
        const double rounded = (static_cast<double>(x[d]) / divisor + magic) - magic;
        codes[d] = static_cast<std::int8_t>(static_cast<std::int32_t>(rounded));
    }
    return scale;
}

template <class Ops>
void encode_block(const float* rows, std::size_t n, std::size_t dim, const EncodedShell* shells, std::size_t count) {
    for (std::size_t i = 0; i < n; ++i) {
        double squares = 0.0;
        for (std::size_t s = 0; s < count; ++s) {
            const EncodedShell& shell = shells[s];
            const float* x = rows + i * dim + shell.low;
            const std::size_t bytes = (shell.width + 7) / 8;
            if (shell.norms != nullptr) {
                squares += shell_squares<Ops>(x, shell.width);
                shell.norms[i] = static_cast<float>(__builtin_sqrt(squares));
            }
            if (shell.bits != nullptr) shell_signs<Ops>(x, shell.width, shell.bits + i * bytes);
            if (shell.codes != nullptr)
                shell.scales[i] = shell_codes<Ops>(x, shell.width, shell.codes + i * shell.width);
        }
    }
}

}  // namespace kukla
