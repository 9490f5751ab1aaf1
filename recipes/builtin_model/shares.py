"""How much of the start to keep: ``python -m recipes.builtin_model.shares DATA_FOLDER --start FOLDER``.

Run it when the trainings of the recipe lie in ``--work``. It makes the model of each share and prints its
mean nDCG@10 over collections and dims, on every second query, which choose, and on the others, which tell;
and where it is worse than the start beyond the 95 % interval of a paired bootstrap.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from kukla.embed.static import StaticEmbedder
from kukla.train.static.write import quantise_rows

from . import evaluate
from .rows import Matrix, interpolate, rows_of

__all__ = ["main"]

Values = dict[str, dict[int, NDArray[np.float64]]]
KEEP = (
    "0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "1",
    "0.5,0.5,0.4,0.3,0.2", "0.6,0.5,0.4,0.3,0.3", "0.6,0.6,0.5,0.4,0.3", "0.7,0.7,0.5,0.4,0.3",
    "0.7,0.7,0.5,0.3,0.1",
)  # fmt: skip


def main() -> None:
    """Print a line a share."""
    parser = argparse.ArgumentParser(prog="python -m recipes.builtin_model.shares", description=__doc__)
    parser.add_argument("data", type=Path, help="folder with ir/")
    parser.add_argument("--start", type=Path, required=True, help="the model folder that was gone on from")
    parser.add_argument("--work", type=Path, default=Path("build/builtin_model"))
    parser.add_argument("--keep", nargs="+", default=KEEP, help="0.3, or a share for each dim: 0.6,0.5,...")
    options = parser.parse_args()
    start = StaticEmbedder.load(options.start)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(options.start / "pieces.model"))
    runs = [np.load(path) for path in sorted(options.work.glob("trained-*.npy"))]
    trained: Matrix = np.mean(runs, axis=0, dtype=np.float32)
    dims = start.space.trained_dims
    folders = sorted(folder for folder in (options.data / "ir").iterdir() if folder.is_dir())
    collections = [evaluate.read_collection(folder) for folder in folders]

    def measure(model: StaticEmbedder) -> Values:
        return {one.name: evaluate.values(model.encode_documents, one, dims) for one in collections}

    before = measure(start)
    print(f"{len(runs)} trainings; nDCG@10, mean over {len(folders)} collections and {len(dims)} dims")
    for keep in options.keep:
        shares = tuple(float(share) for share in keep.split(","))
        rows, scales = quantise_rows(interpolate(rows_of(options.start), trained, shares, dims))
        found = measure(StaticEmbedder(processor, rows, scales, start.space))
        chosen, others, every = slice(0, None, 2), slice(1, None, 2), slice(None)
        print(
            f"keep {keep}: {_mean(found, chosen):.4f} on every second query, "
            f"{_mean(found, others):.4f} on the others; "
            f"worse on every second: {_worse(found, before, chosen)}; on all: {_worse(found, before, every)}",
            flush=True,
        )


def _mean(found: Values, part: slice) -> float:
    return float(np.mean([row[part].mean() for dims in found.values() for row in dims.values()]))


def _worse(found: Values, before: Values, part: slice) -> str:
    cells = [
        f"{name}@{dim}"
        for name, dims in found.items()
        for dim, row in dims.items()
        if evaluate.paired_gain(row[part], before[name][dim][part])["high"] < 0
    ]
    return ", ".join(cells) or "nowhere"


if __name__ == "__main__":
    main()
