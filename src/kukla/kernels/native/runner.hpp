// A whole plan in one call: every stage over every segment, without a return to Python in between.
//
// It does what kukla.search.execute does with single kernels, in the same arithmetic: scans and scores are those of
// scan.hpp, queries are coded as kukla.precision codes them, and ties go to the smaller id.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <variant>
#include <vector>

#include "scan.hpp"

namespace kukla {

enum class Kind { binary, int8, float32, float16 };

// What one stage reads of one segment. Shells for codes; `vectors` with `stride` for floats.
struct StageData {
    std::vector<const void*> shells;
    std::vector<const float*> scales;
    const void* vectors = nullptr;
    const float* norms = nullptr;
};

struct SegmentData {
    std::size_t rows = 0;
    const std::int64_t* ids = nullptr;  // or strings: bytes from id_offsets[i] to id_offsets[i + 1]
    const std::uint64_t* id_offsets = nullptr;
    const std::uint8_t* id_bytes = nullptr;
    std::size_t id_size = 0;  // of all bytes
    std::vector<StageData> stages;
};

struct StageSpec {
    Kind kind;
    std::size_t dim;
    bool renormalise;  // rank by the cosine of prefixes
};

// The queries of one stage, coded once for all segments.
class StageQueries {
public:
    StageQueries(const StageSpec& stage, const std::vector<std::size_t>& ends, const float* queries, std::size_t nq,
                 std::size_t full)
        : dim(stage.dim), nq(nq), prefix(nq * stage.dim) {
        for (std::size_t q = 0; q < nq; ++q) {
            const float* from = queries + q * full;
            float* to = prefix.data() + q * dim;
            double squares = 0.0;
            if (stage.renormalise)
                for (std::size_t d = 0; d < dim; ++d) squares += static_cast<double>(from[d]) * from[d];
            // A query whose prefix is all zeros has no direction there: every document scores 0.
            const double norm = squares > 0.0 ? std::sqrt(squares) : 1.0;
            for (std::size_t d = 0; d < dim; ++d) to[d] = static_cast<float>(static_cast<double>(from[d]) / norm);
        }
        if (stage.kind != Kind::binary && stage.kind != Kind::int8) return;
        std::size_t low = 0;
        for (const std::size_t high : ends) {
            if (high > dim) break;
            widths.push_back(high - low);
            if (stage.kind == Kind::binary)
                pack(low, high);
            else
                code(low, high);
            low = high;
        }
        if (stage.kind != Kind::int8) return;
        scales.resize(nq * widths.size());
        for (std::size_t q = 0; q < nq; ++q)
            for (std::size_t s = 0; s < widths.size(); ++s) scales[q * widths.size() + s] = shell_scales[s][q];
    }

    std::size_t dim, nq;
    std::vector<float> prefix;
    std::vector<std::size_t> widths;
    std::vector<std::vector<std::uint8_t>> bits;
    std::vector<std::vector<std::int16_t>> codes;
    std::vector<double> scales;  // (nq, shells)

private:
    // numpy.packbits(x > 0)
    void pack(std::size_t low, std::size_t high) {
        const std::size_t bytes = (high - low + 7) / 8;
        std::vector<std::uint8_t> packed(nq * bytes, 0);
        for (std::size_t q = 0; q < nq; ++q)
            for (std::size_t d = low; d < high; ++d)
                if (prefix[q * dim + d] > 0.0F)
                    packed[q * bytes + (d - low) / 8] |= static_cast<std::uint8_t>(0x80U >> ((d - low) % 8));
        bits.push_back(std::move(packed));
    }

    // kukla.precision.encode_query_int8, operation by operation
    void code(std::size_t low, std::size_t high) {
        constexpr double code_max = 8191.0;
        const double smallest = static_cast<double>(std::numeric_limits<float>::min());
        const double largest_scale =
            static_cast<double>(std::nextafter(std::numeric_limits<float>::max() / 127.0F, 0.0F));
        std::vector<std::int16_t> coded(nq * (high - low));
        std::vector<double> line(nq);
        for (std::size_t q = 0; q < nq; ++q) {
            const float* x = prefix.data() + q * dim + low;
            float largest = 0.0F;
            for (std::size_t d = 0; d < high - low; ++d) largest = std::max(largest, std::fabs(x[d]));
            const double wanted = std::clamp(static_cast<double>(largest) / code_max, smallest, largest_scale);
            line[q] = largest > 0.0F ? static_cast<double>(static_cast<float>(wanted)) : 0.0;
            for (std::size_t d = 0; d < high - low && line[q] > 0.0; ++d)
                coded[q * (high - low) + d] = static_cast<std::int16_t>(
                    std::clamp(std::rint(static_cast<double>(x[d]) / line[q]), -code_max, code_max));
        }
        codes.push_back(std::move(coded));
        shell_scales.push_back(std::move(line));
    }

