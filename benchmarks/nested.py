"""Which of these models are nested? `python -m benchmarks.nested DATA [--power] [--coverage]`.

The verdict of `kukla.profile` on every set of real vectors in the data folder, on the random vectors among
them, and on what real vectors become when their order, or everything, is destroyed; `--more FILE ...` adds
files. `--power` says how often smaller samples of the larger sets get the verdict that the whole set gets;
`--coverage` how often intervals hold when not the queries alone but all vectors are drawn anew.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from kukla.profile import Profile, profile
from kukla.readers import read_vectors

SETS = (
    ("text-embedding-3-small, 319 entities", "oai3small_dickens/entities"),
    ("text-embedding-3-small, 359 relationships", "oai3small_dickens/relationships"),
    ("text-embedding-3-small, 42 chunks", "oai3small_dickens/chunks"),
    ("text-embedding-3-small, 50 hotels", "oai3small_hotels50/vectors"),
    ("text-embedding-3-small cut to 256, 102 products", "products_ada002_3small256/oai3small_256"),
    ("text-embedding-3-large cut to 1024, 50 restaurants", "restaurants50_3large1024_nomic/oai3large_1024"),
    ("nomic-embed-text, 624 entities", "nomic_books_vi/entities"),
    ("nomic-embed-text, 286 relationships", "nomic_books_vi/relationships"),
    ("nomic-embed-text, 112 chunks", "nomic_books_vi/chunks"),
    ("nomic-embed-text, 50 restaurants", "restaurants50_3large1024_nomic/nomic_768"),
    ("ada-002, 101 products", "products_ada002_3small256/ada002_1536"),
    ("bge-base, 76 customs codes", "bge_base_hscodes76/baai-bge-base-en-v1-5"),
    ("random, says text-embedding-3-small", "FAKE_hscodes_random/text-embedding-3-small"),
    ("random, says text-embedding-3-large", "FAKE_hscodes_random/text-embedding-3-large"),
    ("random, says embed-english-v3.0", "FAKE_hscodes_random/embed-english-v3-0"),
    ("random, says all-MiniLM-L6-v2", "FAKE_hscodes_random/sentence-transformers-all-MiniLM-L6-v2"),
)
DESTROYED = ("oai3small_dickens/entities", "nomic_books_vi/entities", "products_ada002_3small256/ada002_1536")
POWER = (
    "oai3small_dickens/entities",
    "oai3small_dickens/relationships",
    "nomic_books_vi/entities",
    "nomic_books_vi/relationships",
)
SAMPLES = 20
DRAWS = 200
SEED = 0


def main() -> None:
    """Print one or two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the data folder, with vectors/ in it")
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="other files of vectors")
    parser.add_argument("--power", action="store_true", help="how often small samples are right")
    parser.add_argument(
        "--coverage", action="store_true", help="how often intervals hold, on made-up vectors"
    )
    arguments = parser.parse_args()
    folder = arguments.data / "vectors"
    console = Console(width=170)
    table = Table("vectors", "verdict", "leaning, not ruled out", "order", "depth", "energy: order, depth")
    for title, name in SETS:
        table.add_row(title, *_cells(profile(read_vectors(folder / f"{name}.npy"))))
    for path in arguments.more:
        table.add_row(path.name, *_cells(profile(read_vectors(path))))
    for title, rows in _destroyed(folder):
        table.add_row(title, *_cells(profile(rows)))
    console.print(table)
    if arguments.power:
        console.print(_power(folder))
    if arguments.coverage:
        console.print(_coverage())


def _cells(found: Profile) -> tuple[str, ...]:
    evidence, verdict = found.evidence, found.verdict
    densities = f"{evidence.order_density.ratio:.2f}, {evidence.depth_density.ratio:.2f}"
    others = ", ".join(verdict.instead_of)
    return str(verdict.word), others, str(evidence.order), str(evidence.depth), densities


def _destroyed(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Controls: the same neighbours without the order, and the same coordinates without the neighbours."""
    for name in DESTROYED:
        rows = np.load(folder / f"{name}.npy").astype(np.float32)
        rng = np.random.default_rng(SEED)
        yield f"{name}, coordinates shuffled", rows[:, rng.permutation(rows.shape[1])]
        yield f"{name}, coordinates reversed", rows[:, ::-1]
        yield f"{name}, rotated", rows @ np.linalg.qr(rng.standard_normal((rows.shape[1],) * 2))[0]
        yield f"{name}, each coordinate shuffled among rows", rng.permuted(rows, axis=0)


def _power(folder: Path) -> Table:
    table = Table(
        "samples of", "size", *(f"{word} (of {SAMPLES})" for word in ("verdicts", "of these leaning"))
    )
    for name in POWER:
        rows = np.load(folder / f"{name}.npy")
        for size in (50, 100, 200):
            words: Counter[str] = Counter()
            leaning: Counter[str] = Counter()
            for seed in range(SAMPLES):
                chosen = np.random.default_rng(seed).choice(len(rows), size, replace=False)
                verdict = profile(rows[chosen]).verdict
                words[verdict.word] += 1
                leaning[verdict.word] += verdict.leaning
            table.add_row(name, str(size), _counts(words), _counts(leaning))
    return table


def _coverage() -> Table:
    """Share of 95 % intervals that hold the mean over all draws, of vectors from one distribution."""
    rng = np.random.default_rng(SEED)
    centres = rng.standard_normal((200, 64))
    table = Table(
        "vectors", "recall@10 of the 16-prefix", "its intervals hold", "order", "its intervals hold"
    )
    for size in (50, 100, 300):
        drawn = []
        for seed in range(DRAWS):
            near = centres[rng.integers(0, len(centres), size)] + 0.7 * rng.standard_normal((size, 64))
            drawn.append(profile(near * np.arange(1, 65) ** -0.3, dims=[16], seed=seed))
        recalls, orders = [found.rows[0].prefix for found in drawn], [found.evidence.order for found in drawn]
        cells = [str(size)]
        for intervals in (recalls, orders):
            mean = float(np.mean([interval.mean for interval in intervals]))
            held = np.mean([interval.low <= mean <= interval.high for interval in intervals])
            cells += [f"{mean:.3f}", f"{held:.0%}"]
        table.add_row(*cells)
    return table


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in counter.most_common())


if __name__ == "__main__":
    main()
