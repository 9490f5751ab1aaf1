"""Where training starts: the best closed form, by queries that are held out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.projection.base import Identity, Projection
from kukla.projection.fit_pca import fit_pca
from kukla.projection.fit_query_aware import LEAST_QUERIES, fit_query_aware
from kukla.projection.held_out import Metric
from kukla.projection.measure import as_stored, prefix_recalls
from kukla.projection.rotation import Linear, Rotation
from kukla.train.sample import Given, Sample

__all__ = ["Start", "choose_start", "fit_again", "held_out_recall"]


@dataclass(frozen=True, eq=False)
class Start:
    """A closed form, and its mean over dims of the measure on the held-out queries."""

    kind: str
    projection: Projection
    recall: float

    @property
    def matrix(self) -> NDArray[np.float32]:
        """float32 ``(width, width)``."""
        if isinstance(self.projection, Linear):
            return self.projection.matrix
        return np.eye(self.projection.dim_in, dtype=np.float32)


def choose_start(
    sample: Sample, dims: tuple[int, ...], k: int, metric: Metric, *, renormalise_only: bool
) -> Start:
    """The best of identity, PCA and query-aware rotation, each ranked both ways where the metric has two."""
    candidates: dict[str, Projection] = {"identity": Identity(sample.documents.shape[1])}
    fits = {"pca": fit_pca(sample.documents, metric=metric)}
    if len(sample.queries) >= LEAST_QUERIES:
        fits["query-aware"] = fit_query_aware(sample.documents, sample.queries, metric=metric)
    for kind, fitted in fits.items():
        for renormalises in (True, False) if metric == "cosine" else (False,):
            if renormalises or not renormalise_only:
                name = f"{kind}, {'renormalised' if renormalises else 'dot product'}"
                candidates[name] = Rotation(
                    fitted.matrix, renormalises_prefixes=renormalises, about=fitted.about
                )
    recalls = {name: held_out_recall(sample, one, dims, k, metric) for name, one in candidates.items()}
    best = max(recalls, key=lambda name: recalls[name])  # the first of equals, the simplest
    return Start(best.partition(",")[0], candidates[best], recalls[best])


def held_out_recall(
    sample: Sample, projection: Projection, dims: tuple[int, ...], k: int, metric: Metric
) -> float:
    """The mean over dims and held-out queries of recall@k: of the full vectors' answers, or of pairs."""
    if not len(sample.held_out_pairs):
        measured = prefix_recalls({"": projection}, sample.documents, sample.held_out, dims, k, metric)
        return float(measured[""].mean())
    asked, found = (as_stored(projection, rows, metric) for rows in (sample.held_out, sample.documents))
    rows, columns = sample.held_out_pairs.T
    shares = []
    for dim in dims:
        scores = asked[:, :dim] @ found[:, :dim].T
        if metric == "cosine" and projection.renormalises_prefixes:
            lengths = np.linalg.norm(found[:, :dim], axis=1)
            scores /= np.maximum(lengths, np.finfo(np.float32).tiny)
        kth = np.partition(scores, -k, axis=1)[:, -k]
        shares.append(float((scores[rows, columns] >= kth[rows]).mean()))
    return float(np.mean(shares))


def fit_again(
    start: Start,
    vectors: Given,
    queries: Given | None,
    *,
    metric: Metric,
    about: Mapping[str, Any],
    columns: int | None = None,
) -> Linear:
    """The closed form that no step improved, fitted on what was held out as well; its first ``columns``."""
    width = vectors.shape[1]
    matrix = np.eye(width, dtype=np.float32)
    if start.kind == "pca":
        matrix = fit_pca(vectors, metric=metric).matrix
    elif start.kind == "query-aware" and queries is not None:
        matrix = fit_query_aware(vectors, queries, metric=metric).matrix
    renormalises = start.projection.renormalises_prefixes
    if columns is None or columns == width:
        return Rotation(matrix, renormalises_prefixes=renormalises, about=about)
    return Linear(matrix[:, :columns], renormalises_prefixes=renormalises, about=about)
