"""all-MiniLM-L6-v2 before and after MRL: `python -m benchmarks.minilm DATA WORK`.

The untouched model; the same fine-tuned with MRL and, on the same data with the same steps and seed, without;
rotations and adaptors of the untouched model's vectors: nDCG@10 on retrieval collections and Spearman's
correlation on sentence similarity, at every dim, with 95 % intervals paired by query. An hour or two on two
cores; what is done is kept in WORK, and a run that is stopped goes on. Needs
pip install 'kukla[train,eval,plot,recipe]'.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.minilm.adapted import ADAPTORS
from benchmarks.minilm.encode import Encoder, trained, untouched
from benchmarks.minilm.figure import draw
from benchmarks.minilm.intervals import Resampled, resample
from benchmarks.minilm.mixture import read_pairs, write_mixture
from benchmarks.minilm.models import DIMS, EVERY, VARIANTS, Recipe, choose_rate, train_variant
from benchmarks.minilm.report import MRL, PLAIN, UNTOUCHED, as_json, table_lines
from benchmarks.minilm.retrieval import Quality, measure_collection
from benchmarks.minilm.similarity import PairSet, correlations, read_pair_sets
from benchmarks.systems.tasks import COLLECTIONS, read_texts
from kukla.projection import Projection, fit_pca
from kukla.train import fit_linear_head

_TITLES = {"mrl": MRL, "plain": PLAIN}
# Not adi: half of its 35 queries are too few to learn from. Not medquad: it is among the training pairs.
_COLLECTIONS = ("xquad_en", "codebase248", "cranfield", "cisi", "cacm", "npl")


def main() -> None:
    """Train, encode, measure; print tables, write `minilm.json` and `minilm.png`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the data folder, with train/, ir/ and sts/ in it")
    parser.add_argument("work", type=Path, help="where models, vectors and values are kept")
    parser.add_argument("--cache", type=Path, help="vectors of the untouched model (default: in WORK)")
    parser.add_argument("--only", nargs="*", default=list(_COLLECTIONS), choices=COLLECTIONS, metavar="NAME")
    parser.add_argument("--steps", type=int, default=120, help="of training")
    parser.add_argument(
        "--stop", type=int, help=f"measure both after so many of the steps (a multiple of {EVERY})"
    )
    parser.add_argument("--pairs", type=int, default=1000, help="of each similarity set; 0: none")
    parser.add_argument(
        "--fit", type=int, default=2000, help="training pairs that projections not of the collection see"
    )
    parser.add_argument("--variant", choices=VARIANTS, help="only train this one, then stop")
    parser.add_argument("--to", type=Path, help="folder of minilm.json and minilm.png (default: WORK)")
    options = parser.parse_args()
    say: Callable[[str], None] = partial(Console(stderr=True).print, highlight=False)
    train, dev = write_mixture(options.data, options.work / "mixture")
    recipe = Recipe(steps=options.steps)
    rate, pilots = choose_rate(recipe, train, dev, options.work, say)
    say(f"learning rate: {rate:g}")
    folders = {
        name: train_variant(name, recipe, rate, train, options.work, say, stop=options.stop)
        for name in ([options.variant] if options.variant else VARIANTS)
    }
    if options.variant:
        return
    vectors = options.work / "vectors"
    encoders = [
        untouched(UNTOUCHED, options.cache or vectors, say),
        *(trained(_TITLES[name], folder, vectors, say) for name, folder in folders.items()),
    ]
    transferred = _transferred(train, encoders[0], options.fit)
    qualities = {
        name: measure_collection(
            read_texts(options.data / "ir" / name), encoders, transferred, DIMS, options.work, say
        )
        for name in options.only
    }
    tables = [("nDCG@10", list(qualities), _retrieval(list(qualities.values())))]
    if options.pairs:
        pair_sets = list(read_pair_sets(options.data / "sts", options.pairs))
        found = _similarity(pair_sets, encoders, transferred)
        tables.append(("Spearman", [one.name for one in pair_sets], found))
    panels = {f"{measure}, {len(sets)} sets": found for measure, sets, found in tables}
    most = max(map(len, qualities.values()))
    whole = {name: quality for name, quality in qualities.items() if len(quality) == most}
    if len(whole) < len(qualities):  # where judgements are many enough for what learns from them
        tables.append(("nDCG@10", list(whole), _retrieval(list(whole.values()))))
    rows = []
    for measure, sets, found in tables:
        print("\n".join(table_lines(measure, sets, found, DIMS)))
        rows += as_json(measure, sets, found, DIMS)
    for name, quality in qualities.items():
        rows += as_json("nDCG@10", [name], _retrieval([quality]), DIMS)
    to = options.to or options.work
    to.mkdir(parents=True, exist_ok=True)
    (to / "minilm.json").write_text(json.dumps({"pilots": pilots, "rows": rows}, indent=1) + "\n")
    draw(panels, DIMS, to / "minilm.png")


def _transferred(train: Path, untouched: Encoder, count: int) -> dict[str, Projection]:
    """Projections of the untouched model that know, as MRL does, nothing but pairs of the training data."""
    queries, texts = read_pairs(train, count)
    documents = untouched.vectors(texts, "training-texts")
    asked = untouched.vectors(queries, "training-queries")
    pairs = np.stack([np.arange(count), np.arange(count)], axis=1)
    dims = tuple(sorted(DIMS))
    found: dict[str, Projection] = {
        "PCA, training texts": fit_pca(documents),
        "learned rotation, training pairs": fit_linear_head(
            documents, asked, pairs=pairs, dims=dims, steps=100, seed=0
        ),
    }
    for name, fit in ADAPTORS.items():
        found[f"{name}, training pairs"] = fit(documents, asked, pairs=pairs, dims=dims)
    return found


def _retrieval(qualities: Sequence[Quality]) -> Resampled:
    def means(quality: Quality, weights: np.ndarray) -> dict[str, np.ndarray]:
        return {name: values @ weights.T / weights.sum(axis=1) for name, values in quality.items()}

    counts = [next(iter(quality.values())).shape[1] for quality in qualities]
    return resample([(n, partial(means, one)) for n, one in zip(counts, qualities, strict=True)])


def _similarity(
    pair_sets: Sequence[PairSet], encoders: Sequence[Encoder], transferred: dict[str, Projection]
) -> Resampled:
    """A rotation on the collection itself has no meaning here: sentences are not searched."""

    def means(one: PairSet, weights: np.ndarray) -> dict[str, np.ndarray]:
        name = one.name.replace(" ", "")
        found = {}
        for encoder in encoders:
            sides = [encoder.vectors(part, f"{name}-{i}") for i, part in enumerate((one.first, one.second))]
            found[encoder.name] = correlations(*sides, one.grades, DIMS, weights)
        untouched = encoders[0]
        sides = [untouched.vectors(part, f"{name}-{i}") for i, part in enumerate((one.first, one.second))]
        for title, projection in transferred.items():
            found[title] = correlations(*sides, one.grades, DIMS, weights, projection)
        return found

    return resample([(len(one.grades), partial(means, one)) for one in pair_sets])


if __name__ == "__main__":
    main()
