"""reach_int8: every implementation finds the rows that plain arithmetic says can reach a threshold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kukla import Nesting, kernels
from kukla.errors import InputError, VectorError
from kukla.kernels import Checkpoint, Reached
from kukla.precision import encode_int8, encode_query_int8

NESTING = Nesting((7, 32, 33, 160))


class Case:
    """Unit rows whose energy falls along the coordinates, coded; queries of another kind."""

    def __init__(self, n: int, nq: int, *, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        falling = 1 / np.sqrt(1 + np.arange(NESTING.full))
        self.rows = unit(rng.laplace(size=(n, NESTING.full)) * falling)
        self.queries = unit(rng.laplace(size=(nq, NESTING.full)) * falling[::-1] ** 0.1 * falling)
        shells = NESTING.shells
        coded = [encode_int8(self.rows[:, low:high]) for low, high in shells]
        asked = [encode_query_int8(self.queries[:, low:high]) for low, high in shells]
        self.stored: dict[str, Any] = {
            "shells": [codes for codes, _ in coded],
            "scales": [scales for _, scales in coded],
            "query_codes": [codes for codes, _ in asked],
            "query_scales": np.ascontiguousarray(np.stack([scales for _, scales in asked], axis=1)),
        }
        self.margins = rng.uniform(0, 5, (nq, len(shells)))
        self.checkpoints = [
            Checkpoint(s + 1, norms(self.rows[:, :high]), tails(self.queries[:, high:]))
            if high < NESTING.full
            else Checkpoint(s + 1)
            for s, (_, high) in enumerate(shells)
        ]

    def bounds(self) -> np.ndarray:
        """float64 (checkpoints, nq, n), in plain arithmetic."""
        total = np.zeros((len(self.queries), len(self.rows)))
        lines = []
        for s, point in enumerate(self.checkpoints):
            codes, scales = self.stored["shells"][s], self.stored["scales"][s].astype(np.float64)
            dots = self.stored["query_codes"][s].astype(np.int64) @ codes.astype(np.int64).T
            units = dots * self.stored["query_scales"][:, s, None] + self.margins[:, s, None]
            total = total + units * scales
            bound = total
            if point.norms is not None:
                rest = np.maximum(1 + 1e-6 - point.norms.astype(np.float64) ** 2, 0)
                bound = total + point.query_tails[:, None] * np.sqrt(rest)
            lines.append(bound)
        return np.stack(lines)

    def reach(self, thresholds: np.ndarray, **options: Any) -> Reached:
        return kernels.reach_int8(
            **self.stored,
            margins=self.margins,
            thresholds=thresholds,
            checkpoints=self.checkpoints,
            **options,
        )


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def norms(prefix: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(prefix.astype(np.float64)).sum(axis=1)).astype(np.float32)


def tails(rest: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(rest.astype(np.float64)).sum(axis=1))


def expected(
    bounds: np.ndarray, thresholds: np.ndarray, mask: np.ndarray | None, starts: np.ndarray
) -> tuple[list[list[int]], list[int]]:
    depth, nq, n = bounds.shape
    alive = np.tile(np.ones(n, bool) if mask is None else mask.astype(bool), (nq, 1))
    scored = []
    for c in range(depth):
        scored.append(int(alive.sum()))
        alive &= (bounds[c] >= thresholds[:, None]) | (c < starts)[:, None]
    return [np.flatnonzero(line).tolist() for line in alive], scored


@pytest.mark.parametrize("n", [0, 1, 17, 2100, 5003])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_the_rows_that_bounds_leave_open(isa: str, n: int, share: float) -> None:
    case = Case(n, 3, seed=n)
    bounds = case.bounds()
    thresholds = np.quantile(bounds[-1], 1 - share, axis=1) if n else np.zeros(3)
    thresholds = np.where(share == 0, np.inf, thresholds)
    rng = np.random.default_rng(n)
    for mask in (None, rng.random(n) < 0.3, np.zeros(n, bool)):
        for starts in (np.array([0, 0, 0]), np.array([0, 2, 3])):
            found = case.reach(thresholds, mask=mask, starts=starts, threads=2)
            rows, scored = expected(bounds, thresholds, mask, starts)
            assert [
                found.rows[low:high].tolist()
                for low, high in zip(found.offsets[:-1], found.offsets[1:], strict=True)
            ] == rows
            assert found.scored.tolist() == scored


def test_more_queries_than_a_tile(isa: str) -> None:
    case = Case(300, 150)
    thresholds = np.quantile(case.bounds()[-1], 0.9, axis=1)
    found = case.reach(thresholds)
    rows, _ = expected(case.bounds(), thresholds, None, np.zeros(150, int))
    assert found.rows.tolist() == [row for line in rows for row in line]


def test_a_bound_that_is_no_number_rules_nothing_out(isa: str) -> None:
    case = Case(5, 1)
    case.stored["scales"][0][3] = np.nan
    assert case.reach(np.array([np.inf])).rows.tolist() == [3]


def test_arguments_that_do_not_fit() -> None:
    case = Case(5, 2)
    good = np.zeros(2)
    for wrong, says in (
        ({"thresholds": np.zeros(3)}, "thresholds"),
        ({"thresholds": np.zeros(2, np.float32)}, "float64"),
        ({"thresholds": good, "starts": np.array([0, 4])}, r"starts must be in 0\.\.3"),
        ({"thresholds": good, "starts": np.array([0, -1])}, "starts"),
    ):
        with pytest.raises(VectorError, match=says):
            case.reach(**wrong)
    with pytest.raises(InputError, match="threads"):
        case.reach(good, threads=0)
    for points in ([], case.checkpoints[:2], case.checkpoints[::-1], [Checkpoint(4), Checkpoint(4)]):
        case.checkpoints = points
        with pytest.raises(VectorError, match="checkpoints must rise"):
            case.reach(good)
    case.checkpoints = [Checkpoint(4, np.zeros(5, np.float32))]
    with pytest.raises(VectorError, match="query_tails"):
        case.reach(good)
