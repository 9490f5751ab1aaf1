// AVX2 with FMA, F16C and POPCNT (Haswell, Zen and later).
#if defined(__x86_64__)
#include <immintrin.h>

#include "encode.hpp"
#include "finish.hpp"
#include "float_dot.hpp"
#include "hamming.hpp"
#include "int8_dot.hpp"
#include "isa.hpp"
#include "narrow.hpp"
#include "narrow_x86.hpp"
#include "nibbles.hpp"
#include "pool.hpp"
#include "unit.hpp"

namespace kukla {
namespace {

struct Ops {
    static std::uint64_t popcount(std::uint64_t x) { return static_cast<std::uint64_t>(__builtin_popcountll(x)); }

    // One POPCNT a cycle is 8 bytes a cycle, which is more than memory delivers.
    static std::uint64_t hamming(const std::uint8_t* row, const std::uint8_t* query, std::size_t bytes) {
        return hamming_words<Ops>(row, query, bytes);
    }
};

struct Int8 {
    static constexpr std::size_t kStep = 16;
    static constexpr std::size_t kFlush = 8192;
    __m256i lanes = _mm256_setzero_si256();

    void add(const std::int8_t* row, const std::int16_t* query) {
        const __m256i codes = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row)));
        const __m256i probe = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(query));
        lanes = _mm256_add_epi32(lanes, _mm256_madd_epi16(codes, probe));
    }
    void merge(const Int8& other) { lanes = _mm256_add_epi32(lanes, other.lanes); }
    std::int64_t sum() const {
        const __m256i wide = _mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(lanes)),
                                              _mm256_cvtepi32_epi64(_mm256_extracti128_si256(lanes, 1)));
        const __m128i pair = _mm_add_epi64(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
        return _mm_cvtsi128_si64(pair) + _mm_extract_epi64(pair, 1);
    }
    static void sum4(const Int8 lines[4], std::int64_t* dots) {
        const __m256i low = pairs(lines[0].lanes, lines[1].lanes), high = pairs(lines[2].lanes, lines[3].lanes);
        const __m256i all = _mm256_add_epi32(_mm256_unpacklo_epi64(low, high), _mm256_unpackhi_epi64(low, high));
        const __m128i sums = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(dots), _mm256_cvtepi32_epi64(sums));
    }

private:
    static __m256i pairs(__m256i a, __m256i b) {
        return _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    }
};

inline __m256 load8(const float* row) { return _mm256_loadu_ps(row); }

inline __m256 load8(const std::uint16_t* row) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row)));
}

struct Float {
    __m256d lanes[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd()};

    template <class Element>
    void add(const Element* row, const double* query) {
        const __m256 low = load8(row), high = load8(row + 8);
        add4(0, _mm256_castps256_ps128(low), query);
        add4(1, _mm256_extractf128_ps(low, 1), query);
        add4(2, _mm256_castps256_ps128(high), query);
        add4(3, _mm256_extractf128_ps(high, 1), query);
    }
    void store(double* out) const {
        for (int j = 0; j < 4; ++j) _mm256_storeu_pd(out + 4 * j, lanes[j]);
    }

private:
    void add4(int j, __m128 values, const double* query) {
        lanes[j] = _mm256_fmadd_pd(_mm256_cvtps_pd(values), _mm256_loadu_pd(query + 4 * j), lanes[j]);
    }
};

