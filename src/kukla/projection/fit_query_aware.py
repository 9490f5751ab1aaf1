"""The query-aware rotation: directions in which documents differ *and* queries ask."""

from __future__ import annotations

from typing import Literal

from kukla.errors import InputError, VectorError
from kukla.progress import Progress
from kukla.projection.fit_pca import check_rows
from kukla.projection.moments import Moments, Vectors, directions
from kukla.projection.rotation import Rotation

__all__ = ["LARGEST_WEIGHT", "LEAST_QUERIES", "fit_query_aware", "query_weight"]

LEAST_QUERIES = 10
LARGEST_WEIGHT = 0.5


def fit_query_aware(
    documents: Vectors,
    queries: Vectors,
    *,
    metric: Literal["cosine", "ip"] = "cosine",
    weight: float | None = None,
    progress: Progress | None = None,
) -> Rotation:
    """Fit a rotation on documents and sample queries.

    Its directions are the eigenvectors of ``(1 - weight) C_documents + weight C_queries``, second moments
    with trace 1 each: the eigenvector search of LeanVec-OOD (Tepper et al. 2023, arXiv 2312.16335), with one
    matrix for both sides, which is what keeps full-dim scores.

    Parameters
    ----------
    documents, queries : array of float (n, dim), VectorFile, or iterable of arrays
        Queries like those that will be asked; each side is read once.
    metric : {"cosine", "ip"}
    weight : float, optional
        Of the queries, 0..1. LeanVec picks it by the loss on the very queries; with few of them that loss
        falls while recall on other queries falls too (100 queries of 512 dims: recall@10 at 128 dims .635 at
        weight 1/2, .664 at the default). Default: :func:`query_weight`.
    progress : callable, optional
        Of the documents.

    Raises
    ------
    InputError
        Fewer than 16 documents or 10 queries, or a weight outside 0..1.
    VectorError
        The two sides differ in dim, and see :class:`Moments`.
    """
    asked = Moments(queries, metric=metric, what="queries")
    if asked.count < LEAST_QUERIES:
        raise InputError(f"a query-aware rotation needs at least {LEAST_QUERIES} queries, got {asked.count}")
    if weight is not None and not 0 <= weight <= 1:
        raise InputError(f"the weight of queries must be from 0 to 1, got {weight!r}")
    found = Moments(documents, metric=metric, progress=progress)
    check_rows(found)
    if asked.dim != found.dim:
        raise VectorError(f"queries have {asked.dim} dims, the documents {found.dim}")
    share = query_weight(asked.count, asked.dim) if weight is None else float(weight)
    about = {"fit": "query-aware", "vectors": found.count, "queries": asked.count}
    mixed = (1 - share) * found.relative + share * asked.relative
    return Rotation(directions(mixed), about=about | {"weight": share, "metric": metric})


def query_weight(queries: int, dim: int) -> float:
    """``queries / (queries + dim)``, at most one half.

    The documents count like ``dim`` queries known beforehand, so that few queries only bend a PCA, and one
    half, the best weight in our measurements, is reached where there are as many queries as dims.
    """
    return min(LARGEST_WEIGHT, queries / (queries + dim))
