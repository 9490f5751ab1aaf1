"""What is compared: projections fitted on documents, with labels of other collections or with none.

`candidates` is for other benchmarks too: documents and what is known of other collections in, projections
out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kukla.errors import InputError
from kukla.projection import Identity, Projection, Rotation, fit_pca, fit_query_aware
from kukla.projection.measure import prefix_recalls
from kukla.train import fit_adaptor, fit_linear_head, fit_smec

__all__ = ["SYSTEMS", "Labelled", "candidates", "labelled"]

PREFIX, PCA, PCA_DOT, AWARE = "prefix", "PCA, by cosine", "PCA, by dot product", "query-aware"
LEARNED = "learned rotation"
ADAPTOR, ADAPTOR_BEST = "Matryoshka-Adaptor, from the vectors", "Matryoshka-Adaptor, from PCA"
SUPERVISED = "Matryoshka-Adaptor, supervised elsewhere"
SMEC, SMEC_BEST = "SMEC, from the vectors", "SMEC, from PCA"
SYSTEMS = (PREFIX, PCA, PCA_DOT, AWARE, LEARNED, ADAPTOR, ADAPTOR_BEST, SUPERVISED, SMEC, SMEC_BEST)

K = 10
_OTHERS = 500
_ANSWERS = 10
_ASKING = 300


@dataclass(frozen=True)
class Labelled:
    """Other collections of the same model: unit rows float32, ``pairs`` (p, 2) of a query and a document."""

    documents: np.ndarray
    queries: np.ndarray
    pairs: np.ndarray


def labelled(
    collections: Iterable[tuple[np.ndarray, np.ndarray, Sequence[Mapping[int, int]]]], *, seed: int = 0
) -> Labelled | None:
    """Put together documents, queries and judgements (by document number); ``None`` where there are none.

    Of each collection the relevant documents and 500 others, at most ten answers a query.
    """
    rng = np.random.default_rng(seed)
    documents: list[np.ndarray] = []
    queries: list[np.ndarray] = []
    pairs: list[np.ndarray] = []
    before = asked = 0
    for rows, questions, judged in collections:
        known = [
            (query, document)
            for query, grades in enumerate(judged)
            for document in sorted(grades, key=lambda one: (-grades[one], one))[:_ANSWERS]
        ]
        relevant = np.unique([document for _, document in known])
        others = rng.permutation(np.setdiff1d(np.arange(len(rows)), relevant))[:_OTHERS]
        kept = np.concatenate([relevant, others])
        place = {int(document): before + i for i, document in enumerate(kept)}
        pairs.append(np.array([(asked + query, place[document]) for query, document in known]))
        documents.append(rows[kept])
        queries.append(questions)
        before, asked = before + len(kept), asked + len(questions)
    if not documents:
        return None
    return Labelled(*map(np.concatenate, (documents, queries, pairs)))


def candidates(
    documents: np.ndarray,
    queries: np.ndarray | None,
    dims: Sequence[int],
    *,
    elsewhere: Labelled | None = None,
    systems: Sequence[str] = SYSTEMS,
    steps: int = 300,
    hidden: int | None = None,
    sample: int = 5000,
    seed: int = 0,
) -> dict[str, Projection]:
    """Fit projections for a collection of frozen vectors.

    Parameters
    ----------
    documents : ndarray of float32 (n, dim)
        Unit rows. All but two systems see nothing else.
    queries : ndarray of float32 (m, dim), optional
        Unit rows, for the query-aware rotation alone: none that are measured on.
    dims : sequence of int
        The prefixes that count, below the width.
    elsewhere : Labelled, optional
        For the supervised adaptor, which sees `documents` without labels, and these with theirs.
    systems : sequence of str
        Of `SYSTEMS`.
    steps, hidden, sample, seed
        Of each training.

    Returns
    -------
    dict
        By name, in the order of `SYSTEMS`; those that cannot be fitted (too few documents, no queries, no
        labels) are missing.
    """
    found: dict[str, Projection] = {}
    for name in SYSTEMS:
        if name not in systems:
            continue
        try:
            fitted = _fit(name, documents, queries, tuple(dims), elsewhere, steps, hidden, sample, seed)
        except InputError:  # too few documents or queries
            continue
        if fitted is not None:
            found[name] = fitted
    return found


def _fit(
    name: str,
    documents: np.ndarray,
    queries: np.ndarray | None,
    dims: tuple[int, ...],
    elsewhere: Labelled | None,
    steps: int,
    hidden: int | None,
    sample: int,
    seed: int,
) -> Projection | None:
    if name == PREFIX:
        return Identity(documents.shape[1])
    if name in (PCA, PCA_DOT):  # both: which is better on documents need not be on queries
        return fit_pca(documents).scored(renormalises_prefixes=name == PCA)
    if name == AWARE:
        if queries is None:
            return None
        return _better_ranked(lambda rows: fit_query_aware(rows, queries), documents, dims, seed)
    if name == LEARNED:
        return fit_linear_head(documents, dims=dims, steps=min(steps, 200), sample=sample, seed=seed)
    if name in (SMEC, SMEC_BEST):
        start = "identity" if name == SMEC else "best"
        return fit_smec(documents, dims=dims, start=start, steps=steps, sample=sample, seed=seed)
    if name != SUPERVISED:
        start = "identity" if name == ADAPTOR else "best"
        return fit_adaptor(
            documents, dims=dims, start=start, steps=steps, hidden=hidden, sample=sample, seed=seed
        )
    if elsewhere is None:
        return None
    own = documents[np.random.default_rng(seed).permutation(len(documents))[:sample]]
    return fit_adaptor(
        np.concatenate([own, elsewhere.documents]),
        elsewhere.queries,
        pairs=np.stack([elsewhere.pairs[:, 0], elsewhere.pairs[:, 1] + len(own)], axis=1),
        dims=dims,
        steps=steps,
        hidden=hidden,
        sample=len(own) + len(elsewhere.documents),
        seed=seed,
    )


def _better_ranked(
    fit: Callable[[np.ndarray], Rotation], documents: np.ndarray, dims: tuple[int, ...], seed: int
) -> Projection:
    """Prefixes renormalised or not, whichever finds more for documents held out of another fit."""
    order = np.random.default_rng(seed).permutation(len(documents))
    held = min(_ASKING, len(documents) // 5)
    asking, rest = documents[order[:held]], documents[order[held:]]
    tried = fit(rest)
    both = {str(way): tried.scored(renormalises_prefixes=way) for way in (True, False)}
    recalls = prefix_recalls(both, rest, asking, dims, K, "cosine")
    best = max(both, key=lambda way: recalls[way].mean())
    return fit(documents).scored(renormalises_prefixes=best == "True")
