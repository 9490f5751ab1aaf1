"""Codebooks: sixteen codewords for each group of dims, and the codes that name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kukla import kernels
from kukla.kernels.partition import group_widths
from kukla.partition.groups import choose_groups

__all__ = ["CODEWORDS", "Codebook", "check_arrays", "train_codebooks", "weighted_codewords"]

CODEWORDS = 16
MOST_GROUPS = 256
ROUNDS = 10
LEAST_WEIGHT = 1e-6

F32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Codebook:
    """What codes of one length say.

    Parameters
    ----------
    order : ndarray of uint64, shape (used,)
        The dims in the order in which groups take them; dims that are not there are in no code.
    ends : ndarray of uint64, shape (groups,)
        Where groups end in ``order``. There are 4 to 256, a multiple of four.
    books : ndarray of float32, shape (used, 16)
        ``books[i, c]`` is codeword ``c`` of its group at dim ``order[i]``.
    weights : ndarray of float32, shape (used,)
        What an error at a dim costs, relative to others of its group.
    """

    order: NDArray[np.uint64]
    ends: NDArray[np.uint64]
    books: F32
    weights: F32

    @classmethod
    def train(
        cls, residuals: F32, weights: NDArray[np.float64], groups: int, rng: np.random.Generator
    ) -> Self:
        """Groups and codewords for residuals ``(n, dim)``, at least 16, whose dims have these weights.

        ``groups`` is a multiple of four; there are fewer where there are fewer dims.
        """
        costs = np.einsum("ij,ij->j", residuals, residuals) / len(residuals) * weights
        order, last = _paired(*choose_groups(costs, groups))
        ends = last.astype(np.uint64)
        # Only ratios inside a group decide which codeword is nearest.
        starts = np.concatenate([[0], last[:-1]])
        most = np.maximum.reduceat(weights[order], starts)
        most = np.repeat(np.where(most > 0, most, 1.0), group_widths(ends))
        kept = np.maximum(weights[order] / most, LEAST_WEIGHT).astype(np.float32)
        books = train_codebooks(np.ascontiguousarray(residuals[:, order]), kept, ends, rng)
        return cls(order.astype(np.uint64), ends, books, kept)

    @property
    def groups(self) -> int:
        """Of dims; four bits each."""
        return len(self.ends)

    @property
    def code_bytes(self) -> int:
        """Of one row's code."""
        return self.groups // 2

    @cached_property
    def _encoder(self) -> tuple[F32, F32]:
        return weighted_codewords(self.books, self.weights, self.ends)

    def encode(self, residuals: F32, *, threads: int = 1) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Codes of residuals ``(n, dim)``.

        Returns
        -------
        codes : uint8 (n, groups / 2)
            A pair of groups a byte, the first one low.
        stretches : uint8 (n,)
            In steps of 1/64.
        """
        values = np.take(residuals, self.order.astype(np.int64), axis=1)
        codes = kernels.nibble_codes(values, self.ends, *self._encoder, threads=threads)
        return codes, kernels.nibble_stretches(values, codes, self.ends, self.books, threads=threads)

    def decode(self, codes: NDArray[np.uint8], dim: int) -> F32:
        """What codes stand for, before it is stretched: float32 ``(n, dim)``."""
        nibbles = np.stack([codes & 15, codes >> 4], axis=2).reshape(len(codes), self.groups)
        chosen = np.repeat(nibbles, group_widths(self.ends), axis=1)
        rows = np.zeros((len(codes), dim), dtype=np.float32)
        rows[:, self.order.astype(np.int64)] = self.books[np.arange(len(self.order)), chosen]
        return rows

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything, by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def check(self, dim: int) -> None:
        """Raise ``ValueError`` unless it is one for vectors of ``dim``."""
        used, groups = len(self.order), len(self.ends)
        check_arrays(
            self.arrays(),
            {
                "order": ("<u8", (used,)),
                "ends": ("<u8", (groups,)),
                "books": ("<f4", (used, CODEWORDS)),
                "weights": ("<f4", (used,)),
            },
        )
        if not 4 <= groups <= MOST_GROUPS or groups % 4:
            raise ValueError(f"{groups} groups")
        if (np.diff(self.ends.astype(np.int64), prepend=0) < 1).any() or int(self.ends[-1]) != used:
            raise ValueError("groups do not end where dims do")
        if len(np.unique(self.order)) != used or int(self.order.max()) >= dim:
            raise ValueError("dims are in no group or in two")


def check_arrays(
    arrays: Mapping[str, NDArray[Any]], expected: Mapping[str, tuple[str, tuple[int, ...]]]
) -> None:
    """Raise ``ValueError`` where a dtype or a shape is another one, or a float is not finite."""
    for name, (dtype, shape) in expected.items():
        array = arrays[name]
        if array.dtype.str != dtype or array.shape != shape:
            raise ValueError(f"{name} should be {dtype} {shape}, found {array.dtype.str} {array.shape}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} has numbers that are not finite")


def weighted_codewords(books: F32, weights: F32, ends: NDArray[np.uint64]) -> tuple[F32, F32]:
    """What finds the nearest codeword by a sum: weighted codewords, and half their squared lengths.

    Parameters
    ----------
    books : ndarray of float32, shape (used, 16)
    weights : ndarray of float32, shape (used,)
    ends : ndarray of uint64, shape (groups,)

    Returns
    -------
    weighted : ndarray of float32, shape (used, 16)
    halves : ndarray of float32, shape (groups, 16)
    """
    weighted = np.ascontiguousarray(books * weights[:, None])
    squares = np.cumsum(weighted.astype(np.float64) * books / 2, axis=0)
    halves = np.diff(squares[ends.astype(np.int64) - 1], axis=0, prepend=np.zeros((1, CODEWORDS)))
    return weighted, halves.astype(np.float32)


def _paired(order: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first group with the last, the second with the last but one, and so on.

    The tables of a pair of groups share 254 steps (:mod:`kukla.partition.probe`), all pairs of one size: a
    wide table beside a narrow one leaves finer steps for all.
    """
    groups = np.split(order, ends[:-1])
    half = len(groups) // 2
    pairs = [group for pair in zip(groups[:half], groups[: half - 1 : -1], strict=True) for group in pair]
    return np.concatenate(pairs), np.cumsum([len(group) for group in pairs])