// See nibbles.hpp. Sums of even and of odd rows are kept apart: uint16 lanes hold two bytes, and the even one is what is
// left when the odd one is taken away.
struct Sums {
    static void of(const std::uint8_t* lines, std::size_t pairs, const std::uint8_t* tables, std::uint16_t* sums) {
        const __m256i half = _mm256_set1_epi8(15);
        __m256i both = _mm256_setzero_si256(), odd = both;
        const std::uint8_t* table = tables;
        for (std::size_t p = 0; p < pairs; ++p, lines += kNibbleRows, table += p % 2 == 0 ? 96 : 32) {
            const __m256i line = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(lines));
            const __m256i low = _mm256_and_si256(line, half);
            const __m256i high = _mm256_and_si256(_mm256_srli_epi16(line, 4), half);
            const __m256i a = _mm256_shuffle_epi8(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(table)), low);
            const __m256i b =
                _mm256_shuffle_epi8(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(table + 64)), high);
            const __m256i sum = _mm256_add_epi8(a, b);
            both = _mm256_add_epi16(both, sum);
            odd = _mm256_add_epi16(odd, _mm256_srli_epi16(sum, 8));
        }
        const __m256i even = _mm256_sub_epi16(both, _mm256_slli_epi16(odd, 8));
        const __m256i low = _mm256_unpacklo_epi16(even, odd), high = _mm256_unpackhi_epi16(even, odd);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums), _mm256_permute2x128_si256(low, high, 0x20));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + 16), _mm256_permute2x128_si256(low, high, 0x31));
    }
};

std::size_t at_least(const float* values, std::size_t n, float least, std::uint32_t* out) {
    const __m256 bound = _mm256_set1_ps(least);
    std::size_t found = 0, i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256 reached = _mm256_cmp_ps(_mm256_loadu_ps(values + i), bound, _CMP_GE_OQ);
        for (unsigned left = static_cast<unsigned>(_mm256_movemask_ps(reached)); left != 0; left &= left - 1)
            out[found++] = static_cast<std::uint32_t>(i) + static_cast<std::uint32_t>(__builtin_ctz(left));
    }
    for (; i < n; ++i)
        if (values[i] >= least) out[found++] = static_cast<std::uint32_t>(i);
    return found;
}

// As in isa_avx512.cpp, in halves; a line fills a register.
struct Lines {
    static constexpr std::size_t kPairs = 32;

    static void of(const std::uint8_t* const* records, std::size_t from, std::size_t here, std::uint8_t* lines) {
        __m256i first[16], second[16];
        load(records, from, here, first);
        load(records + 16, from, here, second);
        for (std::size_t t = 0; t < 16; ++t) {  // half j has the pair 16 j + t
            auto* line = reinterpret_cast<__m256i*>(lines + t * kNibbleRows);
            _mm256_store_si256(line, _mm256_permute2x128_si256(first[t], second[t], 0x20));
            _mm256_store_si256(line + 16, _mm256_permute2x128_si256(first[t], second[t], 0x31));
        }
    }

private:
    static void load(const std::uint8_t* const* records, std::size_t from, std::size_t here, __m256i* rows) {
        for (std::size_t v = 0; v < 16; ++v) {
            rows[v] = _mm256_setzero_si256();
            if (here == kPairs)
                rows[v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(records[v] + from));
            else
                std::memcpy(&rows[v], records[v] + from, here);
        }
        for (int round = 0; round < 4; ++round) {
            __m256i turned[16];
            for (std::size_t v = 0; v < 8; ++v) {
                turned[2 * v] = _mm256_unpacklo_epi8(rows[v], rows[v + 8]);
                turned[2 * v + 1] = _mm256_unpackhi_epi8(rows[v], rows[v + 8]);
            }
            for (std::size_t v = 0; v < 16; ++v) rows[v] = turned[v];
        }
    }
};

}  // namespace

const Isa kAvx2 = {
    "avx2",
    hamming_block<Ops>,
    int8_dot_block4<Int8>,
    float_dot_block<Float, float>,
    float_dot_block<Float, std::uint16_t>,
    add_scaled_block<Ops>,
    finish_block<Ops>,
    add_narrow_block<NarrowPairs>,
    narrow_bounds_block<Ops>,
    divide_block<Ops>,
    pool_text<Ops>,
    encode_block<Ops>,
    unit_rows_block<Ops, float>,
    unit_rows_block<Ops, double>,
    nibble_scores_block<Sums>,
    nibble_record_sums_block<Sums, Lines>,
    at_least,
    nibble_tables_block<Ops>,
    nibble_codes_block<Ops>,
};

}  // namespace kukla
#endif
