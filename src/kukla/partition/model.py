"""Partition: centroids that cut an index into lists, and two codebooks for what is left of a row there.

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

A list is cut into blocks of 32 rows that are like each other, and the mean of each block has a code, too. A
query compares the means of the lists that it looks into, and scores the rows of the best blocks only
(:func:`rows_wanted`): a third to a quarter of what it would have to score list by list (``docs/lists.md``).

A row has two codes. By the short one all rows of these blocks are scored, by the long one the best
:data:`SHORTLIST` times as many as the stage keeps: nearly what the long codes of all of them would find, at a
quarter of the bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kukla.errors import ForeignFileError
from kukla.kernels.partition import RECORD_TAIL
from kukla.partition.codebooks import Codebook, check_arrays
from kukla.partition.k_means import Nearest

__all__ = ["HEAD_DIMS", "SHORTLIST", "Partition", "rows_wanted"]

SHORTLIST = 10
"""So many rows are scored by their long codes for each row that a stage keeps."""

LEAST_SHARE = 4
"""Of the rows in the lists that it looks into a query scores at least one in so many."""

HEAD_DIMS = 128
"""So many dims of the centroids decide which lists are looked into."""

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
    mean, short, long : Codebook
        Of the codes of the means of blocks; of those that all rows of a block, and then the best of them,
        are scored by.
    """

    codes: NDArray[np.int8]
    scales: F32
    routes: F32
    mean: Codebook
    short: Codebook
    long: Codebook

    @property
    def lists(self) -> int:
        """How many."""
        return len(self.codes)

    @property
    def dim(self) -> int:
        """Of the vectors."""
        return int(self.codes.shape[1])

    @property
    def mean_bytes(self) -> int:
        """Of the code of one block's mean."""
        return self.mean.code_bytes

    @property
    def short_bytes(self) -> int:
        """Of one row's short code."""
        return self.short.code_bytes

    @property
    def code_bytes(self) -> int:
        """Of one row's record: its long code, its stretch and a zero."""
        return self.long.code_bytes + RECORD_TAIL

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
        whole = self.lists if probes is None else min(self.lists, probes)
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

    def assign(self, rows: F32) -> NDArray[np.int64]:
        """The list of each row ``(n, dim)``: of the nearest centroid, by the first 256 dims."""
        return self._nearest.of(np.ascontiguousarray(rows[:, :NEAR_DIMS]))

    @cached_property
    def _nearest(self) -> Nearest:
        return Nearest(np.ascontiguousarray(self.centroids[:, :NEAR_DIMS]))

    def encode(
        self, rows: F32, lists: NDArray[np.int64], *, threads: int = 1
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
        """Both codes of rows ``(n, dim)`` in these lists.

        Returns
        -------
        short_codes : uint8 (n, short_bytes)
        short_stretches : uint8 (n,)
        long_codes : uint8 (n, code_bytes - 2)
        long_stretches : uint8 (n,)
            As :meth:`kukla.partition.codebooks.Codebook.encode` returns them.
        """
        made = []
        for book in (self.short, self.long):
            made += [np.empty((len(rows), book.code_bytes), np.uint8), np.empty(len(rows), np.uint8)]
        for start in range(0, len(rows), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            residuals = rows[part] - self.centroids[lists[part]]
            made[0][part], made[1][part] = self.short.encode(residuals, threads=threads)
            made[2][part], made[3][part] = self.long.encode(residuals, threads=threads)
        return made[0], made[1], made[2], made[3]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything, by name."""
        own = {name: getattr(self, name) for name in _OWN}
        books = {name: getattr(self, name) for name in _BOOKS}
        return own | {f"{one}_{name}": a for one, book in books.items() for name, a in book.arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], *, dim: int, source: str) -> Self:
        """The inverse of :meth:`arrays`, for vectors of ``dim``; ``source`` is named in errors."""
        try:
            books = {
                one: Codebook(**{field.name: arrays[f"{one}_{field.name}"] for field in fields(Codebook)})
                for one in _BOOKS
            }
            made = cls(**{name: arrays[name] for name in _OWN}, **books)  # type: ignore[arg-type]
            made._check(dim)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ForeignFileError(f"{source} holds no partition of {dim} dims ({error})") from None
        return made

    def _check(self, dim: int) -> None:
        lists = len(self.codes)
        check_arrays(
            self.arrays(),
            {"codes": ("|i1", (lists, dim)), "scales": ("<f4", (lists,)), "routes": ("<f4", (lists,))},
        )
        if lists == 0:
            raise ValueError("no lists")
        for name in _BOOKS:
            getattr(self, name).check(dim)


def rows_wanted(seen: int, probes: int, lists: int, keep: int) -> int:
    """How many of ``seen`` rows, those of the lists that a query looks into, it scores by their short codes.

    One in :data:`LEAST_SHARE`, as many as are scored by their long codes, or the square of the share of all
    lists that it looks into, whatever is most. So more probes mean more lists and, where they are most of
    all lists, more of each; all mean everything.
    """
    inside = -(-seen * probes // lists)
    return min(seen, max(-(-seen // LEAST_SHARE), -(-inside * probes // lists), SHORTLIST * keep))


_OWN = ("codes", "scales", "routes")
_BOOKS = ("mean", "short", "long")