def train_codebooks(values: F32, weights: F32, ends: NDArray[np.uint64], rng: np.random.Generator) -> F32:
    """k-means in every group at once.

    Parameters
    ----------
    values : ndarray of float32, shape (n, used)
        Residuals, their dims in the order of the groups; at least 16.
    weights : ndarray of float32, shape (used,)
        Of squared errors, relative to others of the group.
    ends : ndarray of uint64, shape (groups,)

    Returns
    -------
    ndarray of float32, shape (used, 16)
    """
    books = np.ascontiguousarray(values[rng.choice(len(values), CODEWORDS, replace=False)].T)
    starts = np.concatenate([[0], ends[:-1].astype(np.int64)])
    group_of = np.repeat(np.arange(len(ends)), group_widths(ends))
    alone = np.flatnonzero(group_widths(ends) == 1)
    # One dim has quantiles to start from.
    shares = (np.arange(CODEWORDS) + 0.5) / CODEWORDS
    books[starts[alone]] = np.quantile(values[:, starts[alone]], shares, axis=0).T
    for _ in range(ROUNDS):
        packed = kernels.nibble_codes(values, ends, *weighted_codewords(books, weights, ends))
        codes = np.stack([packed & 15, packed >> 4], axis=2).reshape(len(values), len(ends))
        for d, group in enumerate(group_of.tolist()):
            sums = np.bincount(codes[:, group], values[:, d], CODEWORDS)
            sizes = np.bincount(codes[:, group], minlength=CODEWORDS)
            books[d] = np.where(sizes > 0, sums / np.maximum(sizes, 1), values[rng.integers(len(values)), d])
    return books
