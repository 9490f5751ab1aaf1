// What scans and scores share: the value of a query and a stretch of rows, through one Isa table.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "isa.hpp"
#include "prefetch.hpp"

namespace kukla {

// One thread's memory for a block of rows.
struct Scratch {
    explicit Scratch(std::size_t rows) : dots(rows), totals(rows) {}
    std::vector<std::int64_t> dots;
    std::vector<double> totals;
};

// Queries copied to lines of a padded length, so that kernels can read whole vectors.
template <class To>
class PaddedQueries {
public:
    template <class From>
    PaddedQueries(const From* queries, std::size_t nq, std::size_t stride, std::size_t width)
        : line_((width + kQueryPad - 1) / kQueryPad * kQueryPad), data_(nq * line_) {
        for (std::size_t q = 0; q < nq; ++q)
            std::copy(queries + q * stride, queries + q * stride + width, data_.data() + q * line_);
    }
    const To* operator[](std::size_t q) const { return data_.data() + q * line_; }

private:
    std::size_t line_;
    std::vector<To> data_;
};

class BinaryScorer {
public:
    using Value = std::int32_t;

    explicit BinaryScorer(const Isa& isa) : isa_(isa) {}

    void add(const std::uint8_t* rows, const std::uint8_t* queries, std::size_t bytes) {
        shells_.push_back({rows, queries, bytes});
    }

    void operator()(std::size_t q, std::size_t first, std::size_t n, Value* out, Scratch&) const {
        std::fill(out, out + n, 0);
        for (const Shell& s : shells_) isa_.hamming(s.rows + first * s.bytes, n, s.bytes, s.queries + q * s.bytes, out);
    }

    void prefetch(std::size_t row) const {
        for (const Shell& s : shells_) prefetch_bytes(s.rows + row * s.bytes, s.bytes);
    }
    void touch(std::size_t row) const {
        for (const Shell& s : shells_) prefetch_line(s.rows + row * s.bytes);
    }

    std::size_t bytes_per_row() const {
        std::size_t bytes = 1;
        for (const Shell& s : shells_) bytes += s.bytes;
        return bytes;
    }

private:
    struct Shell {
        const std::uint8_t* rows;
        const std::uint8_t* queries;
        std::size_t bytes;
    };
    const Isa& isa_;
    std::vector<Shell> shells_;
};

// The int8 codes of rows and of queries, shell by shell.
class Int8Shells {
public:
    void add(const std::int8_t* rows, const float* scales, const std::int16_t* queries, std::size_t nq,
             std::size_t width) {
        shells_.push_back({rows, scales, {queries, nq, width, width}, width});
    }

    std::size_t size() const { return shells_.size(); }

    // Exact dot products of query q with shell s of rows [first, first + n).
    void dots(const Isa& isa, std::size_t q, std::size_t s, std::size_t first, std::size_t n, std::int64_t* out) const {
        isa.int8_dots(shells_[s].rows + first * shells_[s].width, n, shells_[s].width, shells_[s].queries[q], out);
    }

    const float* scales(std::size_t s, std::size_t first) const { return shells_[s].scales + first; }

    void prefetch(std::size_t row, std::size_t from, std::size_t to) const {
        for (std::size_t s = from; s < to; ++s) {
            prefetch_bytes(shells_[s].rows + row * shells_[s].width, shells_[s].width);
            prefetch_line(shells_[s].scales + row);
        }
    }

    void touch(std::size_t row) const {
        for (const Shell& s : shells_) {
            prefetch_line(s.rows + row * s.width);
            prefetch_line(s.scales + row);
        }
    }

    // Of the first `shells` shells.
    std::size_t bytes_per_row(std::size_t shells) const {
        std::size_t bytes = 1;
        for (std::size_t s = 0; s < shells; ++s) bytes += shells_[s].width + sizeof(float);
        return bytes;
    }

private:
    struct Shell {
        const std::int8_t* rows;
        const float* scales;
        PaddedQueries<std::int16_t> queries;
        std::size_t width;
    };
    std::vector<Shell> shells_;
};

class Int8Scorer {
public:
    using Value = float;

    Int8Scorer(const Isa& isa, const double* query_scales, std::size_t shells, const float* norms)
        : isa_(isa), query_scales_(query_scales), stride_(shells), norms_(norms) {}

    void add(const std::int8_t* rows, const float* scales, const std::int16_t* queries, std::size_t nq,
             std::size_t width) {
        shells_.add(rows, scales, queries, nq, width);
    }

    void operator()(std::size_t q, std::size_t first, std::size_t n, Value* out, Scratch& scratch) const {
        double* totals = scratch.totals.data();
        std::fill(totals, totals + n, 0.0);
        for (std::size_t s = 0; s < shells_.size(); ++s) {
            shells_.dots(isa_, q, s, first, n, scratch.dots.data());
            isa_.add_scaled(scratch.dots.data(), shells_.scales(s, first), query_scales_[q * stride_ + s], n, totals);
        }
        isa_.finish(totals, norms_ == nullptr ? nullptr : norms_ + first, n, out);
    }

    void prefetch(std::size_t row) const { shells_.prefetch(row, 0, shells_.size()); }
    void touch(std::size_t row) const { shells_.touch(row); }
    std::size_t bytes_per_row() const { return shells_.bytes_per_row(shells_.size()); }

private:
    const Isa& isa_;
    const double* query_scales_;
    std::size_t stride_;
    const float* norms_;
    Int8Shells shells_;
};

// Element: float, or uint16_t for the bits of a float16.
template <class Element>
class FloatScorer {
public:
    using Value = float;

    FloatScorer(const Isa& isa, const Element* rows, std::size_t stride, const float* queries, std::size_t nq,
                std::size_t query_stride, std::size_t dim, const float* norms)
        : isa_(isa), rows_(rows), stride_(stride), queries_(queries, nq, query_stride, dim), dim_(dim), norms_(norms) {}

    void operator()(std::size_t q, std::size_t first, std::size_t n, Value* out, Scratch& scratch) const {
        dots(rows_ + first * stride_, n, queries_[q], scratch.totals.data());
        isa_.finish(scratch.totals.data(), norms_ == nullptr ? nullptr : norms_ + first, n, out);
    }

    void prefetch(std::size_t row) const { prefetch_bytes(rows_ + row * stride_, dim_ * sizeof(Element)); }
    void touch(std::size_t row) const { prefetch_line(rows_ + row * stride_); }
    std::size_t bytes_per_row() const { return dim_ * sizeof(Element) + 1; }

private:
    void dots(const float* rows, std::size_t n, const double* query, double* out) const {
        isa_.float32_dots(rows, n, stride_, dim_, query, out);
    }
    void dots(const std::uint16_t* rows, std::size_t n, const double* query, double* out) const {
        isa_.float16_dots(rows, n, stride_, dim_, query, out);
    }

    const Isa& isa_;
    const Element* rows_;
    std::size_t stride_;
    PaddedQueries<double> queries_;
    std::size_t dim_;
    const float* norms_;
};

}  // namespace kukla
