"""The vocabulary: a SentencePiece unigram model (Kudo 2018, arXiv:1804.10959), lower-cased, byte fallback."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import sentencepiece

from kukla.errors import InputError, ReadError

__all__ = ["BYTE_PIECES", "load_vocabulary", "surface", "train_vocabulary"]

BYTE_PIECES = 257
"""Pieces that every vocabulary has: the unknown one and a byte each."""


def train_vocabulary(
    texts: Iterable[str], path: Path, *, pieces: int, seed: int, threads: int = 1, exact: bool = True
) -> None:
    """Train on ``texts`` (one sentence each) and write the model to ``path``.

    Text is NFKC-normalised and case-folded (``nmt_nfkc_cf``). Byte fallback gives every character that is not
    in the vocabulary the pieces of its UTF-8 bytes, so no text is out of vocabulary. Any language will do;
    one without spaces between words gets long pieces.

    Parameters
    ----------
    texts : iterable of str
    path : Path
    pieces : int
        Size of the vocabulary, above `BYTE_PIECES`.
    seed, threads : int
    exact : bool
        False: as many pieces as the texts give, where they give fewer.

    Raises
    ------
    InputError
        The texts are too few for so many pieces, or have no characters.
    """
    sentencepiece.set_random_generator_seed(seed)
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type="unigram",
            vocab_size=pieces,
            hard_vocab_limit=exact,
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
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split("]")[-1].split()) or type(error).__name__
        raise InputError(
            f"pieces: a vocabulary of {pieces:,} cannot be made of these texts: {reason}"
        ) from None
    path.write_bytes(model.getvalue())


def load_vocabulary(path: Path) -> sentencepiece.SentencePieceProcessor:
    """The processor of a ``.model`` file.

    Raises
    ------
    ReadError
        It is not there, or not a SentencePiece model.
    """
    processor = sentencepiece.SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(path.read_bytes())
    except OSError as error:
        raise ReadError(f"vocabulary: {path}: cannot be read: {error.strerror or error}") from error
    except RuntimeError:
        raise ReadError(f"vocabulary: {path}: not a SentencePiece model") from None
    return processor


def surface(piece: str) -> str:
    """A piece as a reader would write it: no word-start mark; a byte piece is its character if ASCII."""
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        code = int(piece[3:5], 16)
        return chr(code) if 32 < code < 127 else ""
    return piece.replace("▁", " ").strip()
