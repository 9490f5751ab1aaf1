// A whole plan in one call: every stage over every segment, without a return to Python in between.
//
// It does what kukla.search.execute does with single kernels, in the same arithmetic: scans and scores are those of
// scan.hpp, queries are coded as kukla.precision codes them, and ties go to the smaller id.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <stdexcept>
#include <variant>
#include <vector>

#include "candidates.hpp"
#include "list_scan.hpp"
#include "scan.hpp"

namespace kukla {

enum class Kind { binary, int8, float32, float16, lists };

// What one stage reads of one segment. Shells for codes; `vectors` with `stride` for floats.
struct StageData {
    std::vector<const void*> shells;
    std::vector<const float*> scales;
    const void* vectors = nullptr;
    const float* norms = nullptr;
};

struct SegmentData {
    std::size_t rows = 0;
    Ids ids;
    std::vector<StageData> stages;
    ListsData lists;
    const std::uint8_t* live = nullptr;         // the mask of the rows that are not deleted; null: all are there
    std::size_t live_rows = 0;
    std::atomic<std::uint8_t>* open = nullptr;  // of each block of the lists how many rows are not deleted: see ListScan
};

struct StageSpec {
    Kind kind;
    std::size_t dim;
    bool renormalise;    // rank by the cosine of prefixes
    std::size_t probes;  // of Kind::lists: how many of them are looked into
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
                    std::lrint(std::clamp(static_cast<double>(x[d]) / line[q], -code_max, code_max)));
        }
        codes.push_back(std::move(coded));
        shell_scales.push_back(std::move(line));
    }

    std::vector<std::vector<double>> shell_scales;
};

using AnyScorer = std::variant<BinaryScorer, Int8Scorer, FloatScorer<float>, FloatScorer<std::uint16_t>>;

class Runner {
public:
    // `live` counts the rows that are not deleted. A first stage of Kind::lists needs a partition, and one more stage
    // than the plan has: it scores the rows that have no codes.
    Runner(const Isa& isa, std::size_t full, std::vector<std::size_t> ends, std::vector<StageSpec> stages,
           std::vector<SegmentData> segments, const PartitionData& partition, std::size_t live)
        : isa_(isa), full_(full), ends_(std::move(ends)), stages_(std::move(stages)), segments_(std::move(segments)),
          partition_(partition), live_(live), better_(ids_of(segments_)) {
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
        for (std::size_t i = 0; i < keeps.size(); ++i) {
            const auto started = Clock::now();
            std::size_t before = 0;
            if (stages_[i].kind == Kind::lists) {
                for (const std::size_t count : allowed) before += count;
                scored[i] = scan_lists(queries, nq, keeps[i], masks, allowed, threads, found);
            } else {
                const StageQueries coded(stages_[i], ends_, queries, nq, full_);
                const std::vector<AnyScorer> scorers = scorers_of(i, coded);
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
            }
            const bool last = i + 1 == keeps.size();
            for (std::size_t q = 0; q < nq; ++q) {
                if (i > 0 || segments_.size() > 1 || stages_[i].kind == Kind::lists)
                    better_.select(found[q], keeps[i], last);
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
    static std::vector<Ids> ids_of(const std::vector<SegmentData>& segments) {
        std::vector<Ids> ids;
        for (const SegmentData& segment : segments) ids.push_back(segment.ids);
        return ids;
    }

    std::vector<AnyScorer> scorers_of(std::size_t i, const StageQueries& coded) const {
        std::vector<AnyScorer> scorers;
        scorers.reserve(segments_.size());
        for (const SegmentData& segment : segments_) scorers.push_back(scorer(i, segment, coded));
        return scorers;
    }

    // What has no lists is scanned by the last stage.
    std::int64_t scan_lists(const float* queries, std::size_t nq, std::size_t keep,
                            const std::vector<const std::uint8_t*>& masks, const std::vector<std::size_t>& allowed,
                            std::size_t threads, std::vector<std::vector<Candidate>>& found) const {
        bool others = false;
        std::size_t total = 0, all = 0;
        std::vector<ListScan::Segment> segments;
        for (std::size_t s = 0; s < segments_.size(); ++s) {
            others = others || segments_[s].lists.offsets == nullptr;
            all += allowed[s];
            total += segments_[s].lists.offsets == nullptr ? 0 : allowed[s];
            const bool live = masks[s] != nullptr && masks[s] == segments_[s].live;
            segments.push_back({segments_[s].rows, segments_[s].lists, masks[s], live ? segments_[s].open : nullptr});
        }
        // With a filter as many as the lists would have held without: it leaves fewer in each.
        const std::size_t lists = partition_.lists, probes = stages_[0].probes;
        const std::size_t usual = (std::min(probes, lists) * live_ + lists - 1) / lists;
        const std::size_t want = all < live_ ? std::min(total, std::max(keep, usual)) : keep;
        const ListScan scan(isa_, partition_, better_, std::move(segments), probes, keep, want);
        std::int64_t scored = scan.run(queries, nq, threads, found);
        if (others) {
            const StageQueries coded(stages_.back(), ends_, queries, nq, full_);
            const std::vector<AnyScorer> scorers = scorers_of(stages_.size() - 1, coded);
            for (std::size_t s = 0; s < segments_.size(); ++s) {
                if (segments_[s].lists.offsets != nullptr) continue;
                scan_segment(scorers[s], s, stages_.back(), nq, std::min(keep, allowed[s]), masks[s], threads, found);
                scored += static_cast<std::int64_t>(allowed[s] * nq);
            }
        }
        for (const std::vector<Candidate>& line : found)
            if (line.size() < keep) throw std::runtime_error("lists hold fewer rows than their segments");
        return scored;
    }

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
        // The first line of many rows is asked for at once: finding where their pages are takes longer than reading them.
        constexpr std::size_t ahead = 4, together = 512;
        const std::size_t nq = found.size(), m = nq == 0 ? 0 : found[0].size(), pairs = nq * m;
        if (pairs == 0) return;
        const double row_bytes =
            std::visit([](const auto& scorer) { return static_cast<double>(scorer.bytes_per_row()); }, scorers[0]);
        const std::size_t parts = parts_for(threads, pairs, static_cast<double>(pairs) * row_bytes);
        parallel(parts, [&](std::size_t part) {
            const std::size_t begin = pairs / parts * part + std::min(part, pairs % parts);
            const std::size_t end = begin + pairs / parts + (part < pairs % parts ? 1 : 0);
            Scratch scratch(1);
            const auto ask_for = [&](std::size_t i, bool whole) {
                const Candidate& next = found[i / m][i % m];
                std::visit([&](const auto& scorer) { whole ? scorer.prefetch(next.row) : scorer.touch(next.row); },
                           scorers[next.segment]);
            };
            for (std::size_t i = begin; i < end; ++i) {
                if ((i - begin) % together == 0) {
                    const std::size_t stop = std::min(i + together, end);
                    for (std::size_t j = i; j < stop; ++j) ask_for(j, false);
                    for (std::size_t j = i; j < std::min(i + ahead, stop); ++j) ask_for(j, true);
                }
                if (i + ahead < end) ask_for(i + ahead, true);
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

    const Isa& isa_;
    std::size_t full_;
    std::vector<std::size_t> ends_;
    std::vector<StageSpec> stages_;
    std::vector<SegmentData> segments_;
    PartitionData partition_;
    std::size_t live_;
    Better better_;
    std::vector<std::size_t> starts_;
};

}  // namespace kukla
