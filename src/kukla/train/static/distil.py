"""A distillation from its configuration to a model folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.embed.load import builtin_folder
from kukla.embed.static import StaticEmbedder
from kukla.errors import InputError
from kukla.train.dev import Collection, read_collection
from kukla.train.extra import import_sentence_transformers, import_torch
from kukla.train.static.config import BUILT_IN, DistillConfig
from kukla.train.static.corpus import Corpus, lines_of, read_corpus, sample
from kukla.train.static.fidelity import LEAST_TEXTS, neighbour_recall
from kukla.train.static.folder import WorkFolder
from kukla.train.static.initial import initial_vectors, principal_axes, targets
from kukla.train.static.teacher import load_teacher, teacher_vectors
from kukla.train.static.vocabulary import load_vocabulary, surface, train_vocabulary
from kukla.train.static.write import write_model

__all__ = ["Distilled", "distil"]

Say = Callable[[str], None]
Matrix = NDArray[np.float32]
Quality = dict[str, dict[str, Any]]

MOST_LINES = 450_000
"""Of the corpus for a vocabulary: more changes it little and takes memory."""

_HELD_OUT_SHARE, _MOST_HELD_OUT = 0.05, 1_000


@dataclass(frozen=True)
class Distilled:
    """A model that was distilled, and what is known of it.

    ``neighbours`` is the share of the teacher's ten nearest that it keeps by dim, over ``held_out`` texts
    that no step saw; empty where there were too few. ``quality`` is nDCG@10 of the teacher and of the model,
    by test set, as ``QualityCurve.as_dict`` gives it.
    """

    folder: Path
    model: StaticEmbedder
    texts: int
    held_out: int
    neighbours: dict[int, float]
    quality: Quality
    seconds: float


def distil(config: DistillConfig, *, force: bool = False, say: Say = lambda line: None) -> Distilled:
    """Distil a sentence transformer into token vectors, and write a folder that ``static:FOLDER`` loads.

    The token vectors start as the teacher's of each piece (Model2Vec), are fitted so that means over texts
    follow the teacher's vectors of these texts (tokenlearn), are trained on pairs at every dim (MRL, arXiv
    2205.13147) where pairs are given, and become int8.

    Parameters
    ----------
    config : DistillConfig
    force : bool
        Replace a distillation at ``config.out``. Without it a finished one is refused, and one that was cut
        short goes on: the teacher is not asked twice about a text.
    say : callable, optional
        Called with a line about what is being done.

    Raises
    ------
    MissingExtraError
        Without torch or sentence-transformers: ``pip install 'kukla[train]'``.
    InputError, ReadError
        The configuration, texts or teacher cannot be used.
    """
    since = time.monotonic()
    torch = import_torch("distilling a model")
    import_sentence_transformers("distilling a model")
    from transformers.utils import logging

    logging.disable_progress_bar()
    tests = [read_collection(one) for one in config.test]
    pairs = None if config.pairs is None else Path(config.pairs)
    corpus = read_corpus(
        [Path(one) for one in config.corpus], pairs, text_field=config.text_field, columns=config.columns
    )
    say(f"{len(corpus.texts):,} different texts, {len(corpus.queries):,} pairs")
    folder = WorkFolder(Path(config.out))
    teacher = load_teacher(config.teacher, max_tokens=config.max_tokens)
    if folder.open(config.to_dict(), force=force):
        say("goes on with what the teacher said before")
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    rng = np.random.default_rng(config.seed)
    pieces = _vocabulary(config, corpus, folder, rng, say)
    processor = load_vocabulary(pieces)

    def encode(rows: Sequence[str]) -> list[NDArray[np.int32]]:
        cut = processor.encode(list(rows), num_threads=config.threads)
        return [np.asarray(row, dtype=np.int32) for row in cut]

    chosen = sample(corpus.texts, config.texts, rng)
    tokens = encode(chosen)
    chosen = [text for text, row in zip(chosen, tokens, strict=True) if len(row)]
    tokens = [row for row in tokens if len(row)]
    if not chosen:
        raise InputError("corpus: no text has a piece of the vocabulary; allowed: texts with words")

    def asked(rows: Sequence[str], what: str) -> Matrix:
        def progress(done: int, total: int) -> None:
            say(f"teacher: {done:,} of {total:,} {what}")

        return teacher_vectors(teacher, rows, cache=folder.blocks, progress=progress)

    surfaces = [surface(processor.id_to_piece(i)) for i in range(processor.get_piece_size())]
    of_pieces, of_texts = asked(surfaces, "pieces"), asked(chosen, "texts")
    held_out = min(_MOST_HELD_OUT, round(_HELD_OUT_SHARE * len(chosen)))
    held_out = max(held_out, LEAST_TEXTS) if len(chosen) >= 10 * LEAST_TEXTS else 0
    vectors = _train(config, corpus, encode, of_pieces, of_texts[held_out:], tokens[held_out:], rng, say)
    model = write_model(
        folder.out, name=folder.out.resolve().name, pieces=pieces, vectors=vectors, trained_dims=config.dims
    )
    if config.sentence_transformer is not None:
        from kukla.train.static.to_sentence_transformers import write_sentence_transformer

        used = np.load(folder.out / "vectors.npy").astype(np.float32)
        used *= np.load(folder.out / "scales.npy")[:, None]
        write_sentence_transformer(
            Path(config.sentence_transformer),
            pieces=folder.out / "pieces.model",
            vectors=used,
            trained_dims=config.dims,
        )
    neighbours = (
        neighbour_recall(model.encode_documents(chosen[:held_out]), of_texts[:held_out], config.dims)
        if held_out
        else {}
    )
    if tests:
        say("measuring " + ", ".join(one.name for one in tests))
    # Collections are read as far as the teacher reads by itself.
    whole = load_teacher(config.teacher) if tests else None
    quality = {one.name: _quality(one, whole, model, config.dims) for one in tests}
    done = Distilled(
        folder.out,
        model,
        len(chosen) - held_out,
        held_out,
        neighbours,
        quality,
        time.monotonic() - since,
    )
    from kukla.train.static.card import model_card

    (folder.out / "README.md").write_text(model_card(config, done, len(corpus.queries)), encoding="utf-8")
    folder.finish()
    return done


def _vocabulary(
    config: DistillConfig, corpus: Corpus, folder: WorkFolder, rng: np.random.Generator, say: Say
) -> Path:
    if config.vocabulary is not None:
        given = builtin_folder() if config.vocabulary == BUILT_IN else Path(config.vocabulary)
        return given / "pieces.model" if given.is_dir() else given
    path = folder.work / "pieces.model"
    texts = sample(corpus.texts, MOST_LINES, rng)
    if not path.is_file():
        say(f"making a vocabulary from {len(texts):,} texts")
        scratch = path.with_suffix(".tmp")
        train_vocabulary(
            lines_of(texts),
            scratch,
            pieces=config.pieces,
            seed=config.seed,
            threads=config.threads,
            exact=False,
        )
        scratch.replace(path)
    say(f"{load_vocabulary(path).get_piece_size():,} pieces")
    return path


def _train(
    config: DistillConfig,
    corpus: Corpus,
    encode: Callable[[Sequence[str]], list[NDArray[np.int32]]],
    of_pieces: Matrix,
    of_texts: Matrix,
    tokens: list[NDArray[np.int32]],
    rng: np.random.Generator,
    say: Say,
) -> Matrix:
    """Token vectors, float32 (V, D)."""
    from kukla.train.static.bag import Bag
    from kukla.train.static.contrast import FixedPairs, contrast
    from kukla.train.static.regress import regress

    width, most = max(config.dims), of_texts.shape[1]
    if width > most and not (corpus.queries and config.steps):
        raise InputError(
            f"dims: {width} is more than the {most} of the teacher; allowed: up to {most}, or more with pairs"
        )
    kept = [
        pair
        for pair in zip(encode(corpus.queries), encode(corpus.documents), strict=True)
        if all(map(len, pair))
    ]
    settings = config.settings(len(kept))
    counts = np.bincount(
        np.concatenate([*tokens, *(row for pair in kept for row in pair)]), minlength=len(of_pieces)
    )
    axes = principal_axes(of_texts)
    bag = Bag(initial_vectors(of_pieces, axes, counts, width, rng))
    regress(bag, tokens, targets(of_texts, axes), settings, rng, say)
    if kept and config.steps:
        queries, documents = [query for query, _ in kept], [document for _, document in kept]
        contrast(bag, FixedPairs(queries, documents, settings), tokens, of_texts, settings, rng, say)
    return bag.numpy()


def _quality(test: Collection, teacher: Any, model: StaticEmbedder, dims: Sequence[int]) -> dict[str, Any]:
    documents, queries = test.vectors(teacher)
    full = documents.shape[1]
    mine = model.encode_documents(test.texts), model.encode_queries(test.queries)
    return {
        "teacher": test.quality(documents, queries, [full]).as_dict(),
        "model": test.quality(*mine, dims).as_dict(),
    }
