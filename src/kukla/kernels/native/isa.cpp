// Run-time detection.
#include "isa.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace kukla {
namespace {

#if defined(__x86_64__)
// Not every supported compiler knows "f16c" in __builtin_cpu_supports. AVX2 implies that the OS saves the registers.
bool has_f16c() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

bool has_avx2() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("popcnt") &&
           has_f16c();
}

bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#endif

struct Found {
    const Isa* list[4] = {};
#if defined(__x86_64__)
    Isa avx512 = kAvx512;
#endif

    Found() {
        int count = 0;
        list[count++] = &kScalar;
#if defined(__x86_64__)
        __builtin_cpu_init();
        if (has_avx2()) list[count++] = &kAvx2;
        if (has_avx512()) {
            if (__builtin_cpu_supports("avx512vpopcntdq")) avx512.hamming = hamming_vpopcntdq;
            if (__builtin_cpu_supports("avx512vnni")) avx512.add_narrow = add_narrow_vnni;
            list[count++] = &avx512;
        }
#elif defined(__aarch64__)
        list[count++] = &kNeon;  // part of the architecture's baseline
#endif
    }
};

}  // namespace

const Isa* const* available_isas() {
    static const Found found;
    return found.list;
}

Crc32 available_crc32() {
#if defined(__x86_64__)
    static const bool fast = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
    return fast ? crc32_pclmul : nullptr;
#else
    return nullptr;
#endif
}

}  // namespace kukla
