"""The machine, and what it could do at best: bytes a second from memory, multiplications a second.

An engine that has to read B bytes for a query can answer at most bandwidth / B queries a second, one at a
time, when those bytes come from memory. What is small enough to stay in the caches may exceed that; graphs,
whose reads depend on each other, stay far below: the distance says which.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.kernels import best_seconds, read_speed

__all__ = ["describe_machine", "measure_limits"]

ISA = (
    "avx2",
    "fma",
    "avx512f",
    "avx512bw",
    "avx512_vnni",
    "avx512_vpopcntdq",
    "amx_int8",
    "asimd",
    "asimddp",
    "sve",
)
READ_BYTES = 512_000_000
SIDE = 1024


def describe_machine() -> dict[str, Any]:
    """Processor, instruction sets, cores, memory, system: what a figure belongs to."""
    info: dict[str, str] = {}
    path = Path("/proc/cpuinfo")
    for line in path.read_text().splitlines() if path.is_file() else []:
        name, _, value = line.partition(":")
        info.setdefault(name.strip(), value.strip())
    flags = set((info.get("flags") or info.get("Features") or "").split())
    caches = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind = (folder / "level").read_text().strip(), (folder / "type").read_text().strip()
        if kind != "Instruction":
            caches[f"L{level}"] = (folder / "size").read_text().strip()
    return {
        "cpu": info.get("model name") or platform.processor() or platform.machine(),
        "isa": [name for name in ISA if name in flags],
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "caches": caches,
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
    }


def measure_limits(runs: int = 5) -> dict[str, float]:
    """Bytes a second of plain reading by one thread and by two; float32 multiplications a second of one."""
    left = np.random.default_rng(0).standard_normal((SIDE, SIDE)).astype(np.float32)
    product: Callable[[], object] = partial(np.matmul, left, left)
    return {
        "read_bytes_per_second": round(read_speed(READ_BYTES, 1, runs)),
        "read_bytes_per_second_2_threads": round(read_speed(READ_BYTES, 2, runs)),
        "float32_multiplications_per_second": round(SIDE**3 / best_seconds(product, runs)),
    }
