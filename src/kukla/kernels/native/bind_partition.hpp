#pragma once

#include <nanobind/nanobind.h>

namespace kukla {

void bind_partition(nanobind::module_& m);

}  // namespace kukla
