"""One stage on one segment: the stored codes and the encoded queries go to the kernels.

A cosine index compares renormalised prefixes in every stage: the dot product of the prefixes over both prefix
norms, unless its projection says otherwise (``Projection.renormalises_prefixes``). After a fitted rotation
the partial dot product of the unit vectors mostly ranks better; both are in ``docs/projections.md``.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kukla import kernels
from kukla.nesting import Nesting
from kukla.plan import Stage
from kukla.precision import Precision, encode_query_int8, pack_signs
from kukla.storage.segment import Segment

__all__ = ["Scorer", "make_scorer"]

Rows = NDArray[np.int64]
Scores = NDArray[np.float32]
Mask = NDArray[np.bool_] | None


class Scorer(Protocol):
    """The encoded queries of one stage; higher scores are better."""

    def scan(self, segment: Segment, keep: int, mask: Mask, threads: int) -> tuple[Rows, Scores]:
        """The best ``keep`` allowed rows of a segment for each query, ties by row."""
        ...

    def score(self, segment: Segment, rows: Rows, threads: int) -> Scores:
        """The scores of given rows ``(n_queries, m)``."""
        ...


def make_scorer(stage: Stage, queries: NDArray[np.float32], nesting: Nesting, *, renormalise: bool) -> Scorer:
    """Encode float32 queries ``(n_queries, full)`` for a stage.

    ``renormalise``: score by the cosine of prefixes, else by their dot product.
    """
    prefix = queries[:, : stage.dim]
    if renormalise and stage.dim < nesting.full:
        norms = np.sqrt(np.einsum("ij,ij->i", prefix, prefix, dtype=np.float64))
        # A query whose prefix is all zeros has no direction there: every document scores 0.
        prefix = (prefix / np.where(norms > 0, norms, 1.0)[:, None]).astype(np.float32)
    if stage.precision is Precision.BINARY:
        return _BinaryScorer(stage, prefix, nesting)
    if stage.precision is Precision.INT8:
        return _Int8Scorer(stage, prefix, nesting, renormalise)
    return _FloatScorer(stage, prefix, renormalise)


class _BinaryScorer:
    def __init__(self, stage: Stage, prefix: NDArray[np.float32], nesting: Nesting) -> None:
        self.dim = stage.dim
        self.codes = [pack_signs(prefix[:, low:high]) for low, high in nesting.shells_of(stage.dim)]

    def scan(self, segment: Segment, keep: int, mask: Mask, threads: int) -> tuple[Rows, Scores]:
        shells = segment.shells("binary", self.dim)
        rows, distances = kernels.scan_binary(shells, self.codes, keep, mask=mask, threads=threads)
        return rows, self._similarity(distances)

    def score(self, segment: Segment, rows: Rows, threads: int) -> Scores:
        shells = segment.shells("binary", self.dim)
        return self._similarity(kernels.score_binary(shells, self.codes, rows, threads=threads))

    def _similarity(self, distances: NDArray[np.int32]) -> Scores:
        return (1 - distances * (2 / self.dim)).astype(np.float32)


class _Int8Scorer:
    def __init__(
        self, stage: Stage, prefix: NDArray[np.float32], nesting: Nesting, renormalise: bool
    ) -> None:
        self.dim, self.renormalise = stage.dim, renormalise
        encoded = [encode_query_int8(prefix[:, low:high]) for low, high in nesting.shells_of(stage.dim)]
        self.codes = [codes for codes, _ in encoded]
        self.scales = np.ascontiguousarray(np.stack([scales for _, scales in encoded], axis=1))

    def _stored(self, segment: Segment) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        return segment.shells("int8", self.dim), segment.shells("int8.scales", self.dim)

    def scan(self, segment: Segment, keep: int, mask: Mask, threads: int) -> tuple[Rows, Scores]:
        codes, scales = self._stored(segment)
        norms = segment.norms(self.dim) if self.renormalise else None
        return kernels.scan_int8(
            codes, scales, self.codes, self.scales, keep, norms=norms, mask=mask, threads=threads
        )

    def score(self, segment: Segment, rows: Rows, threads: int) -> Scores:
        codes, scales = self._stored(segment)
        norms = segment.norms(self.dim) if self.renormalise else None
        return kernels.score_int8(codes, scales, self.codes, self.scales, rows, norms=norms, threads=threads)


class _FloatScorer:
    def __init__(self, stage: Stage, prefix: NDArray[np.float32], renormalise: bool) -> None:
        self.stage, self.renormalise = stage, renormalise
        self.queries = np.ascontiguousarray(prefix)

    def _stored(self, segment: Segment) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
        norms = segment.norms(self.stage.dim) if self.renormalise else None
        return segment.floats(self.stage.precision.value), norms

    def scan(self, segment: Segment, keep: int, mask: Mask, threads: int) -> tuple[Rows, Scores]:
        stored, norms = self._stored(segment)
        return kernels.scan_float(
            stored, self.queries, self.stage.dim, keep, norms=norms, mask=mask, threads=threads
        )

    def score(self, segment: Segment, rows: Rows, threads: int) -> Scores:
        stored, norms = self._stored(segment)
        return kernels.score_float(stored, self.queries, self.stage.dim, rows, norms=norms, threads=threads)
