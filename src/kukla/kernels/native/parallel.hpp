// Fork and join.
#pragma once

#include <algorithm>
#include <cstddef>
#include <exception>
#include <thread>
#include <vector>

namespace kukla {

// How many parts to cut work into: starting a thread costs some 30 us, in which a core reads a few hundred kilobytes.
inline std::size_t parts_for(std::size_t threads, std::size_t items, double bytes) {
    constexpr double least_bytes = 1 << 20;
    const auto worthwhile = static_cast<std::size_t>(std::min(bytes / least_bytes, 256.0));
    return std::max<std::size_t>(1, std::min({threads, items, worthwhile}));
}

// Runs work(0) ... work(parts - 1), the first here and the others in threads of their own. If the system gives no more
// threads, the rest runs here. The first exception of any part is thrown again after all have ended.
template <class Work>
void parallel(std::size_t parts, const Work& work) {
    std::vector<std::exception_ptr> errors(parts);
    const auto guarded = [&](std::size_t part) noexcept {
        try {
            work(part);
        } catch (...) {
            errors[part] = std::current_exception();
        }
    };
    std::vector<std::thread> threads;
    threads.reserve(parts);
    std::size_t started = 1;
    try {
        for (; started < parts; ++started) threads.emplace_back(guarded, started);
    } catch (...) {  // no thread was started for this part
    }
    guarded(0);
    for (std::size_t part = started; part < parts; ++part) guarded(part);
    for (std::thread& thread : threads) thread.join();
    for (const std::exception_ptr& error : errors)
        if (error) std::rethrow_exception(error);
}

}  // namespace kukla
