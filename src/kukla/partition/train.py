"""Training a partition: k-means, and codebooks of residuals, of rows and of the means of blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kukla.kernels.partition import BLOCK_ROWS, RECORD_TAIL
from kukla.partition.blocks import in_blocks
from kukla.partition.codebooks import CODEWORDS, Codebook
from kukla.partition.k_means import Nearest, k_means, means
from kukla.partition.model import NEAR_DIMS, Partition
from kukla.progress import Progress

__all__ = ["train_partition"]

CODEBOOK_ROWS = 16_384

F32 = NDArray[np.float32]


def train_partition(
    rows: F32,
    *,
    lists: int,
    code_bytes: int,
    documents: int | None = None,
    queries: F32 | None = None,
    cosine: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Partition:
    """A partition for rows like these.

    Parameters
    ----------
    rows : ndarray of float32, shape (n, dim)
        A sample, as an index stores them; at least ``lists``, better forty times as many.
    lists : int
    code_bytes : int
        Of one row's long code with its stretch and a zero: even, 8 to 128. Its short code takes about a
        quarter of that, the code of a block's mean half.
    documents : int, optional
        How many rows there are in all. Default: these.
    queries : ndarray of float32, shape (m, dim), optional
        They say how much each dim matters. Default: the rows.
    cosine : bool
        Whether rows are of length 1.
    seed : int
    progress : callable, optional

    Returns
    -------
    Partition
    """
    rng = np.random.default_rng(seed)
    near = np.ascontiguousarray(rows[:, :NEAR_DIMS])
    found = Nearest(k_means(near, lists, rng, progress=progress)).of(near)
    centroids = means(rows, found, lists, rng)
    largest = np.abs(centroids).max(axis=1)
    scales = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    codes = np.rint(centroids / scales[:, None]).astype(np.int8)
    centroids = codes * scales[:, None]
    lengths = np.sqrt(np.einsum("ij,ij->i", centroids, centroids, dtype=np.float64))
    # A centroid of nothing is that of rows from all sides: as long as the usual one.
    usual = float(np.median(lengths[lengths > 0])) if (lengths > 0).any() else 1.0
    routes = 1 / np.where(lengths > usual * 1e-3, lengths, usual) if cosine else np.ones(lists)

    some = np.sort(rng.choice(len(rows), min(len(rows), CODEBOOK_ROWS), replace=False))
    residuals = rows[some] - centroids[found[some]]
    asked = rows if queries is None else queries
    weights = np.einsum("ij,ij->j", asked, asked, dtype=np.float64) / len(asked)
    short_bytes = max(2, code_bytes // 4 // 2 * 2)
    short = Codebook.train(residuals, weights, 2 * short_bytes, rng)
    long = Codebook.train(residuals, weights, 2 * (code_bytes - RECORD_TAIL), rng)
    groups = _means(rows, near, found, centroids, len(rows) / max(len(rows), documents or 0))
    mean = Codebook.train(groups, weights, 2 * max(2, code_bytes // 2 // 2 * 2), rng)
    return Partition(
        codes=codes, scales=scales, routes=routes.astype(np.float32), mean=mean, short=short, long=long
    )


def _means(rows: F32, near: F32, found: NDArray[np.int64], centroids: F32, share: float) -> F32:
    """What the residuals of means of blocks are like, from a sample of so large a share of the rows.

    As many of the sample are put together as a block of all rows has of it. Such means of few rows are
    scattered more than means of 32: they are shrunk by as much.
    """
    size = min(BLOCK_ROWS, max(2, round(share * BLOCK_ROWS)))
    order = np.argsort(found, kind="stable")
    starts = np.searchsorted(found[order], np.arange(len(centroids) + 1))
    means, inside, freedom = [], 0.0, 0
    for number in range(len(centroids)):
        members = order[starts[number] : starts[number + 1]]
        members = members[in_blocks(near[members], size)]
        for start in range(0, len(members), size):
            block = rows[members[start : start + size]] - centroids[number]
            mean = block.mean(axis=0)
            means.append(mean)
            inside += float(np.square(block - mean).sum())
            freedom += len(block) - 1
    if len(means) < CODEWORDS:  # a tiny index; any rows will do
        return (rows - centroids[found]) / np.float32(np.sqrt(BLOCK_ROWS))
    stacked = np.stack(means)
    scatter = inside / max(1, freedom) * (1 / size - 1 / BLOCK_ROWS)
    energy = float(np.square(stacked).sum(axis=1).mean())
    shrunk = np.sqrt(max(0.25, 1 - scatter / energy)) if energy > 0 else 1.0
    return stacked[:: -(-len(stacked) // CODEBOOK_ROWS)] * np.float32(shrunk)
