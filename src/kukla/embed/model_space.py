"""What space the vectors of a sentence-transformers model live in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kukla.embed.revision import folder_revision
from kukla.errors import InputError, ReadError
from kukla.known_models import KnownModel, find_known_model
from kukla.space import Space

__all__ = ["model_dim", "model_space"]

_QUERY_NAMES = ("query",)
_DOCUMENT_NAMES = ("document", "passage", "corpus")  # the order in which sentence-transformers looks


def model_space(model: Any, name: str | Path) -> Space:
    """The space of a loaded model: its own ``space.json``, else made of what the model and its maker say.

    Parameters
    ----------
    model : sentence_transformers.SentenceTransformer
    name : str or Path
        What it was loaded from: a folder, or a name on the hub.

    Raises
    ------
    ReadError
        ``space.json`` is damaged, or the model's dim is not the one it or its maker states.
    """
    folder = Path(name)
    if not folder.is_dir():
        return _hub_space(model, str(name))
    stated = _read_space(folder)
    if stated is None:
        return _local_space(model, folder)
    if stated.dim != model_dim(model):
        raise ReadError(
            f"{folder / 'space.json'}: states {stated.dim} dims; the model has {model_dim(model)}"
        )
    return stated


def model_dim(model: Any) -> int:
    """Coordinates of one whole vector."""
    get = getattr(model, "get_embedding_dimension", None) or model.get_sentence_embedding_dimension
    if (dim := get()) is None:  # a model whose last module does not say
        return int(model.encode(["a"], show_progress_bar=False).shape[1])
    return int(dim)


def _read_space(folder: Path) -> Space | None:
    path = folder / "space.json"
    if not path.is_file():
        return None
    try:
        return Space.from_dict(json.loads(path.read_bytes()))
    except (ValueError, InputError) as error:
        raise ReadError(f"{path}: {error}") from None


def _local_space(model: Any, folder: Path) -> Space:
    query, document = _own_prompts(model)
    return Space(
        provider="local",
        model=folder.resolve().name or "model",
        revision=folder_revision(folder),
        dim=model_dim(model),
        query_prompt=query or "",
        document_prompt=document or "",
        pooling=_pooling(model),
    )


def _hub_space(model: Any, name: str) -> Space:
    try:
        known: KnownModel | None = find_known_model(name)
    except InputError:
        known = None
    dim = model_dim(model)
    if known is not None and (known.dim < dim or (dim != known.dim and dim not in known.trained_dims)):
        raise ReadError(f"st:{name}: the model has {dim} dims; allowed: {known.dim}, as its maker says")
    query, document = _own_prompts(model)
    if known is not None and not known.provider_adds_prompt:
        query = query or known.query_prompt
        document = document or known.document_prompt
    provider, _, title = name.rpartition("/")
    return Space(
        provider=provider or "sentence-transformers",  # what the library itself puts before a bare name
        model=title,
        revision=_commit(model),
        dim=dim,
        trained_dims=() if known is None else tuple(d for d in known.trained_dims if d <= dim),
        query_prompt=query or "",
        document_prompt=document or "",
        pooling=_pooling(model),
    )


def _own_prompts(model: Any) -> tuple[str | None, str | None]:
    """The prompts of the model's own configuration, which the library would use."""
    prompts: dict[str, str] = getattr(model, "prompts", None) or {}
    found = []
    for names in (_QUERY_NAMES, _DOCUMENT_NAMES):
        name = next((name for name in names if name in prompts), model.default_prompt_name)
        found.append(prompts.get(name) if name else None)
    return found[0], found[1]


def _pooling(model: Any) -> str:
    for module in model:
        mode = getattr(module, "pooling_mode", None)
        if mode is None and hasattr(module, "get_pooling_mode_str"):  # before 5.2
            mode = module.get_pooling_mode_str()
        if mode is not None:
            text = mode if isinstance(mode, str) else "+".join(mode)
            return "last" if text == "lasttoken" else text
        if type(module).__name__ == "StaticEmbedding":
            return "mean"
    return ""


def _commit(model: Any) -> str:
    for module in model:
        config = getattr(getattr(module, "auto_model", None), "config", None)
        if commit := getattr(config, "_commit_hash", None):
            return str(commit)
    return ""
