"""What a choice is measured on: nothing that is found because it is there twice."""

from __future__ import annotations

import numpy as np
import pytest

from kukla.errors import InputError
from kukla.projection.held_out import split

ROWS = np.random.default_rng(0).standard_normal((300, 16)).astype(np.float32)
QUERIES = np.random.default_rng(1).standard_normal((60, 16)).astype(np.float32)


def _split(
    rows: np.ndarray, queries: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    notes: list[str] = []
    documents, held_out, fitting = split(rows, queries, 1000, "cosine", np.random.default_rng(0), notes)
    return documents, held_out, np.empty((0, 16)) if fitting is None else fitting, notes


def _shared(first: np.ndarray, second: np.ndarray) -> int:
    return len({row.tobytes() for row in first} & {row.tobytes() for row in second})


def test_plain_queries_are_halved_and_nothing_is_noted() -> None:
    documents, held_out, fitting, notes = _split(ROWS, QUERIES)
    assert (len(documents), len(held_out), len(fitting), notes) == (300, 30, 30, [])
    assert _shared(held_out, fitting) == 0


def test_queries_that_are_documents_do_not_search_themselves() -> None:
    documents, held_out, fitting, notes = _split(ROWS, ROWS[:100])
    assert (len(documents), len(held_out), len(fitting)) == (250, 50, 50)
    assert _shared(documents, held_out) == 0
    assert _shared(documents, fitting) == 50  # what is fitted on may be searched
    assert notes == [
        "50 held-out queries are among the vectors: none searches itself, those vectors are left out; "
        "real queries differ"
    ]


def test_copies_count_once_on_either_side() -> None:
    documents, held_out, _, notes = _split(np.repeat(ROWS, 2, axis=0), np.repeat(QUERIES, 3, axis=0))
    assert (len(documents), len(held_out)) == (300, 30)
    assert notes == [
        "300 exact copies of other vectors left out",
        "120 exact copies of other queries left out",
    ]


def test_copies_are_no_queries() -> None:
    with pytest.raises(InputError, match="at least 20 different queries, got 5"):
        _split(ROWS, np.repeat(QUERIES[:5], 20, axis=0))
