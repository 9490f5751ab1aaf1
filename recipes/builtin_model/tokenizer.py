"""The vocabulary: a SentencePiece unigram model (Kudo 2018, arXiv:1804.10959), lower-cased, byte fallback."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import sentencepiece

__all__ = ["surface", "train_tokenizer"]


def train_tokenizer(texts: Iterable[str], path: Path, *, pieces: int, seed: int, threads: int) -> None:
    """Train on ``texts`` (one sentence each) and write the model to ``path``.

    Text is NFKC-normalised and case-folded (``nmt_nfkc_cf``). Byte fallback gives every character that is not
    in the vocabulary the pieces of its UTF-8 bytes, so no text is out of vocabulary.
    """
    sentencepiece.set_random_generator_seed(seed)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="unigram",
        vocab_size=pieces,
        normalization_rule_name="nmt_nfkc_cf",
        character_coverage=0.9995,
        byte_fallback=True,
        max_sentencepiece_length=20,
        unk_id=0,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        num_threads=threads,
        shuffle_input_sentence=False,
        minloglevel=1,
    )
    path.write_bytes(model.getvalue())


def surface(piece: str) -> str:
    """A piece as a reader would write it: no word-start mark; a byte piece is its character if ASCII."""
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        code = int(piece[3:5], 16)
        return chr(code) if 32 < code < 127 else ""
    return piece.replace("▁", " ").strip()
