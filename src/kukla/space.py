"""Space: the identity of an embedding space. Vectors of two spaces never meet.

Two vectors can be compared only when the same steps made them. The order is always

    pool -> layer norm -> project -> truncate -> L2-normalise -> quantise

A :class:`Space` states what happened up to the model's own output: who made the vectors, how tokens were
pooled, whether the model's layer norm ran, which prompts were put before the text, and whether the output is
already L2-normalised. Projecting, truncating and quantising are the index's own steps and are recorded there.

A name is a promise that a provider can break silently: a hosted model is replaced, a local one is loaded in
another quantisation. *Canaries* turn the name into a test. They are a few texts stored with the vectors that
the model gave for them; encoding them again shows whether it is still the same model.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.errors import InputError, SpaceError

__all__ = ["CANARY_TOLERANCE", "DEFAULT_CANARIES", "Encode", "Space"]

Encode = Callable[[Sequence[str]], NDArray[Any]]
"""Texts to vectors: n texts -> a real array of shape (n, dim), rows in the order of the texts."""

CANARY_TOLERANCE = 1e-3
"""How far below 1 the cosine between two vectors of one canary text may fall.

Batch size, hardware and float16 against float32 move it by about 1e-6 to 1e-4, so they pass. Another model,
another training run, a missing prompt or a coarse weight quantisation move it by 1e-2 and more, so they fail.
"""

DEFAULT_CANARIES = (
    "The library opens at nine, but the reading room stays quiet until the students come back from lunch.",
    "def area(radius: float) -> float:\n    return 3.14159 * radius**2  # no units, no checks",
    "Матрёшка прячет в себе ещё одну куклу, а та — следующую, поменьше.",
    "春天的雨下了一整夜，早上河水涨了。",
    "2026-11-21 04:05:06 | order 88172 | 3 x 19.99 = 59.97 EUR",
)
"""English prose, code, two other scripts, digits: a new tokeniser or training run shows in one of them."""

# What changes the vectors. Trained dims do not: they say where a prefix is good, not what a coordinate holds.
_IDENTITY = (
    "provider",
    "model",
    "revision",
    "dim",
    "query_prompt",
    "document_prompt",
    "pooling",
    "layer_norm",
    "normalised",
)
_UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, repr=False)
class Space:
    """The identity of an embedding space: immutable, hashable, comparable, JSON-able.

    Parameters
    ----------
    provider, model : str
        Who makes the vectors and with what, e.g. ``"openai"``, ``"text-embedding-3-small"``. Not empty.
    revision : str
        Commit, date or checksum of the weights; empty when the provider states none.
    dim : int
        Coordinates of one whole vector, >= 1.
    trained_dims : tuple of int
        Prefix lengths that the maker says it trained: ascending, unique, in 1..dim. A claim, not a
        measurement; empty when none is stated. Not part of what :meth:`check_same` compares.
    query_prompt, document_prompt : str
        What is put before a query and before a document; empty means nothing.
    pooling : str
        ``"mean"``, ``"cls"``, ``"last"``, ...; empty when not stated.
    layer_norm : bool
        Whether a layer norm without weights is applied to the pooled vector, before any truncation.
    normalised : bool
        Whether whole vectors arrive with L2 norm 1.
    canary_texts : tuple of str
        Texts whose vectors are known; unique.
    canary_vectors : tuple of tuple of float
        One vector of length ``dim`` for each canary text: finite, not all zero.

    Raises
    ------
    InputError
        A field has the wrong type or a value that is not allowed; the message names the field.

    Example
    -------
    >>> Space(provider="openai", model="text-embedding-3-small", dim=1536)
    Space(provider='openai', model='text-embedding-3-small', dim=1536)
    """

    provider: str
    model: str
    revision: str = ""
    dim: int
    trained_dims: tuple[int, ...] = ()
    query_prompt: str = ""
    document_prompt: str = ""
    pooling: str = ""
    layer_norm: bool = False
    normalised: bool = True
    canary_texts: tuple[str, ...] = ()
    canary_vectors: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        for name in ("provider", "model", "revision", "query_prompt", "document_prompt", "pooling"):
            _require(isinstance(getattr(self, name), str), name, getattr(self, name), "a string")
        for name in ("provider", "model"):
            _require(getattr(self, name).strip() != "", name, getattr(self, name), "a string, not empty")
        for name in ("layer_norm", "normalised"):
            _require(isinstance(getattr(self, name), bool), name, getattr(self, name), "True or False")
        _require(_is_int(self.dim) and self.dim >= 1, "dim", self.dim, "an integer >= 1")
        self._check_trained_dims()
        self._check_canary_shape()

    def _check_trained_dims(self) -> None:
        dims = self.trained_dims
        typed = isinstance(dims, tuple) and all(map(_is_int, dims))
        _require(typed, "trained_dims", dims, "a tuple of integers")
        inside = all(1 <= d <= self.dim for d in dims)
        ascending = all(a < b for a, b in pairwise(dims))
        allowed = f"ascending, unique integers in 1..{self.dim}"
        _require(inside and ascending, "trained_dims", dims, allowed)

    def _check_canary_shape(self) -> None:
        texts, vectors = self.canary_texts, self.canary_vectors
        _require(
            isinstance(texts, tuple) and all(isinstance(t, str) for t in texts),
            "canary_texts",
            texts,
            "a tuple of strings",
        )
        _require(len(set(texts)) == len(texts), "canary_texts", texts, "unique strings")
        _require(
            isinstance(vectors, tuple) and all(isinstance(v, tuple) for v in vectors),
            "canary_vectors",
            type(vectors).__name__,
            "a tuple of tuples of floats",
        )
        if len(texts) != len(vectors):
            raise InputError(
                f"space: received {len(texts)} canary_texts and {len(vectors)} canary_vectors; "
                "allowed: one vector for each text"
            )
        for text, vector in zip(texts, vectors, strict=True):
            where = f"canary_vectors, the vector of {_short(text)}"
            _require(len(vector) == self.dim, where, f"{len(vector)} coordinates", f"{self.dim}")
            for x in vector:
                _require(isinstance(x, float) and math.isfinite(x), where, x, "finite floats")
            _require(any(vector), where, "all zeros", "a vector with a direction")

    @classmethod
    def unknown(cls, dim: int) -> Space:
        """The space of vectors whose maker was not declared, e.g. arrays added without a space.

        It matches every space of the same ``dim``: nothing else is known about it, so nothing else can be
        refused. Declare the space to be protected.
        """
        return cls(provider=_UNKNOWN, model=_UNKNOWN, dim=dim)

    @property
    def is_unknown(self) -> bool:
        """Whether the maker of these vectors was not declared."""
        return self.provider == _UNKNOWN

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able dictionary with every field; :meth:`from_dict` is its inverse."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values["trained_dims"] = list(self.trained_dims)
        values["canary_texts"] = list(self.canary_texts)
        values["canary_vectors"] = [list(vector) for vector in self.canary_vectors]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Space:
        """The space that :meth:`to_dict` wrote.

        Raises
        ------
        InputError
            A key is missing, a key is unknown, or a value is not allowed.
        """
        if not isinstance(values, Mapping):
            raise InputError(f"space: received {type(values).__name__}; allowed: a dictionary")
        known = [field.name for field in dataclasses.fields(cls)]
        missing = [name for name in known if name not in values]
        extra = sorted(str(name) for name in values if name not in known)
        if missing or extra:
            raise InputError(f"space: missing keys {missing}, unknown keys {extra}; allowed: exactly {known}")
        ready = dict(values)
        for name in ("trained_dims", "canary_texts", "canary_vectors"):
            _require(isinstance(ready[name], list | tuple), name, type(ready[name]).__name__, "a list")
            ready[name] = tuple(ready[name])
        ready["canary_vectors"] = tuple(_floats(vector) for vector in ready["canary_vectors"])
        return cls(**ready)

    def with_canaries(self, encode: Encode, texts: Sequence[str] = DEFAULT_CANARIES) -> Space:
        """A copy of this space that knows the vectors of ``texts``.

        Parameters
        ----------
        encode : callable
            Encodes documents as this space says (with its prompt): n texts -> a real (n, dim) array.
        texts : sequence of str
            Unique texts; they replace the canaries this space has.

        Notes
        -----
        Vectors are kept to 7 significant digits, as much as a float32 holds: that moves a cosine by less
        than 1e-12 and halves the stored text.

        Raises
        ------
        InputError
            ``encode`` returned an array of the wrong shape, or values that are not finite.
        """
        vectors = _encode(encode, tuple(texts), self.dim)
        rounded = tuple(tuple(float(f"{x:.7g}") for x in row) for row in vectors.tolist())
        return dataclasses.replace(self, canary_texts=tuple(texts), canary_vectors=rounded)

    def check_same(self, other: Space, *, doing: str, tolerance: float = CANARY_TOLERANCE) -> None:
        """Refuse ``other`` unless its vectors may meet the vectors of this space.

        Every field that changes vectors must be equal; trained dims may differ. When one of the two is
        unknown only ``dim`` can be compared. Canary texts that both have are compared by cosine, never by
        equality; texts that only one has are ignored.

        Parameters
        ----------
        other : Space
            The space of the vectors that arrive.
        doing : str
            What was going on, for the message: ``"adding documents"``.
        tolerance : float
            How far below 1 a canary's cosine may fall, in 0..2.

        Raises
        ------
        SpaceError
            The spaces differ; the message lists every difference as mine/theirs and what is allowed.
        """
        names = ("dim",) if self.is_unknown or other.is_unknown else _IDENTITY
        wrong = [
            f"{name}: mine {getattr(self, name)!r}, theirs {getattr(other, name)!r}; allowed: equal"
            for name in names
            if getattr(self, name) != getattr(other, name)
        ]
        if self.dim == other.dim:
            theirs = dict(zip(other.canary_texts, other.canary_vectors, strict=True))
            shared = [text for text in self.canary_texts if text in theirs]
            wrong += self._moved(shared, [theirs[text] for text in shared], tolerance)
        if wrong:
            raise SpaceError(
                f"{doing}: vectors of two embedding spaces would meet, mine {self} and theirs {other}:\n  "
                + "\n  ".join(wrong)
                + "\n  to go on, take the model that made the stored vectors, or embed the texts again"
            )

    def check_canaries(self, encode: Encode, *, tolerance: float = CANARY_TOLERANCE) -> bool:
        """Encode the canary texts again and refuse a model that has moved.

        Parameters
        ----------
        encode : callable
            As in :meth:`with_canaries`.
        tolerance : float
            How far below 1 a canary's cosine may fall, in 0..2.

        Returns
        -------
        bool
            True when canaries were compared and all agree; False when this space has none, so that nothing
            was checked.

        Raises
        ------
        SpaceError
            The model gives other vectors; the message names each text, its cosine and the least allowed.
        InputError
            ``encode`` returned an array of the wrong shape, or values that are not finite.
        """
        if not self.canary_texts:
            return False
        vectors = _encode(encode, self.canary_texts, self.dim)
        wrong = self._moved(self.canary_texts, vectors, tolerance)
        if wrong:
            raise SpaceError(
                f"checking canaries: the model no longer gives the vectors of {self}:\n  "
                + "\n  ".join(wrong)
            )
        return True

    def _moved(self, texts: Sequence[str], vectors: Any, tolerance: float) -> list[str]:
        """One line for each of ``texts`` whose vector is not the canary vector of this space."""
        if not 0 <= tolerance <= 2:
            raise InputError(f"tolerance: received {tolerance!r}; allowed: a number in 0..2")
        mine = dict(zip(self.canary_texts, self.canary_vectors, strict=True))
        lines = []
        for text, vector in zip(texts, vectors, strict=True):
            found = _cosine(mine[text], vector)
            if found < 1 - tolerance:
                least = f"allowed: at least {1 - tolerance:.6g}"
                lines.append(f"canary {_short(text)}: cosine {found:.6f}; {least}")
        return lines

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        name = _UNKNOWN if self.is_unknown else f"{self.provider}/{self.model}{revision}"
        return f"{name} ({self.dim} dims)"

    def __repr__(self) -> str:
        """Fields that differ from their defaults; of the canaries only how many there are."""
        shown = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in dataclasses.fields(self)
            if not field.name.startswith("canary") and getattr(self, field.name) != field.default
        ]
        if self.canary_texts:
            shown.append(f"<{len(self.canary_texts)} canaries>")
        return f"Space({', '.join(shown)})"


def _require(valid: bool, field: str, received: object, allowed: str) -> None:
    if not valid:
        raise InputError(f"space, {field}: received {received!r}; allowed: {allowed}")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _floats(vector: object) -> tuple[Any, ...]:
    """JSON writes 1.0 as 1 in some languages, so whole numbers are accepted too."""
    _require(isinstance(vector, list | tuple), "canary_vectors", type(vector).__name__, "lists of floats")
    numbers: Sequence[Any] = vector  # type: ignore[assignment]
    try:
        return tuple(float(x) if _is_int(x) else x for x in numbers)
    except OverflowError:
        raise InputError("space, canary_vectors: received an integer too large; allowed: floats") from None


def _encode(encode: Encode, texts: tuple[str, ...], dim: int) -> NDArray[np.float64]:
    vectors = np.asarray(encode(texts))
    if vectors.shape != (len(texts), dim):
        raise InputError(f"encode, canaries: received shape {vectors.shape}; allowed: ({len(texts)}, {dim})")
    if vectors.dtype.kind not in "fiu":
        raise InputError(f"encode, canaries: received dtype {vectors.dtype}; allowed: a real number type")
    if not np.isfinite(vectors).all():
        raise InputError("encode, canaries: received NaN or infinity; allowed: finite values")
    return vectors.astype(np.float64)


def _cosine(a: Sequence[float], b: Sequence[float] | NDArray[np.float64]) -> float:
    """Cosine in float64; 0 for a zero vector, which has no direction and so never matches."""
    # Scaling by the largest entry first keeps the squares from overflowing or vanishing.
    x, y = (np.asarray(v, dtype=np.float64) for v in (a, b))
    largest_x, largest_y = np.abs(x).max(), np.abs(y).max()
    if largest_x == 0 or largest_y == 0:
        return 0.0
    x, y = x / largest_x, y / largest_y
    return float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)))
