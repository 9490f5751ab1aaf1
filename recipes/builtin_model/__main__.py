"""The command: ``python -m recipes.builtin_model DATA_FOLDER --out MODEL_FOLDER [--start MODEL_FOLDER]``.

Needs ``pip install 'kukla[recipe]'``. Every slow step leaves its result in ``--work`` and is skipped when it
is there; delete the folder to start afresh. With ``--start`` the vocabulary and the token vectors of a model
are taken, and step 3 goes on from there; without it everything is made anew.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import torch
from benchmarks.peers.make_sets import read_windows
from numpy.typing import NDArray

from kukla.embed.static import StaticEmbedder
from kukla.train.static.bag import Bag
from kukla.train.static.contrast import contrast
from kukla.train.static.initial import initial_vectors, principal_axes, targets
from kukla.train.static.regress import regress
from kukla.train.static.settings import Settings
from kukla.train.static.teacher import load_teacher, teacher_vectors
from kukla.train.static.vocabulary import surface, train_vocabulary
from kukla.train.static.write import write_model

from . import data, distil, report, speed
from .card import model_card
from .rows import Matrix, interpolate, rows_of

SENTENCES_FOR_PIECES = 450_000
KEEP = (0.6, 0.5, 0.4, 0.3, 0.3)  # of the start, the shortest dim first; what chose them: `shares`


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m recipes.builtin_model", description=__doc__)
    parser.add_argument("data", type=Path, help="folder with train/, wikipedia/ and ir/")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--start", type=Path, help="a model folder to go on from")
    parser.add_argument("--runs", type=int, default=4, help="trainings with other draws, whose mean is taken")
    parser.add_argument("--keep", type=_shares, default=KEEP, help="share of the start: 0.3, or one a dim")
    parser.add_argument("--work", type=Path, default=Path("build/builtin_model"), help="intermediate results")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results.json"))
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--pieces", type=int, default=32_000, help="size of the vocabulary")
    parser.add_argument("--windows", type=int, default=60_000, help="of Wikipedia that the teacher encodes")
    parser.add_argument("--texts", type=int, default=6_449, help="of the other sources, likewise")
    parser.add_argument("--dims", type=_numbers, default=(512, 256, 128, 64, 32), help="512,256,...")
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--rounds", type=_rounds, default=((32, 60), (16, 180)), help="BLOCKxSTEPS,...")
    parser.add_argument("--rate", type=float, default=0.003)
    parser.add_argument("--note", default="", help="for the card: what this run did differently")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _shares(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def _rounds(text: str) -> tuple[tuple[int, int], ...]:
    pairs = (part.split("x") for part in text.split(","))
    return tuple((int(block), int(steps)) for block, steps in pairs)


class Recipe:
    """The steps in order; each says what it did and how long it took."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.work: Path = options.work
        self.work.mkdir(parents=True, exist_ok=True)
        self.settings = Settings(
            dims=options.dims,
            batch=options.batch,
            rounds=options.rounds,
            rate=options.rate,
            similarity_batch=512,
            similarity_block=32,
            document_tokens=144,
        )
        self.minutes_file = self.work / "minutes.json"
        self.started = time.monotonic()
        torch.manual_seed(options.seed)
        torch.set_num_threads(options.threads)

    def say(self, message: str) -> None:
        print(f"[{time.monotonic() - self.started:6.0f} s] {message}", flush=True)

    def took(self, step: str, since: float) -> None:
        """Remember the minutes of a step, so that the card can add up steps that ran earlier."""
        known = json.loads(self.minutes_file.read_text()) if self.minutes_file.exists() else {}
        known[step] = (time.monotonic() - since) / 60
        self.minutes_file.write_text(json.dumps(known))

    def run(self) -> None:
        passages = {source.name: self.read(source) for source in data.SOURCES}
        self.say("read " + ", ".join(f"{name} {len(rows):,}" for name, rows in passages.items()))
        pieces = self.vocabulary(passages)
        processor = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
        seeds = range(self.options.seed, self.options.seed + self.options.runs)
        trained = {seed: self.work / f"trained-{seed}.npy" for seed in seeds}
        if not all(path.exists() for path in trained.values()):
            self.train(passages, processor, trained)
        vectors: Matrix = np.mean([np.load(path) for path in trained.values()], axis=0, dtype=np.float32)
        if self.options.start is not None:
            vectors = interpolate(rows_of(self.options.start), vectors, self.options.keep, self.settings.dims)
        self.publish(pieces, vectors, {name: len(rows) for name, rows in passages.items()})

    def train(
        self,
        passages: dict[str, list[data.Passage]],
        processor: sentencepiece.SentencePieceProcessor,
        trained: dict[int, Path],
    ) -> None:
        """Train token vectors, float32 (V, D), once for each seed of ``trained``, into its file."""

        def encode(rows: list[str]) -> list[list[int]]:
            ids: list[list[int]] = processor.encode(rows, num_threads=self.options.threads)
            return ids

        others = {name: rows for name, rows in passages.items() if name != "wikipedia"}
        windows = read_windows(self.options.data, self.options.windows)
        short = distil.choose_texts(others, self.options.texts, np.random.default_rng(self.options.seed))
        of_texts = np.concatenate((self.teacher("windows", windows), self.teacher("short texts", short)))
        text_tokens = [np.asarray(row, dtype=np.int32) for row in encode(windows + short)]
        known = [i for i, row in enumerate(text_tokens) if len(row)]
        text_tokens, of_texts = [text_tokens[i] for i in known], of_texts[known]

        since = time.monotonic()
        tokens: list[data.TokenPassage] = []
        for number, source in enumerate(data.SOURCES):
            tokens += data.tokens_of(passages[source.name], encode, number) * source.repeats
        stems = [np.asarray(row, dtype=np.int32) for row in encode(list(data.QUERY_STEMS))]
        self.say(f"tokenised {len(tokens):,} passages")
        if self.options.start is None:
            first = self.distilled(processor, tokens, text_tokens, of_texts)
        else:
            first = rows_of(self.options.start)
        self.took("read", since)
        pairs = data.SourcePairs(tokens, stems, self.settings)
        for seed, path in trained.items():
            if path.exists():
                continue
            since = time.monotonic()
            torch.manual_seed(seed)
            bag, rng = Bag(first), np.random.default_rng(seed)
            contrast(bag, pairs, text_tokens, of_texts, self.settings, rng, self.say)
            np.save(path, bag.numpy())
            self.took(f"train {seed}", since)

    def read(self, source: data.Source) -> list[data.Passage]:
        path = self.work / f"{source.name}.json"
        if source.name == "code" and path.exists():  # parsing all of torch takes minutes
            rows = [data.Passage(head, tuple(body)) for head, body in json.loads(path.read_text())]
        else:
            rows = list(source.passages(self.options.data))
        if source.name == "code" and not path.exists():
            path.write_text(json.dumps([(one.head, one.body) for one in rows]))
        drawn = np.random.default_rng(self.options.seed).permutation(len(rows))[: source.most]
        return [rows[int(i)] for i in drawn]

    def vocabulary(self, passages: dict[str, list[data.Passage]]) -> Path:
        if self.options.start is not None:
            return Path(self.options.start) / "pieces.model"
        path = self.work / "pieces.model"
        if not path.exists():
            since = time.monotonic()
            texts = [text for rows in passages.values() for p in rows for text in (p.head, *p.body)]
            chosen = np.random.default_rng(self.options.seed).permutation(len(texts))[:SENTENCES_FOR_PIECES]
            train_vocabulary(
                (texts[int(i)] for i in chosen),
                path,
                pieces=self.options.pieces,
                seed=self.options.seed,
                threads=self.options.threads,
            )
            self.took("vocabulary", since)
        self.say("vocabulary ready")
        return path

    def teacher(self, what: str, texts: Sequence[str]) -> Matrix:
        """The teacher's vectors of ``texts``, block by block; a block that is there is not encoded again."""
        since = time.monotonic()
        model = load_teacher(distil.TEACHER, max_tokens=distil.TEACHER_TOKENS)

        def progress(done: int, total: int) -> None:
            self.say(f"teacher: {done:,} of {total:,} {what}")

        vectors = teacher_vectors(model, texts, cache=self.work / "teacher", progress=progress)
        self.took(f"teacher {what}", since)
        return vectors

    def distilled(
        self,
        processor: sentencepiece.SentencePieceProcessor,
        tokens: list[data.TokenPassage],
        text_tokens: list[NDArray[np.int32]],
        of_texts: Matrix,
    ) -> Matrix:
        """Token vectors (V, D) that follow the teacher: its pieces, then the means of texts."""
        of_pieces = self.teacher("pieces", [surface(processor.id_to_piece(i)) for i in range(len(processor))])
        # Frequencies as seen in training, repeats included.
        counts = np.bincount(
            np.concatenate([row for p in tokens for row in (p.head, *p.body)]), minlength=len(processor)
        )
        axes = principal_axes(of_texts)
        rng = np.random.default_rng(self.options.seed)
        bag = Bag(initial_vectors(of_pieces, axes, counts, max(self.settings.dims), rng))
        regress(bag, text_tokens, targets(of_texts, axes), self.settings, rng, self.say)
        return bag.numpy()

    def publish(self, pieces: Path, vectors: Matrix, counts: dict[str, int]) -> None:
        """Quantise, write, measure what was written, write the card."""
        options, dims = self.options, self.settings.dims
        processor = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
        model = write_model(
            options.out, name=options.out.name, pieces=pieces, vectors=vectors, trained_dims=dims
        )
        start = None if options.start is None else StaticEmbedder.load(options.start)
        texts = speed.read_texts(options.data)
        keep = ",".join(f"{share:g}" for share in options.keep)
        results: dict[str, Any] = {
            "name": options.out.name,
            "revision": model.space.revision,
            "start": None if start is None else {"name": start.space.model, "revision": start.space.revision},
            "runs": options.runs,
            "keep": list(options.keep),
            "seed": options.seed,
            "command": f"python -m recipes.builtin_model DATA_FOLDER --out {options.out}"
            + ("" if start is None else f" --start {options.start.name} --runs {options.runs} --keep {keep}"),
            "threads": options.threads,
            "dims": list(dims),
            "pieces": len(vectors),
            "teacher_texts": options.windows + options.texts,
            "note": options.note,
            "settings": dataclasses.asdict(self.settings),
            "sources": [
                {
                    "name": s.name,
                    "licence": s.licence,
                    "what": s.what,
                    "passages": counts[s.name],
                    "repeats": s.repeats,
                }
                for s in data.SOURCES
            ],
            "speed": speed.speed(model, processor, texts["titles"]),
            "beside_teacher": {kind: speed.beside_teacher(model, rows) for kind, rows in texts.items()},
            "teacher_limit": report.TEACHER_LIMIT,
            "ndcg": report.scores(
                model,
                processor,
                vectors,
                start,
                options.data / "ir",
                self.work / "peers.json",
                dims,
                self.say,
            ),
            "minutes": sum(json.loads(self.minutes_file.read_text()).values()),
        }
        results["bytes"] = sum(f.stat().st_size for f in options.out.iterdir() if f.name != "README.md")
        options.results.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (options.out / "README.md").write_text(model_card(results), encoding="utf-8")
        self.say(f"wrote {options.out}, revision {model.space.revision}")


if __name__ == "__main__":
    Recipe(arguments()).run()
