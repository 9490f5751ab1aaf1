"""The same model as a folder of sentence-transformers: its ``StaticEmbedding`` over our pieces."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.embed.sentence_transformer import SentenceTransformerEmbedder
from kukla.errors import ReadError
from kukla.train.extra import import_sentence_transformers
from kukla.train.static.vocabulary import load_vocabulary

__all__ = ["fast_tokenizer", "write_sentence_transformer"]

# Field numbers of SentencePiece's ModelProto and NormalizerSpec.
_NORMALIZER_SPEC, _CHARSMAP = 3, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def fast_tokenizer(pieces: Path) -> Any:
    """A ``tokenizers.Tokenizer`` that cuts text as the SentencePiece model in ``pieces`` does.

    But for a text that spells out the name of a byte, ``<0x41>``: there it is taken for the byte.

    Raises
    ------
    ReadError
        Not a SentencePiece model.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    processor = load_vocabulary(pieces)
    count = processor.get_piece_size()
    scored = [(processor.id_to_piece(number), processor.get_score(number)) for number in range(count)]
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=processor.unk_id(), byte_fallback=True))
    charsmap = b"".join(
        value
        for spec in _fields(pieces, pieces.read_bytes(), _NORMALIZER_SPEC)
        for value in _fields(pieces, spec, _CHARSMAP)
    )
    steps: list[Any] = [normalizers.Precompiled(charsmap)] if charsmap else []
    steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    return tokenizer


def write_sentence_transformer(
    folder: Path, *, pieces: Path, vectors: NDArray[np.float32], trained_dims: Sequence[int]
) -> Any:
    """Write ``folder`` so that ``SentenceTransformer(folder, truncate_dim=...)`` loads it; return the model.

    Parameters
    ----------
    folder : Path
    pieces : Path
        The SentencePiece model.
    vectors : float32 array (V, D)
        Rows as they should be used: give what int8 made of them and both folders have the same vectors, but
        for rounding and for a text without any piece, which is zeros there.
    trained_dims : sequence of int

    Raises
    ------
    MissingExtraError
        Without sentence-transformers.
    """
    library = import_sentence_transformers("a folder for sentence-transformers")
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

    module = StaticEmbedding(fast_tokenizer(pieces), embedding_weights=vectors)
    model = library.SentenceTransformer(modules=[module, Normalize()], device="cpu")
    model.save_pretrained(str(folder), create_model_card=False)
    dims = sorted(trained_dims, reverse=True)
    path = folder / "config_sentence_transformers.json"
    stated = json.loads(path.read_bytes()) | {"matryoshka_dims": dims}
    path.write_text(json.dumps(stated, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (folder / "space.json").unlink(missing_ok=True)
    space = SentenceTransformerEmbedder.load(folder, device="cpu").space
    space = dataclasses.replace(space, trained_dims=tuple(reversed(dims)))
    text = json.dumps(space.to_dict(), ensure_ascii=False, indent=1)
    (folder / "space.json").write_text(text + "\n", encoding="utf-8")
    return model


def _fields(path: Path, message: bytes, wanted: int) -> Iterator[bytes]:
    """The length-delimited fields of a protobuf message with the number ``wanted``.

    A dozen lines instead of the package protobuf, for one field.
    """
    at = 0
    while at < len(message):
        key, at = _varint(path, message, at)
        kind = key & 7
        if kind == _VARINT:
            _, at = _varint(path, message, at)
        elif kind == _BYTES:
            size, at = _varint(path, message, at)
            if key >> 3 == wanted:
                yield message[at : at + size]
            at += size
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ReadError(f"{path}: not a SentencePiece model")


def _varint(path: Path, message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message):
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ReadError(f"{path}: not a whole SentencePiece model")
