"""From the name of a model to what embeds: which kind it is says the part before the colon."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from kukla.embed.base import Embedder
from kukla.embed.static import StaticEmbedder
from kukla.embed.truncated import TruncatedEmbedder
from kukla.errors import InputError
from kukla.known_models import find_known_model
from kukla.space import Space

__all__ = [
    "DEFAULT_MODEL",
    "MODEL_VARIABLE",
    "builtin_folder",
    "find_embedder",
    "known_models",
    "load_embedder",
]

DEFAULT_MODEL = "kukla-static-en-v2"

MODEL_VARIABLE = "KUKLA_MODEL"
"""The environment variable that names the model for indexes whose model is not built in."""

_REPLACED = {"kukla-static-en-v1": "kukla-static-en-v2"}  # models that shipped once, and what does now

_MODELS = Path(__file__).parent / "models"


def known_models() -> tuple[str, ...]:
    """Names of the models that ship with Kukla, ascending."""
    return tuple(sorted(folder.name for folder in _MODELS.iterdir() if (folder / "space.json").is_file()))


def builtin_folder(name: str = DEFAULT_MODEL) -> Path:
    """The folder of a model that ships with Kukla."""
    return _MODELS / name


def load_embedder(
    name: str = DEFAULT_MODEL,
    *,
    truncate_dim: int | None = None,
    query_prompt: str | None = None,
    document_prompt: str | None = None,
    base_url: str | None = None,
) -> Embedder:
    """Load a model.

    ===================  ============================================================================
    ``NAME``             a model that ships with Kukla, one of :func:`known_models`
    ``static:FOLDER``    a folder of the same kind, of your own
    ``st:FOLDER``        a folder that sentence-transformers wrote
    ``st:ORG/MODEL``     a model on the Hugging Face hub, run by sentence-transformers
    ``openai:MODEL``     a model behind an OpenAI-compatible API; the key is in ``OPENAI_API_KEY``
    ===================  ============================================================================

    Parameters
    ----------
    name : str
    truncate_dim : int, optional
        Make the ``truncate_dim``-prefixes, renormalised, the whole vectors, as a space of their own. An API
        that offers this length is asked for it.
    query_prompt, document_prompt : str, optional
        Put before every query and document, instead of what model, maker or table of known models say.
    base_url : str, optional
        The address of the API. Default: ``OPENAI_BASE_URL``, else OpenAI's own.

    Raises
    ------
    InputError
        No model has this name, or the model does not take an option.
    ReadError
        The model's files are damaged or not there.
    ServiceError
        The API refuses or fails.
    MissingExtraError
        The kind of model needs an extra.

    Example
    -------
    >>> load_embedder(truncate_dim=64).space.dim
    64
    """
    kind, colon, rest = name.partition(":")
    given = {
        "query_prompt": query_prompt,
        "document_prompt": document_prompt,
        "base_url": base_url,
    }
    takes, load = _KINDS.get(kind if colon else "", ((), None))
    if load is None or (colon and not rest):
        raise InputError(
            f"embedding model: received {name!r}; allowed: {', '.join(map(repr, known_models()))}, "
            "static:FOLDER, st:FOLDER, st:ORGANISATION/MODEL, openai:MODEL"
        )
    options = {option: value for option, value in given.items() if value is not None}
    for option in options:
        if option not in takes:
            raise InputError(
                f"{option}: the model {name!r} has none; allowed: with "
                + " or ".join(f"{other}:" for other, (taken, _) in _KINDS.items() if option in taken)
            )
    if kind == "openai" and colon and truncate_dim is not None and _api_shortens(rest, truncate_dim):
        options["dimensions"] = truncate_dim  # type: ignore[assignment]
    embedder = load(rest if colon else name, **options)
    if truncate_dim is None or truncate_dim == embedder.space.dim:
        return embedder
    return TruncatedEmbedder(embedder, truncate_dim)


def find_embedder(space: Space, name: str | None = None, *, base_url: str | None = None) -> Embedder:
    """The embedder of an index: of its prompts, dim and, where only the folder's name differs, its name.

    Whether it really is of the space, the caller must check (``Index`` does, with canaries).

    Parameters
    ----------
    space : Space
        Of the index.
    name : str, optional
        As in :func:`load_embedder`. Default: the built-in model when the space is its; else what the
        environment variable ``KUKLA_MODEL`` names.
    base_url : str, optional

    Raises
    ------
    InputError
        Nothing names a model. Else as :func:`load_embedder`.
    """
    if name is None and space.provider == "kukla" and space.model in known_models():
        name = space.model
    name = name or os.environ.get(MODEL_VARIABLE)
    if not name and space.provider == "kukla" and space.model in _REPLACED:
        raise InputError(
            f"this index holds vectors of {space}, which no longer ships with Kukla: index the texts again, "
            f"with {_REPLACED[space.model]!r}, or name the old model's folder with --model static:FOLDER or "
            f"{MODEL_VARIABLE}"
        )
    if not name:
        raise InputError(
            f"this index holds vectors of {space}: name their model with --model or {MODEL_VARIABLE}, pass "
            "an embedder for it to Index.open, or give vectors instead of texts"
        )
    takes_prompts = name.startswith(("st:", "openai:")) and not space.is_unknown
    embedder = load_embedder(
        name,
        base_url=base_url,
        query_prompt=space.query_prompt if takes_prompts else None,
        document_prompt=space.document_prompt if takes_prompts else None,
    )
    if space.dim < embedder.space.dim:
        embedder = TruncatedEmbedder(embedder, space.dim)
    found = embedder.space
    moved = found.provider == space.provider == "local" and found.revision == space.revision
    if moved and found.model != space.model:
        return _Renamed(embedder, replace(found, model=space.model))
    return embedder


class _Renamed(TruncatedEmbedder):
    """The same files under another folder name: their hash says that they are the same model."""

    def __init__(self, embedder: Embedder, space: Space) -> None:
        super().__init__(embedder, space.dim)
        self._space = space


def _api_shortens(model: str, dim: int) -> bool:
    try:
        known = find_known_model(model)
        known.space(dim)
    except InputError:
        return False
    return known.dimension_parameter == "dimensions"


def _builtin(name: str) -> Embedder:
    if name in _REPLACED:
        raise InputError(
            f"embedding model: {name!r} no longer ships with Kukla; allowed: {_REPLACED[name]!r}, which took "
            "its place and has another space, or static:FOLDER with the old model's folder"
        )
    if name not in known_models():
        raise InputError(
            f"embedding model: received {name!r}; allowed: {', '.join(map(repr, known_models()))}, "
            "static:FOLDER, st:FOLDER, st:ORGANISATION/MODEL, openai:MODEL"
        )
    return StaticEmbedder.load(_MODELS / name)


def _sentence_transformer(name: str, **options: str) -> Embedder:
    from kukla.embed.sentence_transformer import SentenceTransformerEmbedder

    return SentenceTransformerEmbedder.load(name, **options)  # type: ignore[arg-type]


def _openai(name: str, **options: str) -> Embedder:
    from kukla.embed.openai_compatible import OpenAIEmbedder

    return OpenAIEmbedder(name, **options)  # type: ignore[arg-type]


_KINDS: dict[str, tuple[tuple[str, ...], Callable[..., Embedder]]] = {
    "": ((), _builtin),
    "static": ((), StaticEmbedder.load),
    "st": (("query_prompt", "document_prompt"), _sentence_transformer),
    "openai": (("query_prompt", "document_prompt", "base_url"), _openai),
}
