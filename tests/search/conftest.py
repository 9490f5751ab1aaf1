"""What searches are compared with: the same plan over all rows in plain NumPy, one query at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kukla import Nesting, Plan, Precision, Stage, kernels
from kukla.precision import encode_int8, encode_query_int8

Brute = Callable[..., tuple[list[Any], NDArray[np.float32]]]


@pytest.fixture(autouse=True)
def kernels_without_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the native build is missing, ask for NumPy: the warning about it is tested elsewhere."""
    if kernels.available() == ("numpy",):
        monkeypatch.setenv("KUKLA_KERNELS", "numpy")


@pytest.fixture(params=kernels.available())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """The test runs once per implementation that this machine has."""
    with kernels.use(request.param) as name:
        yield name


def stage_scores(
    stage: Stage, query: NDArray[np.float32], rows: NDArray[np.float32], nesting: Nesting, cosine: bool
) -> NDArray[np.float32]:
    """The scores of float32 rows ``(n, full)`` as the documentation of the stages defines them."""
    q, x = query[: stage.dim], rows[:, : stage.dim]
    norms = None
    if cosine and stage.dim < nesting.full:
        length = np.sqrt(np.square(q.astype(np.float64)).sum())
        q = (q / (length or 1.0)).astype(np.float32)
        norms = np.sqrt(np.square(x.astype(np.float64)).sum(axis=1)).astype(np.float32)
    if stage.precision is Precision.BINARY:
        return np.asarray(1 - ((q > 0) != (x > 0)).sum(axis=1) * (2 / stage.dim), dtype=np.float32)
    if stage.precision is Precision.INT8:
        total = np.zeros(len(x))
        for low, high in nesting.shells_of(stage.dim):
            codes, scales = encode_int8(x[:, low:high])
            q_codes, q_scales = encode_query_int8(q[None, low:high])
            dots = codes.astype(np.int64) @ q_codes[0].astype(np.int64)
            total += dots * (q_scales[0] * scales.astype(np.float64))
    else:
        stored = x.astype(stage.precision.value).astype(np.float64)
        total = stored @ q.astype(np.float64)
    if norms is not None:
        total = np.where(norms > 0, total / np.where(norms > 0, norms, 1), 0)
    return total.astype(np.float32) + np.float32(0)


@pytest.fixture(scope="session")
def brute() -> Brute:
    def run(
        plan: Plan | str,
        query: NDArray[np.float32],
        ids: Sequence[Any],
        rows: NDArray[np.float32],
        k: int,
        nesting: Sequence[int],
        *,
        cosine: bool,
    ) -> tuple[list[Any], NDArray[np.float32]]:
        order = sorted(range(len(ids)), key=lambda i: ids[i])
        ids, rows = [ids[i] for i in order], rows[order]
        chosen = np.arange(len(ids))
        scores = np.empty(0, dtype=np.float32)
        for stage in Plan.of(plan).stages:
            scores = stage_scores(stage, query, rows[chosen], Nesting(nesting), cosine)
            best = np.lexsort((chosen, -scores))[: stage.kept(k)]
            chosen, scores = chosen[best], scores[best]
        return [ids[i] for i in chosen], scores

    return run
