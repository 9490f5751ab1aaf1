"""From vectors to a profile: draw, measure every curve, judge, advise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kukla.checks import check_count, check_dim
from kukla.errors import InputError
from kukla.index import Index
from kukla.nesting import Nesting
from kukla.profile.curves import Judge, Ladder, ladder, pca_ladder, within
from kukla.profile.report import Profile, Row, knee_of
from kukla.profile.sample import LEAST_VECTORS, Sample, draw_sample
from kukla.profile.statistics import Bootstrap, Contrast
from kukla.profile.stored import StoredVectors
from kukla.profile.structure import Structure, measure_structure
from kukla.profile.verdict import DEPTH_FRACTIONS, INSIDE, ORDER_FRACTIONS, Evidence, judge_nesting
from kukla.progress import Progress
from kukla.readers import VectorFile

__all__ = ["profile"]

ORDERS = 20
PROJECTIONS = 3
SAMPLE = 10_000
LARGEST_K = 1000

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Curves:
    """Recall of every query, each at ``dims`` (ascending, the last is the full dim)."""

    dims: tuple[int, ...]
    prefix: Ladder
    suffix: Ladder
    random_at_k: NDArray[np.float64]  # (orders, dims, queries), as the next
    random_shortlisted: NDArray[np.float64]
    inside: NDArray[np.float64]  # (draws, queries), mean over the dims of depth
    projection: NDArray[np.float64]  # (dims, queries)
    sign: Ladder
    pca: Ladder
    fitted_on: int


def profile(
    vectors: ArrayLike | VectorFile | Index,
    queries: ArrayLike | VectorFile | Sequence[str] | None = None,
    *,
    dims: Iterable[int] | None = None,
    k: int = 10,
    seed: int = 0,
    sample: int = SAMPLE,
    raw: bool = False,
    progress: Progress | None = None,
) -> Profile:
    """Measure whether prefixes of these vectors are embeddings too.

    Parameters
    ----------
    vectors : array of float, shape (n, width), VectorFile, or Index
        At least 20 different ones of at least 16 dims; need not be normalised. Not changed. Of a memory map,
        an npy file or an index only the rows of the sample are read. Of an index it is the vectors *as
        stored*: after its projection, prefixes ranked as its searches rank them.
    queries : array of float, shape (q, width), VectorFile, or for an index sequence of str, optional
        At least 10, at most 500 are used. Without them, vectors are queries and never find themselves: an
        estimate, as real queries differ from documents. An index embeds texts and projects queries itself.
    dims : iterable of int, optional
        The rows of the table; powers of two from 32 by default. The verdict does not depend on them.
    k : int
        Neighbours to find; made smaller where there are fewer than ``5 k`` documents, which is noted.
    seed : int
        Of the sample, the folds, the random orders and the bootstrap: the same seed, the same profile.
    sample : int
        The most vectors to look at. Memory is about ten float32 copies of the sample.
    raw : bool
        Of an index with an orthonormal projection: the vectors as they were before it.
    progress : callable, optional
        ``progress(done, total)``: rows of the file first, unless it is read at random, then steps.

    Returns
    -------
    Profile
        Recall with 95 % intervals (:mod:`kukla.profile.statistics`), everything fitted measured on vectors
        that the fit has not seen.

    Raises
    ------
    VectorError
        Not floats, NaN, an all-zero row, queries of another width, a dim beyond the width.
    InputError
        Too few vectors, queries or dims; texts or ``raw`` without an index; ``raw`` where the projection
        cannot be undone.

    Example
    -------
    >>> rng = np.random.default_rng(0)
    >>> decaying = rng.standard_normal((400, 64)) / np.sqrt(np.arange(1, 65))
    >>> print(profile(decaying).verdict)
    nested
    """
    k = check_count(k, what="k", most=LARGEST_K)
    size = check_count(sample, what="sample", least=LEAST_VECTORS)
    check_count(seed, what="seed", least=0)
    source: ArrayLike | VectorFile | StoredVectors
    if isinstance(vectors, Index):
        source = StoredVectors(vectors, raw=raw)
        queries = source.asked(queries)
    elif raw:
        raise InputError("raw is about an index: these vectors are profiled as they are")
    else:
        source = vectors
    drawn = draw_sample(source, queries, size=size, seed=seed, progress=progress)
    notes = list(drawn.notes)
    asked, k = k, max(1, min(k, drawn.searched // 5))
    if k < asked:
        notes.append(f"k is {k}, not {asked}: each query searches only {drawn.searched:,} documents")
    shown = _shown(dims, drawn.width)
    rng = np.random.default_rng([seed, 1])
    judge = Judge(drawn, k=k)
    if judge.queries_among_documents:
        notes.append(f"{judge.queries_among_documents:,} queries are among the vectors; none finds itself")
    structure = measure_structure(drawn.documents, rng)
    curves = _measure(drawn, judge, shown, rng, progress)
    boot = Bootstrap(len(drawn.queries), np.random.default_rng([seed, 2]))
    rows = tuple(_row(curves, i, boot, structure) for i, dim in enumerate(curves.dims) if dim in shown)
    evidence = _evidence(curves, boot, structure, rng)
    return Profile(
        verdict=judge_nesting(evidence, structure),
        rows=rows,
        evidence=evidence,
        structure=structure,
        knee=knee_of(rows, lambda row: row.shortlisted),
        pca_knee=knee_of(rows, lambda row: row.shortlisted_pca),
        k=k,
        shortlist=judge.shortlist,
        documents=drawn.searched,
        queries=len(drawn.queries),
        fitted_on=curves.fitted_on,
        total=drawn.total,
        width=drawn.width,
        sample_notes=tuple(notes),
    )


def _shown(dims: Iterable[int] | None, width: int) -> tuple[int, ...]:
    if dims is None:
        return Nesting.default(width).dims
    wanted = {check_dim(dim, what="a dim of the profile", most=width) for dim in dims}
    if not wanted:
        raise InputError("a profile needs at least one dim, got none")
    return tuple(sorted(wanted | {width}))


def _fractions(width: int, fractions: Sequence[int]) -> tuple[int, ...]:
    """The dims that these parts of the width stand for, ascending; a sample has at least 16 dims."""
    return tuple(sorted(width // fraction for fraction in fractions))


def _measure(
    drawn: Sample, judge: Judge, shown: tuple[int, ...], rng: np.random.Generator, progress: Progress | None
) -> _Curves:
    width = drawn.width
    dims = tuple(sorted({*shown, *_fractions(width, ORDER_FRACTIONS)}))
    deep = _fractions(width, DEPTH_FRACTIONS)
    steps = _Steps(4 + ORDERS + PROJECTIONS + len(deep), progress)
    queries, documents = drawn.queries, drawn.documents
    cosine = drawn.by_cosine
    prefix = steps.done(ladder(judge, queries, documents, dims, cosine=cosine))
    suffix = steps.done(ladder(judge, queries[:, ::-1], documents[:, ::-1], dims, cosine=cosine))
    shuffles = []
    for _ in range(ORDERS):
        order = rng.permutation(width)[: dims[-2]]  # full vectors are the same in any order
        shuffled = ladder(judge, queries[:, order], documents[:, order], dims[:-1], cosine=cosine)
        shuffles.append(steps.done(shuffled))
    insiders = [steps.done(within(judge, drawn, dim, INSIDE * dim, ORDERS, rng)) for dim in deep]
    projections = []
    for _ in range(PROJECTIONS):
        gaussian = rng.standard_normal((width, width), dtype=np.float32)
        projections.append(steps.done(ladder(judge, queries @ gaussian, documents @ gaussian, dims)))
    sign = steps.done(ladder(judge, _signs(queries), _signs(documents), dims, cosine=False))
    pca, fitted_on = steps.done(pca_ladder(judge, drawn, dims))
    return _Curves(
        dims=dims,
        prefix=prefix,
        suffix=suffix,
        random_at_k=_with_full(np.stack([ladder.at_k for ladder in shuffles])),
        random_shortlisted=_with_full(np.stack([ladder.shortlisted for ladder in shuffles])),
        inside=np.mean(insiders, axis=0),
        projection=np.mean([ladder.at_k for ladder in projections], axis=0),
        sign=sign,
        pca=pca,
        fitted_on=fitted_on,
    )


def _signs(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """+1 where the sign bit of ``kukla.precision`` is set: the dot product orders as the Hamming distance."""
    return np.where(vectors > 0, np.float32(1), np.float32(-1))


def _with_full(recall: NDArray[np.float64]) -> NDArray[np.float64]:
    """Recall ``(orders, dims, queries)`` with a last dim at which nothing is lost."""
    return np.concatenate([recall, np.ones_like(recall[:, :1])], axis=1)


def _row(curves: _Curves, i: int, boot: Bootstrap, structure: Structure) -> Row:
    return Row(
        dim=curves.dims[i],
        prefix=boot.interval(curves.prefix.at_k[i]),
        random=boot.interval(curves.random_at_k[:, i].mean(axis=0)),
        random_spread=float(curves.random_at_k[:, i].mean(axis=1).std(ddof=1)),
        suffix=boot.interval(curves.suffix.at_k[i]),
        pca=boot.interval(curves.pca.at_k[i]),
        projection=boot.interval(curves.projection[i]),
        sign=boot.interval(curves.sign.at_k[i]),
        shortlisted=boot.interval(curves.prefix.shortlisted[i]),
        shortlisted_random=boot.interval(curves.random_shortlisted[:, i].mean(axis=0)),
        shortlisted_pca=boot.interval(curves.pca.shortlisted[i]),
        energy=float(structure.energy[: curves.dims[i]].sum()),
    )


def _evidence(curves: _Curves, boot: Bootstrap, structure: Structure, rng: np.random.Generator) -> Evidence:
    width = curves.dims[-1]
    order_dims, depth_dims = _fractions(width, ORDER_FRACTIONS), _fractions(width, DEPTH_FRACTIONS)
    at = [curves.dims.index(dim) for dim in order_dims]
    deep = [curves.dims.index(dim) for dim in depth_dims]
    prefix, suffix = curves.prefix.at_k[at].mean(axis=0), curves.suffix.at_k[at].mean(axis=0)
    order = boot.contrast(prefix, curves.random_at_k[:, at].mean(axis=1))
    over_suffix = boot.interval(prefix - suffix)
    return Evidence(
        order=order,
        depth=boot.contrast(curves.prefix.at_k[deep].mean(axis=0), curves.inside),
        over_suffix=Contrast(over_suffix.mean, over_suffix.low, over_suffix.high, order.p),
        order_density=structure.density(order_dims, [width] * len(order_dims), rng),
        depth_density=structure.density(depth_dims, [INSIDE * dim for dim in depth_dims], rng),
    )


class _Steps:
    """Counts what is done, and passes it on."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._count, self._total, self._progress = 0, total, progress

    def done(self, result: T) -> T:
        self._count += 1
        if self._progress is not None:
            self._progress(self._count, self._total)
        return result
