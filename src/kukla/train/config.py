"""What a training run is told: the keys of its YAML file, each checked before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any

from kukla.checks import check_count
from kukla.errors import InputError, ReadError
from kukla.precision import Precision
from kukla.train.extra import import_yaml
from kukla.train.parts import LOSSES, DataPart, parse_parts
from kukla.train.schedule import parse_dims, parse_weights

__all__ = ["LOSSES", "TrainConfig", "read_config", "read_keys"]

_CHOICES = {
    "loss": LOSSES,
    "divergence": (None, "kl", "l2", "cosine"),
    "teacher": ("base", "self"),
    "heads": ("own", "shared"),
    "mixed": ("no", "bf16", "fp16"),
}
_COUNTS = {
    "dims_per_step": 1, "mini_batch": 1, "steps": 1, "batch": 1, "accumulate": 1, "seed": 0, "max_tokens": 1,
    "every": 1, "patience": 1, "static_dim": 1, "rows": 1,
}  # fmt: skip
_LEAST = {
    "epochs": 0.0, "learning_rate": 0.0, "warmup": 0.0, "scale": 0.0, "margin": 0.0, "divergence_weight": 0.0
}  # fmt: skip
_PATHS = ("dev", "tokenizer", "token_vectors")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A training run; ``docs/training.md`` tells what each key does.

    Raises
    ------
    InputError
        A value that cannot be, naming the key and what is allowed.
    """

    base: str
    data: str | tuple[DataPart, ...]
    out: str
    dims: tuple[int, ...]
    loss: str = "contrastive"
    columns: tuple[str, ...] | None = None
    label: str | None = None
    weights: str | tuple[float, ...] = "equal"
    dims_per_step: int | None = None
    precisions: tuple[str, ...] = ("float32",)
    divergence: str | None = None
    divergence_weight: float = 1.0
    teacher: str = "base"
    layers: bool = False
    keep_layers: tuple[int, ...] = ()
    heads: str = "own"
    mini_batch: int | None = None
    scale: float = 20.0
    margin: float = 0.5
    epochs: float = 1.0
    steps: int | None = None
    batch: int = 64
    accumulate: int = 1
    learning_rate: float = 2e-5
    warmup: float = 0.1
    seed: int = 0
    mixed: str = "no"
    max_tokens: int | None = None
    rows: int | None = None
    dev: str | None = None
    test: tuple[str, ...] = ()
    every: int = 50
    patience: int | None = None
    tokenizer: str | None = None
    token_vectors: str | None = None
    static_dim: int | None = None

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                shown = ", ".join(str(one) for one in allowed if one is not None)
                raise InputError(f"{name} must be one of {shown}, got {getattr(self, name)!r}")
        for name, count in _COUNTS.items():
            if getattr(self, name) is not None:
                check_count(getattr(self, name), what=name, least=count)
        for name, least in _LEAST.items():
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
            if not number or value < least or (value == 0 and name in ("epochs", "learning_rate", "scale")):
                raise InputError(f"{name} must be a number above {least:g}, got {value!r}")
        if not isinstance(self.data, str):
            object.__setattr__(self, "data", parse_parts(self.data, self.loss))
            told = [name for name in ("columns", "label", "rows") if getattr(self, name) is not None]
            if told:
                raise InputError(f"{', '.join(told)}: of several files, each has its own: name them in data")
        for name in ("base", "data", "out", *_PATHS):
            value = getattr(self, name)
            if name == "data" and isinstance(value, tuple):
                continue
            if not (isinstance(value, str) and value) and not (value is None and name in _PATHS):
                raise InputError(f"{name} must be a path or a name, got {value!r}")
        dims = parse_dims(self.dims)
        parse_weights(self.weights, dims)
        for precision in self.precisions:
            Precision.parse(precision)
        if self.warmup >= 1:
            raise InputError(f"warmup is a share of the steps, below 1, got {self.warmup!r}")
        if self.patience is not None and self.dev is None:
            raise InputError("patience needs dev: a BEIR folder that says when to stop")
        if self.layers and self.mini_batch is not None:
            raise InputError("layers and mini_batch do not go together: each replaces the forward pass")
        for count in self.keep_layers:
            check_count(count, what="keep_layers")
        if len(set(self.keep_layers)) < len(self.keep_layers):
            raise InputError(f"keep_layers: one is given twice in {', '.join(map(str, self.keep_layers))}")
        if self.keep_layers and not self.layers:
            raise InputError("keep_layers needs layers: true; otherwise only the last layer is trained")
        if self.loss == "divergence" and self.divergence is None:
            object.__setattr__(self, "divergence", "kl")

    @property
    def parts(self) -> tuple[DataPart, ...]:
        """The files of ``data``, each with its loss; one, where it is one path."""
        if isinstance(self.data, tuple):
            return self.data
        told = {"columns": self.columns, "label": self.label, "rows": self.rows}
        return (DataPart(path=self.data, loss=self.loss, **told),)  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: tuples are lists, at any depth."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return found

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> TrainConfig:
        """From keys and values; ``InputError`` names an unknown or a missing key."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(map(str, set(given) - known)):
            raise InputError(f"unknown keys {', '.join(unknown)}; allowed: {', '.join(sorted(known))}")
        if missing := [key for key in ("base", "data", "out", "dims") if given.get(key) is None]:
            raise InputError(
                f"a training run needs {', '.join(missing)}: in the configuration or as an option"
            )
        ready: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in given.items()
        }
        for key in ("columns", "test", "precisions", "dims", "keep_layers"):
            if isinstance(ready.get(key), str | int):
                ready[key] = (ready[key],)
        return cls(**ready)


def read_config(path: Path) -> dict[str, Any]:
    """The keys of a YAML file; paths in it that start with ``./`` or ``../`` are relative to it.

    Raises
    ------
    ReadError
        It cannot be read, is no YAML, or holds no keys.
    MissingExtraError
        Without PyYAML.
    """
    places = ("base", "data", "out", "test", *_PATHS)
    return read_keys(path, paths=places, numbers=tuple(_LEAST), such_as="base, data, out, dims")


def read_keys(path: Path, *, paths: Sequence[str], numbers: Sequence[str], such_as: str) -> dict[str, Any]:
    """The keys of a YAML file: ``paths`` and lists of them placed, ``numbers`` read, empty ones left out."""
    yaml = import_yaml()
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReadError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ReadError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise ReadError(f"{path}: holds {type(found).__name__}; expected keys such as {such_as}")
    # YAML 1.1 reads 2e-5 as a text: it wants a dot.
    for key in numbers:
        if isinstance(found.get(key), str):
            try:
                found[key] = float(found[key])
            except ValueError:
                continue

    def place(value: Any) -> Any:
        if isinstance(value, list):
            return [place(one) for one in value]
        if isinstance(value, dict) and "path" in value:
            return {**value, "path": place(value["path"])}
        relative = isinstance(value, str) and value.startswith(("./", "../"))
        return str(path.parent / value) if relative else value

    for key in paths:
        if key in found:
            found[key] = place(found[key])
    return {key: value for key, value in found.items() if value is not None}
