"""The first layers of a 2D Matryoshka model as a model of their own (Li et al. 2024, arXiv 2402.14776).

What is trained at an earlier layer is the pooled output of that layer. A model cut there must give just that,
so it is compared before anything is trained: an architecture that does something after its last layer, such
as a final norm, would give other vectors, and is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kukla.checks import check_count
from kukla.errors import InputError
from kukla.train.extra import import_torch

__all__ = ["check_layers", "first_layers", "layer_count"]

_PROBES = ("a red doll", "what is inside the smallest doll of all?")
_TOLERANCE = 1e-4


def layer_count(model: Any) -> int:
    """How many layers the transformer of a ``SentenceTransformer`` has.

    Raises
    ------
    InputError
        Its first part is no transformer, or its layers cannot be found.
    """
    return len(_layers(model)[2])


@contextmanager
def first_layers(model: Any, count: int) -> Iterator[None]:
    """Inside the block, the model has its first ``count`` layers only: as it encodes, and as it is saved.

    Raises
    ------
    InputError
        Not 1 to all of its layers; no layers that can be found.
    """
    import_torch("training a model")
    from torch.nn import ModuleList

    owner, name, layers = _layers(model)
    check_count(count, what="layers to keep", most=len(layers))
    config = model[0].auto_model.config
    kinds = getattr(config, "layer_types", None)
    config.num_hidden_layers = count
    if kinds is not None:
        config.layer_types = kinds[:count]
    setattr(owner, name, ModuleList(list(layers)[:count]))
    try:
        yield
    finally:
        setattr(owner, name, layers)
        config.num_hidden_layers = len(layers)
        if kinds is not None:
            config.layer_types = kinds


def check_layers(model: Any, keep: Sequence[int] = ()) -> None:
    """Refuse, before hours of training, what could not be cut after them.

    Parameters
    ----------
    model : SentenceTransformer
    keep : sequence of int
        Numbers of layers that models are wanted of: 1 to one less than all.

    Raises
    ------
    InputError
        Not so many layers; a cut model does not give what its last layer gave in the whole one.
    """
    torch = import_torch("training a model")
    _, _, layers = _layers(model)
    if wrong := [one for one in keep if one >= len(layers)]:
        raise InputError(
            f"keep_layers: the model has {len(layers)} layers; allowed: 1 to {len(layers) - 1}, "
            f"got {wrong[0]}"
        )
    trained = model.training
    model.eval()
    try:
        with torch.no_grad():
            inside = _pooled_layers(model)
            for count in range(1, len(layers)):
                with first_layers(model, count):
                    cut = _embed(model)
                if not torch.allclose(cut, inside[count], rtol=0.0, atol=_TOLERANCE):
                    raise InputError(
                        f"layers: {type(model[0].auto_model).__name__} does something after its last layer: "
                        f"its first {count} alone would not give what layer {count} gives in it"
                    )
    finally:
        model.train(trained)


def _pooled_layers(model: Any) -> list[Any]:
    """What each layer would give as the last, unit rows; the first is that of token embeddings."""
    config = model[0].auto_model.config
    before = config.output_hidden_states
    config.output_hidden_states = True
    try:
        features = model[0](_features(model))
    finally:
        config.output_hidden_states = before
    found = []
    for tokens in features["all_layer_embeddings"]:
        passed = {**features, "token_embeddings": tokens}
        for module in list(model)[1:]:
            passed = module(passed)
        found.append(_unit(passed["sentence_embedding"]))
    return found


def _embed(model: Any) -> Any:
    return _unit(model(_features(model))["sentence_embedding"])


def _features(model: Any) -> dict[str, Any]:
    from sentence_transformers.util import batch_to_device

    moved: dict[str, Any] = batch_to_device(model.preprocess(list(_PROBES)), model.device)
    return moved


def _unit(rows: Any) -> Any:
    from torch.nn.functional import normalize

    return normalize(rows.float(), dim=-1)


def _layers(model: Any) -> tuple[Any, str, Any]:
    """The list of layers, the module that holds it and its name there."""
    from torch.nn import ModuleList

    transformer = getattr(model[0], "auto_model", None)
    if transformer is None:
        raise InputError(
            "layers: only transformers have layers to train; this model's first part is "
            f"{type(model[0]).__name__}"
        )
    count = getattr(transformer.config, "num_hidden_layers", None)
    found = [
        (owner, name, child)
        for owner in transformer.modules()
        for name, child in owner.named_children()
        if isinstance(child, ModuleList) and len(child) == count
    ]
    if len(found) != 1:
        raise InputError(
            f"layers: {type(transformer).__name__} states {count} layers, and {len(found)} lists of so many "
            "parts were found in it: one is expected"
        )
    return found[0]