    std::vector<std::vector<double>> shell_scales;
};

using AnyScorer = std::variant<BinaryScorer, Int8Scorer, FloatScorer<float>, FloatScorer<std::uint16_t>>;

struct Candidate {
    std::uint32_t order;  // of the score: smaller is better
    std::uint32_t segment;
    std::uint32_t row;
    float score;
};

class Runner {
public:
    Runner(const Isa& isa, std::size_t full, std::vector<std::size_t> ends, std::vector<StageSpec> stages,
           std::vector<SegmentData> segments)
        : isa_(isa), full_(full), ends_(std::move(ends)), stages_(std::move(stages)), segments_(std::move(segments)) {
        std::size_t start = 0;
        for (const SegmentData& segment : segments_) {
            starts_.push_back(start);
            start += segment.rows;
        }
    }

    // Arrays (nq, keeps.back()) of row numbers over all segments and scores; cuts (stages, nq), as the Python code
    // defines them; seconds and scored candidates of each stage. Needs keeps to fall and at most `allowed` in all.
    void run(const float* queries, std::size_t nq, const std::vector<std::size_t>& keeps,
             const std::vector<const std::uint8_t*>& masks, const std::vector<std::size_t>& allowed, std::size_t threads,
             std::int64_t* rows, float* scores, float* cuts, double* seconds, std::int64_t* scored) const {
        using Clock = std::chrono::steady_clock;
        std::vector<std::vector<Candidate>> found(nq);
        for (std::size_t i = 0; i < stages_.size(); ++i) {
            const auto started = Clock::now();
            const StageQueries coded(stages_[i], ends_, queries, nq, full_);
            std::vector<AnyScorer> scorers;
            scorers.reserve(segments_.size());
            for (const SegmentData& segment : segments_) scorers.push_back(scorer(i, segment, coded));
            std::size_t before = 0;
            if (i == 0) {
                for (const std::size_t count : allowed) before += count;
                for (std::size_t s = 0; s < segments_.size(); ++s)
                    scan_segment(scorers[s], s, stages_[i], nq, std::min(keeps[i], allowed[s]), masks[s], threads,
                                 found);
            } else {
                before = nq == 0 ? 0 : found[0].size();
                rescore(scorers, stages_[i], threads, found);
            }
            scored[i] = static_cast<std::int64_t>(before * nq);
            const bool last = i + 1 == stages_.size();
            for (std::size_t q = 0; q < nq; ++q) {
                if (i > 0 || segments_.size() > 1) select(found[q], keeps[i], last);
                cuts[i * nq + q] = -std::numeric_limits<float>::infinity();
                if (found[q].empty() || keeps[i] >= before) continue;
                float least = found[q][0].score;
                for (const Candidate& one : found[q]) least = std::min(least, one.score);
                cuts[i * nq + q] = least;
            }
            seconds[i] = std::chrono::duration<double>(Clock::now() - started).count();
        }
        for (std::size_t q = 0, at = 0; q < nq; ++q)
            for (const Candidate& one : found[q]) {
                rows[at] = static_cast<std::int64_t>(starts_[one.segment] + one.row);
                scores[at++] = one.score;
            }
    }

private:
    AnyScorer scorer(std::size_t i, const SegmentData& segment, const StageQueries& coded) const {
        const StageData& data = segment.stages[i];
        switch (stages_[i].kind) {
            case Kind::binary: {
                BinaryScorer made(isa_);
                for (std::size_t s = 0; s < coded.widths.size(); ++s)
                    made.add(static_cast<const std::uint8_t*>(data.shells[s]), coded.bits[s].data(),
                             (coded.widths[s] + 7) / 8);
                return made;
            }
            case Kind::int8: {
                Int8Scorer made(isa_, coded.scales.data(), coded.widths.size(), data.norms);
                for (std::size_t s = 0; s < coded.widths.size(); ++s)
                    made.add(static_cast<const std::int8_t*>(data.shells[s]), data.scales[s], coded.codes[s].data(),
                             coded.nq, coded.widths[s]);
                return made;
            }
            case Kind::float32:
                return FloatScorer<float>(isa_, static_cast<const float*>(data.vectors), full_, coded.prefix.data(),
                                          coded.nq, coded.dim, coded.dim, data.norms);
            default:
                return FloatScorer<std::uint16_t>(isa_, static_cast<const std::uint16_t*>(data.vectors), full_,
                                                  coded.prefix.data(), coded.nq, coded.dim, coded.dim, data.norms);
        }
    }

