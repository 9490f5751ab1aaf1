"""The answer of an embedding API, checked before it is believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.errors import ServiceError

__all__ = ["read_vectors"]


def read_vectors(answer: Any, *, rows: Sequence[int], dim: int | None, source: str) -> NDArray[np.float64]:
    """The vectors of an answer, in the order of what was asked.

    Parameters
    ----------
    answer : parsed JSON
        ``{"data": [{"index": 0, "embedding": [...]}, ...]}``, in any order.
    rows : sequence of int
        For each text that was asked the number that a message shall call it by.
    dim : int or None
        The dim that is required; None requires only that all are alike.
    source : str
        The address, for messages.

    Returns
    -------
    float64 array, shape (len(rows), dim)
        Finite, no row all zeros, within float32; not normalised.

    Raises
    ------
    ServiceError
        Too few or too many vectors, an index missing or twice, another dim, NaN, infinity, zeros, no numbers.
    """
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list):
        raise ServiceError(f"{source}: the answer has no list 'data'; is this an OpenAI-compatible API?")
    if len(data) != len(rows):
        raise ServiceError(f"{source}: {len(data)} vectors for {len(rows)} texts")
    found: dict[int, Any] = {}
    for item in data:
        index = item.get("index") if isinstance(item, dict) else None
        if type(index) is not int or not 0 <= index < len(rows) or index in found:
            raise ServiceError(
                f"{source}: a vector has the index {index!r}; allowed: each of 0..{len(rows) - 1} once"
            )
        found[index] = item.get("embedding")
    first = found[0]
    width = dim or (len(first) if isinstance(first, list) else 0)
    vectors = np.empty((len(rows), width))
    for index, row in enumerate(rows):
        vectors[index] = _vector(found[index], width, f"{source}: the vector of text {row}")
    return vectors


def _vector(values: Any, dim: int, what: str) -> NDArray[np.float64]:
    if not isinstance(values, list) or not values:
        raise ServiceError(f"{what} is {type(values).__name__}; allowed: a list of numbers")
    if len(values) != dim:
        raise ServiceError(f"{what} has {len(values)} dims; the model's others have {dim}")
    if not all(type(value) in (int, float) for value in values):
        raise ServiceError(f"{what} holds what is no number")
    try:
        vector = np.array(values, dtype=np.float64)
    except OverflowError:
        raise ServiceError(f"{what} holds a number beyond float64") from None
    # Beyond float32 is infinity where it is kept.
    if not (np.abs(vector) <= np.finfo(np.float32).max).all():
        raise ServiceError(f"{what} holds NaN or infinity")
    if not vector.astype(np.float32).any():
        raise ServiceError(f"{what} is all zeros")
    return vector
