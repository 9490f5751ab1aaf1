"""Types of the compiled module. Arrays come checked from `kukla.kernels`; the last ones are written to."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

def available() -> tuple[str, ...]: ...
def scan_binary(
    isa: str,
    shells: Sequence[Array],
    queries: Sequence[Array],
    mask: Array | None,
    threads: int,
    rows: I64,
    distances: I32,
) -> None: ...
def scan_int8(
    isa: str,
    shells: Sequence[Array],
    scales: Sequence[Array],
    query_codes: Sequence[Array],
    query_scales: Array,
    norms: Array | None,
    mask: Array | None,
    threads: int,
    rows: I64,
    scores: F32,
) -> None: ...
def scan_float(
    isa: str,
    vectors: Array,
    queries: Array,
    dim: int,
    norms: Array | None,
    mask: Array | None,
    threads: int,
    rows: I64,
    scores: F32,
) -> None: ...
def score_binary(
    isa: str, shells: Sequence[Array], queries: Sequence[Array], rows: Array, threads: int, distances: I32
) -> None: ...
def score_int8(
    isa: str,
    shells: Sequence[Array],
    scales: Sequence[Array],
    query_codes: Sequence[Array],
    query_scales: Array,
    norms: Array | None,
    rows: Array,
    threads: int,
    scores: F32,
) -> None: ...
def score_float(
    isa: str,
    vectors: Array,
    queries: Array,
    dim: int,
    norms: Array | None,
    rows: Array,
    threads: int,
    scores: F32,
) -> None: ...
def bound_int8(
    isa: str,
    shells: Sequence[Array],
    scales: Sequence[Array],
    query_codes: Sequence[Array],
    query_scales: Array,
    margins: Array,
    count: int,
    norms: Array | None,
    mask: Array | None,
    threads: int,
    totals: F32,
    rows: I64,
    values: F32,
) -> None: ...
def reach_int8(
    isa: str,
    shells: Sequence[Array],
    scales: Sequence[Array],
    query_codes: Sequence[Array],
    query_scales: Array,
    margins: Array,
    totals: F32,
    checkpoints: Sequence[int],
    norms: Sequence[Array | None],
    query_tails: F32,
    thresholds: F32,
    mask: Array | None,
    threads: int,
) -> tuple[Array, Array, Array]: ...
def top_k(scores: Array, rows: Array, out_rows: I64, out_scores: F32) -> None: ...
def unit_rows(isa: str, rows: Array, out: F32) -> int: ...
def encode_rows(
    isa: str,
    rows: Array,
    dims: Sequence[int],
    norms: Sequence[Array],
    bits: Sequence[Array],
    codes: Sequence[Array],
    scales: Sequence[Array],
) -> None: ...
def has_crc32() -> bool: ...
def crc32(data: Array, crc: int) -> int: ...
def pool_rows(isa: str, vectors: Array, scales: Array, ids: Array, offsets: Array, out: F32) -> None: ...

class Runner:
    def __init__(
        self,
        isa: str,
        ends: Sequence[int],
        stages: Sequence[tuple[str, int, bool, int]],
        partition: tuple[Array, ...] | None,
        live: int,
    ) -> None: ...
    def add_segment(
        self,
        rows: int,
        ids: Array | None,
        offsets: Array | None,
        bytes: Array | None,  # noqa: A002
        codes: Sequence[Sequence[Array]],
        scales: Sequence[Sequence[Array]],
        norms: Sequence[Array | None],
        lists: tuple[Array, ...] | None,
        live: Array | None,
    ) -> None: ...
    def run(
        self,
        queries: F32,
        keeps: Sequence[int],
        masks: Sequence[Array | None],
        threads: int,
        rows: I64,
        scores: F32,
        cuts: F32,
    ) -> tuple[list[float], list[int]]: ...

def nibble_codes(
    isa: str, values: F32, ends: Array, books: F32, halves: F32, threads: int, codes: Array
) -> None: ...
def nibble_stretches(
    values: F32, codes: Array, ends: Array, books: F32, threads: int, out: Array
) -> None: ...
def nibble_scores(
    isa: str, blocks: Array, tables: Array, base: float, offset: float, delta: float, scores: Array
) -> None: ...
def nibble_sums(isa: str, records: Array, tables: Array, sums: Array) -> None: ...
def at_least(isa: str, values: F32, least: float, places: Array) -> int: ...
