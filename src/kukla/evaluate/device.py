"""The best rows of a matrix product, on a device of torch: candidates for an exact search, with a bound.

A device adds float32 products in an order of its own, so its scores are those of nobody else. They only
choose candidates: ``kukla.evaluate.exact`` scores those again with the kernels, and widens the choice where
the bound here cannot exclude that a row outside of it belongs to the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.errors import InputError, MissingExtraError

__all__ = ["DEVICES", "Block", "Candidates", "find_device", "scan"]

DEVICES = "cpu (the native kernels), auto, cuda, cuda:N, mps, or torch:cpu (torch without a GPU)"
SCORES = 1 << 26
"""So many float32 scores are on the device at a time: 256 MB, and about as much again to choose from them."""

UNIT = 2.0**-24
TINY = 2.0**-126
"""The smallest normal float32: what a device that flushes smaller numbers to zero loses of a product."""

SAFE = 2.0**-40
"""A length that float32 measures well: squares that vanish are far below its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some stored rows: float (m, dim), their numbers int64 (m,), the norms to divide by, if any (m,)."""

    vectors: NDArray[np.floating[Any]]
    rows: NDArray[np.int64]
    norms: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The best rows by the device's scores.

    Parameters
    ----------
    rows : ndarray of int64, shape (n_queries, keep)
        By descending score of the device.
    scores : ndarray of float32, shape (n_queries, keep)
    error : ndarray of float64, shape (n_queries,)
        No score of any row, chosen or not, is further than this from the exact one, rounded to float32.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    error: NDArray[np.float64]

    def proven(self, k: int) -> NDArray[np.bool_]:
        """Whether the exact best ``k`` are among the candidates, whatever breaks their ties: (n_queries,)."""
        with np.errstate(invalid="ignore", over="ignore"):
            # NaN and infinity prove nothing.
            gap = self.scores[:, k - 1].astype(np.float64) - self.scores[:, -1]
            return np.asarray(np.isfinite(self.scores).all(axis=1) & (gap > 2 * self.error))


def find_device(name: str) -> str | None:
    """The torch device of that name, or ``None`` for the native kernels.

    Raises
    ------
    InputError
        No such device, or torch sees none of that kind.
    MissingExtraError
        Without torch, where one was named.
    """
    kind, _, number = name.partition(":")
    if name == "cpu":
        return None
    if name not in ("auto", "mps", "torch:cpu") and not (
        kind == "cuda" and (name == "cuda" or number.isdecimal())
    ):
        raise InputError(f"there is no device {name!r}; allowed: {DEVICES}")
    torch = _torch()
    if name == "torch:cpu":
        return "cpu"
    if name == "auto":
        # Asking for whatever is there includes asking for no GPU: the result says what it was.
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else None
    if kind == "mps" and not torch.backends.mps.is_available():
        raise InputError(f"device {name!r}: torch {torch.__version__} sees no Apple GPU; allowed: {DEVICES}")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(number or 0) >= count:
            raise InputError(
                f"device {name!r}: torch {torch.__version__} sees {count} CUDA GPUs; allowed: {DEVICES}"
            )
    return name


def scan(blocks: Iterable[Block], queries: NDArray[np.float32], keep: int, device: str) -> Candidates:
    """The best ``keep`` rows of each query, block by block.

    Parameters
    ----------
    blocks : iterable of Block
        With at least ``keep`` rows in all, of the width of the queries.
    queries : ndarray of float32, shape (n_queries, dim)
    keep : int
        At least 1.
    device : str
        As :func:`find_device` gives it.

    Returns
    -------
    Candidates
        O(n_queries * n * dim) on the device, which holds one block, ``SCORES`` scores and the best so far.
    """
    torch = _torch()
    with torch.inference_mode(), _whole_float32(torch, device):
        asked = torch.from_numpy(queries).to(device)
        best = torch.empty((len(queries), 0), dtype=torch.float32, device=device)
        rows = torch.empty((len(queries), 0), dtype=torch.int64, device=device)
        longest = 0.0
        for block in blocks:
            # Copied: stored arrays are read-only, which torch does not know.
            vectors = torch.from_numpy(np.array(block.vectors, dtype=np.float32, order="C")).to(device)
            if block.norms is not None:
                norms = torch.from_numpy(np.array(block.norms)).to(device)[:, None]
                # A row without a direction scores 0, as in the kernels.
                vectors = torch.where(norms > 0, vectors / norms, torch.zeros_like(vectors))
            longest = max(longest, _longest(torch, vectors))
            numbers = torch.from_numpy(block.rows).to(device)
            step = max(1, SCORES // len(vectors))
            parts = []
            for start in range(0, len(queries), step):
                scores = asked[start : start + step] @ vectors.T
                found, columns = scores.topk(min(keep, len(vectors)), dim=1)
                some = torch.cat([best[start : start + step], found], dim=1)
                there = torch.cat([rows[start : start + step], numbers[columns]], dim=1)
                some, columns = some.topk(min(keep, some.shape[1]), dim=1)
                parts.append((some, there.gather(1, columns)))
            best, rows = (torch.cat([part[i] for part in parts]) for i in range(2))
        return Candidates(rows.cpu().numpy(), best.cpu().numpy(), _error(queries, longest))


def _longest(torch: ModuleType, vectors: Any) -> float:
    """The length of the longest row."""
    longest = float(torch.linalg.vector_norm(vectors, dim=1).max())
    if SAFE <= longest < np.inf:
        return longest
    # Squares of small numbers vanish, those of large ones overflow: scaled, they do neither.
    scale = float(vectors.abs().max())
    if not 0 < scale < np.inf:
        return scale
    return scale * float(torch.linalg.vector_norm(vectors / scale, dim=1).max())


def _error(queries: NDArray[np.float32], longest: float) -> NDArray[np.float64]:
    """Higham, *Accuracy and Stability of Numerical Algorithms*, section 3.1: gamma |q| |x|, for any order.

    A few more roundings than the products: of the division by the norm, of the query's, of the norm measured
    here, and of the exact score to float32.
    """
    dim = queries.shape[1]
    lengths = np.linalg.norm(queries.astype(np.float64), axis=1)
    roundings = (dim + 8) * UNIT
    gamma = roundings / (1 - roundings)
    return np.asarray(gamma * lengths * longest * (1 + gamma) + dim * TINY * (1 + lengths + longest))


@contextmanager
def _whole_float32(torch: ModuleType, device: str) -> Iterator[None]:
    """Whole float32 products: no TF32, bfloat16 or autocast, whatever the program around has chosen."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.partition(":")[0], enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def _torch() -> ModuleType:
    try:
        return import_module("torch")
    except ImportError:
        raise MissingExtraError("searching on a device of torch", "gpu") from None
