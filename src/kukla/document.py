"""One document: what is stored beside a vector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Document", "DocumentId"]

DocumentId = int | str
"""An index holds ids of one type: 64-bit integers or non-empty strings."""


@dataclass(frozen=True, slots=True)
class Document:
    """An id with its text, JSON metadata and, where there is one, its vector.

    Parameters
    ----------
    id : int or str, optional
        ``None`` lets the index number the document.
    text : str, optional
    metadata : mapping, optional
        A JSON object.
    vector : ndarray of float, shape (dim,), optional
        What goes in is not changed; what ``Index.get`` hands out is float32, L2-normalised for a
        cosine index, and read-only.
    """

    id: DocumentId | None = None
    text: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    vector: NDArray[np.floating[Any]] | None = field(default=None, compare=False, repr=False)
