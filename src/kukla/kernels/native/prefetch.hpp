// Asking for memory before it is read.
#pragma once

#include <algorithm>
#include <cstddef>

namespace kukla {

// Into the second cache: the first one can wait for few lines at a time. GCC takes a function that only prefetches for one
// without effects, and leaves out its calls; an empty statement of assembler is an effect. Inlined, because what is
// compiled for one instruction set must not be linked for all.
[[gnu::always_inline]] inline void prefetch_line(const void* line) {
    __builtin_prefetch(line, 0, 2);
    __asm__ volatile("" : : "r"(line));
}

// The first bytes of a row; the hardware sees the pattern after that.
[[gnu::always_inline]] inline void prefetch_bytes(const void* row, std::size_t bytes) {
    const char* line = static_cast<const char*>(row);
    for (std::size_t i = 0; i < std::min<std::size_t>(bytes, 8192); i += 64) prefetch_line(line + i);
}

}  // namespace kukla
