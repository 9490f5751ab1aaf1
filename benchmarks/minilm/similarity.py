"""Spearman's correlation of cosines with what people say of two sentences, at every dim, with intervals."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kukla.projection import Projection

__all__ = ["PairSet", "correlations", "read_pair_sets", "spearman"]

_SEED = 0


@dataclass(frozen=True)
class PairSet:
    """Pairs of sentences with grades; the same number of pairs are drawn from each set, where it has more."""

    name: str
    first: list[str]
    second: list[str]
    grades: np.ndarray


def read_pair_sets(folder: Path, most: int) -> Iterator[PairSet]:
    """Test splits of STS 2012 to 2016 and of SICK. MSRP has classes, not grades: it is left out."""
    rows = [(f"STS {row['year']}", row) for row in _rows(folder / "sts12_16.tsv") if row["split"] == "test"]
    rows += [("SICK", row) for row in _rows(folder / "sick.tsv") if row["split"] == "test"]
    for name in sorted({name for name, _ in rows}):
        found = [row for other, row in rows if other == name]
        drawn = np.random.default_rng(_SEED).permutation(len(found))[:most]
        kept = [found[i] for i in sorted(drawn.tolist())]
        yield PairSet(
            name,
            [row["sentence1"] for row in kept],
            [row["sentence2"] for row in kept],
            np.array([float(row["score"]) for row in kept]),
        )


def correlations(
    first: np.ndarray,
    second: np.ndarray,
    grades: np.ndarray,
    dims: tuple[int, ...],
    weights: np.ndarray,
    projection: Projection | None = None,
) -> np.ndarray:
    """Spearman's rho of the renormalised prefixes: ``(dims, resamples)``.

    Parameters
    ----------
    first, second : arrays of float32, shape (pairs, width)
    grades : array of float, shape (pairs,)
    dims : tuple of int
    weights : array of float, shape (resamples, pairs)
        How often each pair is drawn.
    projection : Projection, optional
        Applied first.
    """
    if projection is not None:
        first, second = projection.transform(first), projection.transform(second)
    rows = []
    for dim in dims:
        a, b = first[:, :dim].astype(np.float64), second[:, :dim].astype(np.float64)
        cosines = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
        rows.append(spearman(cosines, grades, weights))
    return np.array(rows)


def spearman(left: np.ndarray, right: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson's correlation of mid-ranks in each resample: float64 ``(resamples,)``."""
    ranked = [_ranks(values, weights) for values in (left, right)]
    total = weights.sum(axis=1, keepdims=True)
    a, b = (ranks - (weights * ranks).sum(axis=1, keepdims=True) / total for ranks in ranked)
    covariance = (weights * a * b).sum(axis=1)
    return np.asarray(covariance / np.sqrt((weights * a * a).sum(axis=1) * (weights * b * b).sum(axis=1)))


def _ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mid-ranks of each pair in each resample, where it counts as often as it was drawn."""
    distinct, place = np.unique(values, return_inverse=True)
    starts = np.searchsorted(values[order := np.argsort(values, kind="stable")], distinct)
    counts = np.add.reduceat(weights[:, order], starts, axis=1)
    return np.asarray((np.cumsum(counts, axis=1) - counts / 2)[:, place])


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