    static float score_of(std::int32_t distance, std::size_t dim) {
        return static_cast<float>(1.0 - static_cast<double>(distance) * (2.0 / static_cast<double>(dim)));
    }
    static float score_of(float score, std::size_t) { return score; }

    static Candidate candidate(std::size_t segment, std::int64_t row, float score) {
        return {order_of(score + 0.0F), static_cast<std::uint32_t>(segment), static_cast<std::uint32_t>(row), score};
    }

    void scan_segment(const AnyScorer& any, std::size_t s, const StageSpec& stage, std::size_t nq, std::size_t keep,
                      const std::uint8_t* mask, std::size_t threads, std::vector<std::vector<Candidate>>& found) const {
        std::visit(
            [&](const auto& scorer) {
                using Value = typename std::decay_t<decltype(scorer)>::Value;
                std::vector<std::int64_t> rows(nq * keep);
                std::vector<Value> values(nq * keep);
                scan(scorer, segments_[s].rows, nq, keep, mask, threads, rows.data(), values.data());
                for (std::size_t q = 0; q < nq; ++q)
                    for (std::size_t j = q * keep; j < (q + 1) * keep; ++j)
                        found[q].push_back(candidate(s, rows[j], score_of(values[j], stage.dim)));
            },
            any);
    }

    void rescore(const std::vector<AnyScorer>& scorers, const StageSpec& stage, std::size_t threads,
                 std::vector<std::vector<Candidate>>& found) const {
        constexpr std::size_t ahead = 4;
        const std::size_t nq = found.size(), m = nq == 0 ? 0 : found[0].size(), pairs = nq * m;
        if (pairs == 0) return;
        const double row_bytes =
            std::visit([](const auto& scorer) { return static_cast<double>(scorer.bytes_per_row()); }, scorers[0]);
        const std::size_t parts = parts_for(threads, pairs, static_cast<double>(pairs) * row_bytes);
        parallel(parts, [&](std::size_t part) {
            const std::size_t begin = pairs / parts * part + std::min(part, pairs % parts);
            const std::size_t end = begin + pairs / parts + (part < pairs % parts ? 1 : 0);
            Scratch scratch(1);
            for (std::size_t i = begin; i < end; ++i) {
                if (i + ahead < end) {
                    const Candidate& next = found[(i + ahead) / m][(i + ahead) % m];
                    std::visit([&](const auto& scorer) { scorer.prefetch(next.row); }, scorers[next.segment]);
                }
                Candidate& one = found[i / m][i % m];
                std::visit(
                    [&](const auto& scorer) {
                        typename std::decay_t<decltype(scorer)>::Value value;
                        scorer(i / m, one.row, 1, &value, scratch);
                        one = candidate(one.segment, one.row, score_of(value, stage.dim));
                    },
                    scorers[one.segment]);
            }
        });
    }

    // The best `keep` by score, ties by id; sorted if asked.
    void select(std::vector<Candidate>& line, std::size_t keep, bool sorted) const {
        const auto better = [this](const Candidate& a, const Candidate& b) {
            if (a.order != b.order) return a.order < b.order;
            return a.segment == b.segment ? a.row < b.row : id_before(a, b);
        };
        if (keep < line.size()) {
            std::nth_element(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(keep), line.end(), better);
            line.resize(keep);
        }
        if (sorted) std::sort(line.begin(), line.end(), better);
    }

    bool id_before(const Candidate& a, const Candidate& b) const {
        const SegmentData &left = segments_[a.segment], &right = segments_[b.segment];
        if (left.ids != nullptr && right.ids != nullptr) {
            if (left.ids[a.row] != right.ids[b.row]) return left.ids[a.row] < right.ids[b.row];
            return a.segment < b.segment;
        }
        if (left.ids != nullptr || right.ids != nullptr) return a.segment < b.segment;
        const auto [x, x_size] = string_id(left, a.row);
        const auto [y, y_size] = string_id(right, b.row);
        const int compared = std::memcmp(x, y, std::min(x_size, y_size));
        if (compared != 0) return compared < 0;
        return x_size != y_size ? x_size < y_size : a.segment < b.segment;
    }

    // Damaged offsets must not lead outside the file: such an id counts as empty.
    static std::pair<const std::uint8_t*, std::size_t> string_id(const SegmentData& segment, std::size_t row) {
        const std::uint64_t from = segment.id_offsets[row], to = segment.id_offsets[row + 1];
        if (from > to || to > segment.id_size) return {segment.id_bytes, 0};
        return {segment.id_bytes + from, to - from};
    }

    const Isa& isa_;
    std::size_t full_;
    std::vector<std::size_t> ends_;
    std::vector<StageSpec> stages_;
    std::vector<SegmentData> segments_;
    std::vector<std::size_t> starts_;
};

}  // namespace kukla
