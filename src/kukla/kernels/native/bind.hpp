// What the bindings share: the arrays they take, and errors as exceptions.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "isa.hpp"

namespace kukla {

namespace nb = nanobind;

template <class T, std::size_t Axes>
using Array = nb::ndarray<T, nb::ndim<Axes>, nb::c_contig, nb::device::cpu>;
template <class T, std::size_t Axes>
using Optional = std::optional<Array<const T, Axes>>;
template <class T>
using Matrices = std::vector<Array<const T, 2>>;

inline void require(bool condition, const char* what) {
    if (!condition) throw std::invalid_argument(what);
}

inline const Isa& isa_named(const char* name) {
    for (const Isa* const* isa = available_isas(); *isa != nullptr; ++isa)
        if (std::strcmp((*isa)->name, name) == 0) return **isa;
    throw std::invalid_argument(std::string("no kernels named ") + name);
}

}  // namespace kukla
