"""Partition: centroids that cut an index into lists, and codebooks for what is left of a row there.

A row ``x`` belongs to the list of its nearest centroid ``c``. Its code stands for the residual ``x - c``:
dims are put into groups, and of each group the nearest of sixteen codewords is kept, four bits (product
quantisation, Jégou, Douze and Schmid, TPAMI 2011). A query's score is estimated as ``<q, c> + sum over
groups of <q, codeword>``, from tables that fit in registers (:mod:`kukla.kernels.partition`).

Codewords are means, so they are shorter than what they stand for, and rows that lie in the direction of the
query, which are those it looks for, are underestimated most. So the sum is stretched by ``|x - c|^2 / <x -
c, code>``, a byte a row: the estimate is then right for a query in the direction of the residual (the factor
of RaBitQ, Gao and Long, arXiv 2405.12497). A shortlist finds as much with half as many candidates
(``docs/lists.md``).

Groups are not equally wide. Dims that matter much, by the variance of their residuals and the weight that
queries give them, are alone or in pairs; dims that matter little share their four bits with seven or
thirty-one others (after SAQ, Li et al., arXiv 2509.12086, which gives bits to segments of dims in the same
way).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kukla import kernels
from kukla.errors import ForeignFileError
from kukla.kernels.partition import group_widths
from kukla.partition.codebooks import CODEWORDS, weighted_codewords
from kukla.partition.k_means import Nearest

__all__ = ["HEAD_DIMS", "Partition"]

MOST_GROUPS = 256
HEAD_DIMS = 128
"""So many dims of the centroids decide which centroids are looked at as a whole."""

MORE = 16
"""A query that looks into p lists compares the centroids of p + p / 2 + 16 as a whole."""

NEAR_DIMS = 256
"""So many dims decide which centroid is nearest to a row: the first of nested or rotated ones say most."""

BLOCK_ROWS = 2048

F32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Partition:
    """Centroids and codebooks.

    Parameters
    ----------
    codes : ndarray of int8, shape (lists, dim)
        Centroids, in units of their scales.
    scales : ndarray of float32, shape (lists,)
    routes : ndarray of float32, shape (lists,)
        What scores of centroids are multiplied by to compare lists: for cosine one over the centroid's
        length. Short centroids are those of lists whose rows point in many directions, and a query is as
        near to one of them as to a row of another list.
    order : ndarray of uint64, shape (used,)
        The dims in the order in which groups take them; dims that are not there are in no code.
    ends : ndarray of uint64, shape (groups,)
        Where groups end in ``order``. There are 4 to 256, a multiple of four.
    books : ndarray of float32, shape (used, 16)
        ``books[i, c]`` is codeword ``c`` of its group at dim ``order[i]``.
    weights : ndarray of float32, shape (used,)
        What an error at a dim costs, relative to others of its group.
    """

    codes: NDArray[np.int8]
    scales: F32
    routes: F32
    order: NDArray[np.uint64]
    ends: NDArray[np.uint64]
    books: F32
    weights: F32

    @property
    def lists(self) -> int:
        """How many."""
        return len(self.codes)

    @property
    def dim(self) -> int:
        """Of the vectors."""
        return int(self.codes.shape[1])

    @property
    def groups(self) -> int:
        """Of dims; four bits each."""
        return len(self.ends)

    @property
    def code_bytes(self) -> int:
        """Of one row's code."""
        return self.groups // 2

    @property
    def centroid_bytes(self) -> int:
        """Of all centroids: what choosing lists keeps in memory."""
        return self.codes.nbytes + self.scales.nbytes + self.routes.nbytes

    @cached_property
    def fingerprint(self) -> str:
        """Eight hex digits of everything in it."""
        crc = 0
        for array in self.arrays().values():
            crc = zlib.crc32(np.ascontiguousarray(array).tobytes(), crc)
        return f"{crc:08x}"

    def choosing_bytes(self, probes: int | None) -> int:
        """Bytes of centroids that a query reads to find the ``probes`` nearest lists (``None``: all)."""
        whole = self.lists if probes is None else min(self.lists, probes + probes // 2 + MORE)
        return self.heads.nbytes + 8 * self.lists + whole * int(self.tails.shape[1])

    @cached_property
    def centroids(self) -> F32:
        """float32 ``(lists, dim)``: what the codes stand for."""
        return np.ascontiguousarray(self.codes * self.scales[:, None])

    @cached_property
    def worths(self) -> F32:
        """What a step of a centroid's code is worth when lists are compared, float32 ``(lists,)``."""
        return self.scales * self.routes

    @cached_property
    def heads(self) -> NDArray[np.int8]:
        """The first dims of the codes, ``(lists, min(dim, HEAD_DIMS))``."""
        return np.ascontiguousarray(self.codes[:, :HEAD_DIMS])

    @cached_property
    def tails(self) -> NDArray[np.int8]:
        """The other dims of the codes."""
        return np.ascontiguousarray(self.codes[:, HEAD_DIMS:])

    @cached_property
    def _encoder(self) -> tuple[F32, F32]:
        return weighted_codewords(self.books, self.weights, self.ends)

    def assign(self, rows: F32) -> NDArray[np.int64]:
        """The list of each row ``(n, dim)``: of the nearest centroid, by the first 256 dims."""
        return self._nearest.of(np.ascontiguousarray(rows[:, :NEAR_DIMS]))

    @cached_property
    def _nearest(self) -> Nearest:
        return Nearest(np.ascontiguousarray(self.centroids[:, :NEAR_DIMS]))

    def encode(
        self, rows: F32, lists: NDArray[np.int64], *, threads: int = 1
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Codes of rows ``(n, dim)`` in these lists.

        Returns
        -------
        codes : uint8 (n, groups / 2)
            A pair of groups a byte, the first one low.
        stretches : uint8 (n,)
            In steps of 1/64.
        """
        weighted, halves = self._encoder
        codes = np.empty((len(rows), self.code_bytes), dtype=np.uint8)
        stretches = np.empty(len(rows), dtype=np.uint8)
        order = self.order.astype(np.int64)
        for start in range(0, len(rows), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            residuals = np.take(rows[part] - self.centroids[lists[part]], order, axis=1)
            codes[part] = kernels.nibble_codes(residuals, self.ends, weighted, halves, threads=threads)
            stretches[part] = kernels.nibble_stretches(
                residuals, codes[part], self.ends, self.books, threads=threads
            )
        return codes, stretches

    def decode(self, codes: NDArray[np.uint8], lists: NDArray[np.int64]) -> F32:
        """What codes stand for, before it is stretched: float32 ``(n, dim)``."""
        rows = self.centroids[lists].copy()
        nibbles = np.stack([codes & 15, codes >> 4], axis=2).reshape(len(codes), self.groups)
        sizes = group_widths(self.ends)
        chosen = np.repeat(nibbles, sizes, axis=1)
        rows[:, self.order.astype(np.int64)] += self.books[np.arange(len(self.order)), chosen]
        return rows

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything, by name."""
        return {name: getattr(self, name) for name in _FIELDS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], *, dim: int, source: str) -> Self:
        """The inverse of :meth:`arrays`, for vectors of ``dim``; ``source`` is named in errors."""
        try:
            made = cls(**{name: arrays[name] for name in _FIELDS})
            made._check(dim)
        except (KeyError, ValueError, IndexError) as error:
            raise ForeignFileError(f"{source} holds no partition of {dim} dims ({error})") from None
        return made

    def _check(self, dim: int) -> None:
        lists, used, groups = len(self.codes), len(self.order), len(self.ends)
        expected = {
            "codes": ("|i1", (lists, dim)),
            "scales": ("<f4", (lists,)),
            "routes": ("<f4", (lists,)),
            "order": ("<u8", (used,)),
            "ends": ("<u8", (groups,)),
            "books": ("<f4", (used, CODEWORDS)),
            "weights": ("<f4", (used,)),
        }
        for name, (dtype, shape) in expected.items():
            array = getattr(self, name)
            if array.dtype.str != dtype or array.shape != shape:
                raise ValueError(f"{name} should be {dtype} {shape}, found {array.dtype.str} {array.shape}")
        if lists == 0 or not 4 <= groups <= MOST_GROUPS or groups % 4:
            raise ValueError(f"{lists} lists, {groups} groups")
        if (np.diff(self.ends.astype(np.int64), prepend=0) < 1).any() or int(self.ends[-1]) != used:
            raise ValueError("groups do not end where dims do")
        if len(np.unique(self.order)) != used or int(self.order.max()) >= dim:
            raise ValueError("dims are in no group or in two")
        if not all(
            np.isfinite(getattr(self, name)).all() for name in ("scales", "routes", "books", "weights")
        ):
            raise ValueError("numbers that are not finite")


_FIELDS = ("codes", "scales", "routes", "order", "ends", "books", "weights")
