"""What ``kukla distill`` is told: the keys of its YAML file, each checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any

from kukla.checks import check_count
from kukla.errors import InputError
from kukla.train.config import read_keys
from kukla.train.schedule import parse_dims
from kukla.train.static.settings import Settings
from kukla.train.static.vocabulary import BYTE_PIECES

__all__ = ["BUILT_IN", "DistillConfig", "read_distill_config"]

_COUNTS = {
    "pieces": BYTE_PIECES + 1, "texts": 1, "max_tokens": 1, "regress_epochs": 1, "steps": 0, "batch": 2,
    "query_tokens": 1, "document_tokens": 1, "seed": 0, "threads": 1,
}  # fmt: skip
_RATES = ("regress_rate", "learning_rate", "scale", "similarity_weight")
_PATHS = ("pairs", "vocabulary", "sentence_transformer", "text_field")
_LISTS = ("corpus", "test", "columns", "dims")
_HARD = 128

BUILT_IN = "builtin"
"""As ``vocabulary``: that of the model that ships with Kukla."""


@dataclass(frozen=True, kw_only=True)
class DistillConfig:
    """A distillation; ``docs/distill.md`` tells what each key does.

    Raises
    ------
    InputError
        A value that cannot be, naming the key and what is allowed.
    """

    teacher: str
    out: str
    corpus: tuple[str, ...] = ()
    pairs: str | None = None
    columns: tuple[str, ...] | None = None
    text_field: str | None = None
    dims: tuple[int, ...] = (256, 128, 64, 32)
    vocabulary: str | None = None
    pieces: int = 32_000
    texts: int = 100_000
    max_tokens: int = 64
    regress_epochs: int = 8
    regress_rate: float = 0.01
    steps: int = 600
    batch: int = 1024
    learning_rate: float = 0.006
    scale: float = 20.0
    similarity_weight: float = 1.0
    query_tokens: int = 48
    document_tokens: int = 192
    seed: int = 0
    threads: int = 1
    test: tuple[str, ...] = ()
    sentence_transformer: str | None = None

    def __post_init__(self) -> None:
        for name, least in _COUNTS.items():
            check_count(getattr(self, name), what=name, least=least)
        for name in _RATES:
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
            if not number or value < 0 or (value == 0 and name != "similarity_weight"):
                raise InputError(f"{name} must be a number above 0, got {value!r}")
        for name in ("teacher", "out", *_PATHS):
            value = getattr(self, name)
            if not (isinstance(value, str) and value) and not (value is None and name in _PATHS):
                raise InputError(f"{name} must be a path or a name, got {value!r}")
        for name in ("corpus", "test"):
            given = getattr(self, name)
            if not isinstance(given, tuple) or not all(isinstance(one, str) and one for one in given):
                raise InputError(f"{name} must be a list of paths, got {given!r}")
        if not self.corpus and self.pairs is None:
            raise InputError("distilling needs texts: corpus, pairs, or both")
        if self.text_field is not None and not self.corpus:
            raise InputError("text_field is of the corpus; allowed with corpus")
        object.__setattr__(self, "dims", tuple(sorted(parse_dims(self.dims), reverse=True)))

    def settings(self, pairs: int) -> Settings:
        """How token vectors are trained on so many pairs: a third of the steps on hard batches."""
        batch = min(self.batch, pairs) if pairs else self.batch
        hard, easy = max(1, min(_HARD, batch // 8)), max(1, min(16, batch // 16))
        first = self.steps // 3
        return Settings(
            dims=self.dims,
            batch=batch,
            rounds=tuple(
                (block, steps) for block, steps in ((hard, first), (easy, self.steps - first)) if steps
            ),
            scale=self.scale,
            regress_epochs=self.regress_epochs,
            regress_rate=self.regress_rate,
            rate=self.learning_rate,
            similarity_batch=min(1024, batch),
            similarity_weight=self.similarity_weight,
            query_tokens=self.query_tokens,
            document_tokens=self.document_tokens,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> DistillConfig:
        """From keys and values; ``InputError`` names an unknown or a missing key."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(map(str, set(given) - known)):
            raise InputError(f"unknown keys {', '.join(unknown)}; allowed: {', '.join(sorted(known))}")
        if missing := [key for key in ("teacher", "out") if given.get(key) is None]:
            raise InputError(
                f"a distillation needs {', '.join(missing)}: in the configuration or as an option"
            )
        ready: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in given.items()
        }
        for key in _LISTS:
            if isinstance(ready.get(key), str | int):
                ready[key] = (ready[key],)
        return cls(**ready)


def read_distill_config(path: Path) -> dict[str, Any]:
    """The keys of a YAML file; paths in it that start with ``./`` or ``../`` are relative to it.

    Raises
    ------
    ReadError
        It cannot be read, is no YAML, or holds no keys.
    MissingExtraError
        Without PyYAML.
    """
    return read_keys(
        path,
        paths=("teacher", "out", "corpus", "test", *_PATHS),
        numbers=_RATES,
        such_as="teacher, corpus, out",
    )
