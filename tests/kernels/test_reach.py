"""bound_int8 and reach_int8: every implementation agrees to the bit with plain float32 arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kukla import Nesting, kernels
from kukla.errors import InputError, VectorError
from kukla.kernels import Checkpoint, Reached
from kukla.precision import encode_int8

NESTING = Nesting((7, 32, 64, 65, 320, 896))
"""Shells of 7, 25, 32, 1, 255 and 576: of one step of a register, of many, and with something left over."""
FIRST = 2
F32 = np.float32


class Case:
    """Unit rows whose energy falls along the coordinates, coded; queries of another kind."""

    def __init__(self, n: int, nq: int, *, seed: int = 0, nesting: Nesting = NESTING) -> None:
        rng = np.random.default_rng(seed)
        self.nesting = nesting
        falling = 1 / np.sqrt(1 + np.arange(nesting.full))
        self.rows = unit(rng.laplace(size=(n, nesting.full)) * falling)
        self.queries = unit(rng.laplace(size=(nq, nesting.full)) * falling[::-1] ** 0.1 * falling)
        shells = nesting.shells
        coded = [encode_int8(self.rows[:, low:high]) for low, high in shells]
        asked = [narrow(self.queries[:, low:high]) for low, high in shells]
        self.stored: dict[str, Any] = {
            "shells": [codes for codes, _ in coded],
            "scales": [scales for _, scales in coded],
            "query_codes": [codes for codes, _ in asked],
            "query_scales": np.ascontiguousarray(np.stack([scales for _, scales in asked], axis=1)),
            "margins": rng.uniform(0, 0.05, (nq, len(shells))).astype(F32),
        }
        self.norms = [lengths(self.rows[:, :high]) for _, high in shells[:-1]]
        self.tails = [lengths(self.queries[:, high:]) for _, high in shells[:-1]]

    def sums(self) -> np.ndarray:
        """float32 (S, nq, n): what is known of rows after each shell, in plain arithmetic."""
        total, lines = np.zeros((len(self.queries), len(self.rows)), F32), []
        for s in range(len(self.nesting.shells)):
            codes, scales = self.stored["shells"][s], self.stored["scales"][s]
            dots = (self.stored["query_codes"][s].astype(np.int64) @ codes.astype(np.int64).T).astype(F32)
            units = dots * self.stored["query_scales"][:, s, None] + self.stored["margins"][:, s, None]
            total = total + units * scales
            lines.append(total)
        return np.stack(lines)

    def bounds(self) -> np.ndarray:
        """float32 (S, nq, n), tails included."""
        lines = []
        for s, sums in enumerate(self.sums()):
            tail: Any = 0
            if s < len(self.norms):
                rest = np.maximum(F32(1) + F32(4e-6) - self.norms[s] * self.norms[s], F32(0))
                tail = self.tails[s][:, None] * np.sqrt(rest)
            lines.append(sums + tail)
        return np.stack(lines)

    def checkpoints(self, thresholds: np.ndarray, first: int = FIRST) -> list[Checkpoint]:
        known = zip([*self.norms, None], [*self.tails, None], strict=True)
        return [
            Checkpoint(s + 1, line, norm, tail)
            for s, (line, (norm, tail)) in enumerate(zip(thresholds, known, strict=True))
            if s >= first
        ]

    def reach(self, thresholds: np.ndarray, first: int = FIRST, **options: Any) -> Reached:
        totals, _, _ = kernels.bound_int8(**self.stored, count=first + 1, **options)
        points = self.checkpoints(thresholds, first)
        return kernels.reach_int8(**self.stored, totals=totals, checkpoints=points, **options)


def narrow(shell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scale = (np.abs(shell).max(axis=1) / 127).astype(F32)
    return np.rint(shell / scale[:, None]).astype(np.int8), scale


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(F32)


def lengths(part: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(part.astype(np.float64)).sum(axis=1)).astype(F32)


def expected(
    bounds: np.ndarray, thresholds: np.ndarray, mask: np.ndarray | None, first: int = FIRST
) -> tuple[list[list[int]], list[int]]:
    depth, nq, n = bounds.shape
    alive = np.tile(np.ones(n, bool) if mask is None else mask.astype(bool), (nq, 1))
    scored = []
    for c in range(first, depth):
        scored.append(int(alive.sum()))
        alive &= bounds[c] >= thresholds[c][:, None]
    return [np.flatnonzero(line).tolist() for line in alive], scored


def per_query(found: Reached) -> list[list[int]]:
    ends = zip(found.offsets[:-1], found.offsets[1:], strict=True)
    return [found.rows[low:high].tolist() for low, high in ends]


@pytest.mark.parametrize("n", [0, 1, 7, 17, 2100, 5003])
@pytest.mark.parametrize("count", [1, 3, 6])
def test_bounds_of_all_rows_and_the_largest(isa: str, n: int, count: int) -> None:
    case = Case(n, 3, seed=n)
    sums = case.sums()[count - 1]
    norms = None if count == 6 else case.norms[count - 1].copy()
    if norms is not None:
        norms[::5] = 0
    rng = np.random.default_rng(n)
    for mask in (None, rng.random(n) < 0.3, np.zeros(n, bool)):
        allowed = np.arange(n) if mask is None else np.flatnonzero(mask)
        for keep in (0, 1, 40, n + 3):
            totals, rows, values = kernels.bound_int8(
                **case.stored, count=count, keep=keep, norms=norms, mask=mask, threads=2
            )
            np.testing.assert_array_equal(totals[:, allowed], sums[:, allowed])
            ranked = sums
            if norms is not None:
                ranked = np.where(norms == 0, F32(0), sums / np.where(norms == 0, F32(1), norms))
            order = np.argsort(-ranked[:, allowed], axis=1, kind="stable")[:, :keep]
            np.testing.assert_array_equal(rows, allowed[order])
            np.testing.assert_array_equal(values, np.take_along_axis(ranked, rows, axis=1))


@pytest.mark.parametrize("n", [0, 1, 17, 2100, 33_003])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_the_rows_that_bounds_leave_open(isa: str, n: int, share: float) -> None:
    """Few, which are read one by one; many, where all of a run are; more than a block of rows."""
    case = Case(n, 3, seed=n, nesting=Nesting((7, 32, 160)) if n > 5000 else NESTING)
    bounds, first = case.bounds(), 0 if n > 5000 else FIRST
    thresholds = np.full(bounds.shape[:2], np.inf, F32)
    if n and share:
        thresholds[:] = np.quantile(bounds[-1], 1 - share, axis=1)
    rng = np.random.default_rng(n)
    for mask in (None, rng.random(n) < 0.3, np.zeros(n, bool)):
        found = case.reach(thresholds, first, mask=mask, threads=2)
        rows, scored = expected(bounds, thresholds, mask, first)
        assert per_query(found) == rows
        assert found.scored.tolist() == scored


def test_each_checkpoint_has_its_own_thresholds(isa: str) -> None:
    case = Case(900, 2)
    bounds = case.bounds()
    thresholds = np.quantile(bounds, 0.4, axis=2).astype(F32)
    rows, scored = expected(bounds, thresholds, None)
    assert scored[0] > scored[1] > scored[2] > scored[3]
    found = case.reach(thresholds)
    assert (per_query(found), found.scored.tolist()) == (rows, scored)


def test_more_queries_than_a_tile(isa: str) -> None:
    case = Case(300, 150)
    bounds = case.bounds()
    thresholds = np.broadcast_to(np.quantile(bounds[-1], 0.9, axis=1).astype(F32), bounds.shape[:2])
    assert per_query(case.reach(thresholds)) == expected(bounds, thresholds, None)[0]


def test_a_bound_that_is_no_number_rules_nothing_out(isa: str) -> None:
    case = Case(40, 1)
    case.stored["scales"][0][3] = np.nan  # before the first checkpoint
    case.stored["scales"][4][5] = np.nan  # after it
    case.norms[3][9] = np.nan
    everything = np.full((6, 1), np.inf, F32)
    assert case.reach(everything).rows.tolist() == [3]
    everything[FIRST:4] = -np.inf
    assert case.reach(everything).rows.tolist() == [3, 5]
    assert 9 in case.reach(np.full((6, 1), [[-9.0]] * 3 + [[9.0]] + [[-9.0]] * 2, F32)).rows


@pytest.mark.parametrize("sign", [1, -1])
def test_sums_do_not_overflow(isa: str, sign: int) -> None:
    """The widest rows of the largest codes: 65,536 products of -128 * 127."""
    for width in (31, 32, 2048, 65_536):
        shells = [np.full((9, width), -128, dtype=np.int8)]
        ones = np.ones((1, 1), F32)
        totals, _, _ = kernels.bound_int8(
            shells, [np.ones(9, F32)], [np.full((1, width), 127 * sign, np.int8)], ones, 0 * ones, 1
        )
        np.testing.assert_array_equal(totals, np.full((1, 9), -128 * 127 * sign * width, dtype=F32))


def test_arguments_that_do_not_fit() -> None:
    case = Case(5, 2)
    good = np.zeros((6, 2), F32)
    with pytest.raises(VectorError, match=r"thresholds of a checkpoint must be float32 \(2,\)"):
        case.reach(good.astype(np.float64))
    with pytest.raises(InputError, match="threads"):
        case.reach(good, threads=0)
    with pytest.raises(InputError, match="keep"):
        kernels.bound_int8(**case.stored, count=1, keep=-1)
    for count in (0, 7):
        with pytest.raises(VectorError, match=r"count must be in 1\.\.6"):
            kernels.bound_int8(**case.stored, count=count)
    totals, _, _ = kernels.bound_int8(**case.stored, count=6)
    for points in (
        [],
        case.checkpoints(good, 0)[:2],
        case.checkpoints(good)[::-1],
        [Checkpoint(6, good[0]), Checkpoint(6, good[0])],
    ):
        with pytest.raises(VectorError, match="checkpoints must rise"):
            kernels.reach_int8(**case.stored, totals=totals, checkpoints=points)
    with pytest.raises(VectorError, match="query_tails"):
        kernels.reach_int8(
            **case.stored, totals=totals, checkpoints=[Checkpoint(6, good[0], np.zeros(5, F32))]
        )
    with pytest.raises(VectorError, match="totals must have shape"):
        kernels.reach_int8(**case.stored, totals=totals[:, 1:].copy(), checkpoints=case.checkpoints(good, 5))
    for name, wrong, says in (
        ("margins", np.zeros((2, 5), F32), "margins must have shape"),
        ("query_scales", np.zeros((2, 6)), "query_scales must have dtype float32"),
        ("query_codes", [np.full_like(codes, -128) for codes in case.stored["query_codes"]], "got -128"),
    ):
        with pytest.raises(VectorError, match=says):
            kernels.bound_int8(**{**case.stored, name: wrong}, count=1)
