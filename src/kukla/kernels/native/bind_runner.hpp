#pragma once

#include <nanobind/nanobind.h>

namespace kukla {

void bind_runner(nanobind::module_& m);

}  // namespace kukla
