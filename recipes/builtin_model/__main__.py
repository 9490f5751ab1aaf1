"""The command: ``python -m recipes.builtin_model DATA_FOLDER --out MODEL_FOLDER``.

Needs ``pip install 'kukla[recipe]'``. Every slow step leaves its result in ``--work`` and is skipped when it
is there; delete the folder to start afresh.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import torch

from . import data, distil, quantise, report, tokenizer, train
from .card import model_card

SENTENCES_FOR_PIECES = 450_000


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m recipes.builtin_model", description=__doc__)
    parser.add_argument("data", type=Path, help="folder with train/, wikipedia/ and ir/")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--work", type=Path, default=Path("build/builtin_model"), help="intermediate results")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results.json"))
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--pieces", type=int, default=32_000, help="size of the vocabulary")
    parser.add_argument("--texts", type=int, default=120_000, help="texts that the teacher encodes")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


class Recipe:
    """The steps in order; each says what it did and how long it took."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.work: Path = options.work
        self.work.mkdir(parents=True, exist_ok=True)
        self.settings = train.Settings()
        self.rng = np.random.default_rng(options.seed)
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
        passages = {source.name: list(source.passages(self.options.data)) for source in data.SOURCES}
        self.say("read " + ", ".join(f"{name} {len(rows):,}" for name, rows in passages.items()))
        pieces = self.vocabulary(passages)
        processor = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
        texts = distil.choose_texts(passages, self.options.texts, np.random.default_rng(self.options.seed))
        of_pieces, of_texts = self.teacher(processor, texts)

        since = time.monotonic()

        def encode(rows: list[str]) -> list[list[int]]:
            ids: list[list[int]] = processor.encode(rows, num_threads=self.options.threads)
            return ids

        tokens: list[data.TokenPassage] = []
        for number, source in enumerate(data.SOURCES):
            tokens += data.tokens_of(passages[source.name], encode, number) * source.repeats
        stems = [np.asarray(row, dtype=np.int32) for row in encode(list(data.QUERY_STEMS))]
        text_tokens = [np.asarray(row, dtype=np.int32) for row in encode(texts)]
        self.say(f"tokenised {len(tokens):,} passages")

        # Frequencies as seen in training, repeats included.
        counts = np.bincount(
            np.concatenate([row for p in tokens for row in (p.head, *p.body)]), minlength=len(processor)
        )
        axes = distil.principal_axes(of_texts)
        bag = train.Bag(distil.initial_vectors(of_pieces, axes, counts, self.settings.dims[0], self.rng))
        known = [i for i, row in enumerate(text_tokens) if len(row)]
        text_tokens, of_texts = [text_tokens[i] for i in known], of_texts[known]
        train.regress(bag, text_tokens, distil.targets(of_texts, axes), self.settings, self.rng, self.say)
        train.train(bag, tokens, stems, text_tokens, of_texts, self.settings, self.rng, self.say)
        self.took("train", since)
        np.save(self.work / "trained.npy", bag.numpy())
        self.publish(pieces, bag.numpy(), {name: len(rows) for name, rows in passages.items()})

    def vocabulary(self, passages: dict[str, list[data.Passage]]) -> Path:
        path = self.work / "pieces.model"
        if not path.exists():
            since = time.monotonic()
            texts = [text for rows in passages.values() for p in rows for text in (p.head, *p.body)]
            chosen = np.random.default_rng(self.options.seed).permutation(len(texts))[:SENTENCES_FOR_PIECES]
            tokenizer.train_tokenizer(
                (texts[int(i)] for i in chosen),
                path,
                pieces=self.options.pieces,
                seed=self.options.seed,
                threads=self.options.threads,
            )
            self.took("vocabulary", since)
        self.say("vocabulary ready")
        return path

    def teacher(
        self, processor: sentencepiece.SentencePieceProcessor, texts: list[str]
    ) -> tuple[distil.Matrix, distil.Matrix]:
        """The teacher's vectors of every piece and of ``texts``."""
        files = self.work / "teacher_pieces.npy", self.work / "teacher_texts.npy"
        if not all(file.exists() for file in files):
            since = time.monotonic()
            model = distil.load_teacher()
            surfaces = [tokenizer.surface(processor.id_to_piece(i)) for i in range(len(processor))]
            for file, rows in zip(files, (surfaces, texts), strict=True):
                np.save(
                    file, distil.teacher_vectors(model, rows, lambda d, n: self.say(f"teacher {d:,}/{n:,}"))
                )
            self.took("teacher", since)
        of_pieces, of_texts = np.load(files[0]), np.load(files[1])
        if (len(of_pieces), len(of_texts)) != (len(processor), len(texts)):
            raise SystemExit(f"{self.work} holds the results of other settings; delete it and start again")
        self.say("teacher ready")
        return of_pieces, of_texts

    def publish(self, pieces: Path, vectors: distil.Matrix, counts: dict[str, int]) -> None:
        """Quantise, write, measure what was written, write the card."""
        options, dims = self.options, self.settings.dims
        processor = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
        model = quantise.write_model(
            options.out, name=options.out.name, pieces=pieces, vectors=vectors, trained_dims=dims
        )
        results: dict[str, Any] = {
            "name": options.out.name,
            "revision": model.space.revision,
            "seed": options.seed,
            "command": f"python -m recipes.builtin_model DATA_FOLDER --out {options.out}",
            "threads": options.threads,
            "dims": list(dims),
            "pieces": len(vectors),
            "teacher_texts": options.texts,
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
            "speed": report.speed(
                model, processor, [p.head for p in data.SOURCES[0].passages(options.data)][:20_000]
            ),
            "teacher_limit": report.TEACHER_LIMIT,
            "ndcg": report.scores(
                model, processor, vectors, options.data / "ir", self.work / "peers.json", dims, self.say
            ),
            "minutes": sum(json.loads(self.minutes_file.read_text()).values()),
        }
        results["bytes"] = sum(f.stat().st_size for f in options.out.iterdir() if f.name != "README.md")
        options.results.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (options.out / "README.md").write_text(model_card(results), encoding="utf-8")
        self.say(f"wrote {options.out}, revision {model.space.revision}")


if __name__ == "__main__":
    Recipe(arguments()).run()
