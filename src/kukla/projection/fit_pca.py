"""PCA: the rotation whose prefixes keep most of the documents."""

from __future__ import annotations

from typing import Literal

from kukla.errors import InputError
from kukla.progress import Progress
from kukla.projection.moments import Moments, Vectors, directions
from kukla.projection.rotation import Rotation

__all__ = ["LEAST_ROWS", "check_rows", "fit_pca"]

LEAST_ROWS = 16


def fit_pca(
    vectors: Vectors, *, metric: Literal["cosine", "ip"] = "cosine", progress: Progress | None = None
) -> Rotation:
    """Fit the rotation to the principal directions of ``vectors`` (Hotelling 1933), not centred.

    Parameters
    ----------
    vectors : array of float (n, dim), VectorFile, or iterable of arrays
        The documents of the index, or a sample of them: read once, in O(dim^2) memory.
    metric : {"cosine", "ip"}
        That of the index. ``cosine`` fits on unit vectors.
    progress : callable, optional

    Returns
    -------
    Rotation
        dim -> dim; prefixes of any length are chosen when searching.

    Notes
    -----
    There is no shrinkage. Towards a multiple of the identity (Ledoit and Wolf 2004) it changes no
    eigenvector; towards a falling diagonal, with the weight of Chen et al. 2010 (OAS), it moved recall@10 by
    at most .02, up or down, on real vectors, fitted on as few as 20 of them. What a small sample does cost is
    measured by :func:`kukla.projection.choose.choose_projection`, on vectors that were not fitted on.

    Raises
    ------
    InputError
        Fewer than 16 vectors.
    VectorError
        See :class:`Moments`.

    Example
    -------
    >>> import numpy as np
    >>> vectors = np.random.default_rng(0).normal(size=(100, 8)).astype("float32")
    >>> fit_pca(vectors)
    Rotation(8 -> 8, pca)
    """
    moments = Moments(vectors, metric=metric, progress=progress)
    check_rows(moments)
    about = {"fit": "pca", "vectors": moments.count, "metric": metric}
    return Rotation(directions(moments.relative), about=about)


def check_rows(moments: Moments) -> None:
    """Raise ``InputError`` when there are too few vectors for their directions to mean anything."""
    if moments.count < LEAST_ROWS:
        raise InputError(
            f"fitting a rotation needs at least {LEAST_ROWS} vectors, got {moments.count}; "
            f"{2 * moments.dim:,} (twice the dims) and more are better"
        )
