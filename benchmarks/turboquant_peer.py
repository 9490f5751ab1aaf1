"""turboquant-pro through its own commands and API: its plans, and searches with exactly what it planned."""

from __future__ import annotations

import contextlib
import io
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

__all__ = [
    "HINT",
    "VERSION",
    "Planned",
    "installed",
    "plan",
    "plan_rescored",
    "search_planned",
    "search_rescored",
]

VERSION = "1.9.1"
HINT = f"this benchmark compares with turboquant-pro: pip install 'turboquant-pro=={VERSION}'"
SEED = 42  # its default
FRACTIONS = (1.0, 0.75, 0.5, 0.375, 0.25, 0.125)  # of the dims: what its sweep tries
BLOCK = 100

Search = Callable[[np.ndarray, int], np.ndarray]


@dataclass(frozen=True)
class Planned:
    """One plan of turboquant-pro.

    ``promised`` is the recall that it states; ``scanned`` and ``stored`` are bytes a vector, as it counts
    them; ``seconds`` is CPU time.
    """

    label: str
    promised: float
    scanned: float
    stored: float
    seconds: float
    recipe: dict[str, Any]
    note: str = ""


def installed() -> bool:
    """Whether the peer is there, in the version that the figures are of."""
    try:
        found = version("turboquant-pro")
    except PackageNotFoundError:
        return False
    if found != VERSION:
        print(
            f"turboquant-pro {found} is installed; the figures in the docs are of {VERSION}", file=sys.stderr
        )
    return True


def _tqp(*arguments: object) -> tuple[int, str, float]:
    """Run its command line: exit status, last line of its errors, CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "turboquant_pro.cli", *map(str, arguments)], capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.returncode, (done.stderr.strip().splitlines() or [""])[-1], seconds


def plan(documents: Path, target: str, scratch: Path, sample: int) -> Planned:
    """``tqp plan embeddings``; its planner, with dims that it can fit, where that refuses a small file."""
    out = scratch / "plan.json"
    out.unlink(missing_ok=True)
    arguments = ("--embeddings", documents, "--target", target, "--sample", sample, "--out", out)
    _, error, seconds = _tqp("plan", "embeddings", *arguments)
    if out.exists():
        found = json.loads(out.read_text(encoding="utf-8"))["recommended"]
        return _planned(found, found["bytes_per_vector"], seconds, "")
    from turboquant_pro import auto_compress

    rows = np.load(documents)
    width = rows.shape[1]
    dims = [int(width * fraction) for fraction in FRACTIONS]
    fits = [dim for dim in dims if dim == width or dim <= len(rows)]
    started = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        result = auto_compress(rows, target=target, sample_size=sample, pca_dims=fits, seed=SEED)
    note = f"the command fails ({error}); its planner over the dims that it can fit"
    size = 4 * width / result.ratio
    return _planned(result.config, size, time.process_time() - started, note)


def _planned(found: dict[str, Any], size: float, seconds: float, note: str) -> Planned:
    recall = next(value for name, value in found.items() if name.startswith("recall@"))
    return Planned(found["label"], recall, size, size, seconds, found, note)


def search_planned(documents: np.ndarray, recipe: dict[str, Any]) -> Search:
    """Compress as the plan did (PCA of the first 1,000 rows, its seed); rank by the cosine it restores."""
    from turboquant_pro import ADCIndex, PCAMatryoshka
    from turboquant_pro.pgvector import TurboQuantPGVector

    width, dim = documents.shape[1], recipe["pca_dim"]
    if dim is None or dim >= width:
        whole = TurboQuantPGVector(dim=width, bits=recipe["bits"], seed=SEED)
        return _by_cosine(whole.decompress_batch(whole.compress_batch(documents)))
    pca = PCAMatryoshka(input_dim=width, output_dim=dim)
    pca.fit(documents[:1000])
    if not recipe["weighted"]:
        index = ADCIndex(pca.with_quantizer(bits=recipe["bits"], seed=SEED)).add(documents)
        return lambda queries, k: _in_blocks(lambda some: index.search(some, k)[0], queries)
    pipeline = pca.with_weighted_quantizer(avg_bits=recipe["avg_bits"], seed=SEED)
    return _by_cosine(np.stack([pipeline.decompress(pipeline.compress(row)) for row in documents]))


def plan_rescored(
    documents: Path, queries: Path, planned: Planned, target: float, scratch: Path
) -> tuple[Planned, Path] | None:
    """``tqp index create`` with the plan's dims and bits, ``tqp query`` ANALYZE and EXPLAIN: its two stages.

    ``None`` where it cannot fit a rotation to so few documents.
    """
    recipe, index, out = planned.recipe, scratch / "peer.tqe", scratch / "explain.json"
    width = np.load(documents, mmap_mode="r").shape[1]
    dim, bits = recipe["pca_dim"] or width, round(recipe["avg_bits"])
    arguments = ("--embeddings", documents, "--out", index, "--output-dim", dim, "--bits", bits)
    status, _, building = _tqp("index", "create", *arguments)
    if status:
        return None
    _, _, analyzing = _tqp("query", f"ANALYZE INDEX '{index}' USING QUERIES '{queries}' WITH (K=10)")
    asked = f"SELECT id FROM '{index}' ORDER BY COSINE(:q) LIMIT 10 WITH (RECALL >= {target})"
    _tqp("query", f"EXPLAIN {asked}", "--out", out)
    found = json.loads(out.read_text(encoding="utf-8"))["plan"]
    from turboquant_pro.index import TQEIndex

    scanned = TQEIndex.open(str(index)).stats()["code_bytes_per_vec"] + 8  # and two norms
    label = f"PCA-{dim} {bits} bits, rerank {found['rerank']}"
    recall = found["predicted"]["recall"]
    seconds = building + analyzing
    return Planned(label, recall, scanned, scanned + 4 * width, seconds, found), index


def search_rescored(index: Path, rerank: int) -> Search:
    """Its index, with candidates rescored by the float32 originals."""
    from turboquant_pro.index import TQEIndex

    opened = TQEIndex.open(str(index))
    return lambda queries, k: _in_blocks(lambda some: opened.search(some, k=k, rerank=rerank)[0], queries)


def _by_cosine(rows: np.ndarray) -> Search:
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
    return lambda queries, k: _in_blocks(lambda some: np.argsort(-(some @ unit.T), axis=1)[:, :k], queries)


def _in_blocks(search: Callable[[np.ndarray], np.ndarray], queries: np.ndarray) -> np.ndarray:
    return np.concatenate([search(queries[i : i + BLOCK]) for i in range(0, len(queries), BLOCK)])
