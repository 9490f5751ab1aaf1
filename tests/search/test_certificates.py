"""What a certificate says is so: certified answers are those of an exact search, to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.search.test_execute import fast_folder

from kukla import Index, Nesting, kernels
from kukla.errors import InputError
from kukla.evaluate.recall import exact_plan
from kukla.precision import Precision, encode_int8, encode_query_int8
from kukla.projection import fit_pca
from kukla.search.bounds import QueryBounds
from kukla.search.narrow import NarrowBounds
from kukla.storage.layout import Layout

DIM = 48
NESTING = (8, 16, 24, DIM)
PRECISIONS = (
    ("int8", "float32"),
    ("binary", "int8", "float16"),
    ("int8", "float16", "float32"),
    ("binary", "float32"),
    ("float16",),
)
PLANS = (None, "8:int8@12 > 48:float", "48:int8@4x > 48:float", "8:int8", "16:int8@10 > 24:int8")


@pytest.fixture(params=kernels.available())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    with kernels.use(request.param) as name:
        yield name


def rows_like(kind: str, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    falling = 1 / np.sqrt(1 + np.arange(DIM) / 2)
    centres = rng.laplace(size=(6, DIM))
    rows = (centres[rng.integers(0, 6, count)] + rng.laplace(size=(count, DIM))) * falling
    if kind == "duplicates":
        rows[count // 2 :] = rows[: count - count // 2]
    if kind == "all equal":
        rows[:] = rows[0]
    if kind == "near ties":
        rows = rows[:1] + 1e-7 * rows
    if kind == "huge and tiny":
        rows *= 10.0 ** rng.integers(-18, 16, (count, 1))
    if kind == "one coordinate":
        rows *= rng.integers(0, 2, (count, DIM)) * (np.arange(DIM) < 9)
        rows[:, 0] += 1
    return rows.astype(np.float32)


KINDS = ("clusters", "duplicates", "all equal", "near ties", "huge and tiny", "one coordinate")


@given(
    seed=st.integers(0, 2**32),
    kind=st.sampled_from(KINDS),
    metric=st.sampled_from(("cosine", "ip")),
    precisions=st.sampled_from(PRECISIONS),
    plan=st.sampled_from(PLANS),
    rotated=st.booleans(),
    count=st.integers(1, 90),
    k=st.sampled_from((1, 3, 10, 100)),
    filtered=st.booleans(),
)
@settings(max_examples=120, deadline=None)
def test_a_certified_answer_is_the_exact_one(
    seed: int, kind: str, metric: Any, precisions: tuple[str, ...], plan: str | None, rotated: bool,
    count: int, k: int, filtered: bool,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    rows, queries = rows_like(kind, count, rng), rows_like("clusters", 4, rng)
    if "float16" in precisions:
        rows = np.clip(rows, -6_000, 6_000)  # a rotation may add coordinates up
    best = max(precisions, key=lambda name: (name.startswith("float"), name[-2:]))
    if plan is not None:
        plan = plan.replace("float", best)
        if "int8" in plan and "int8" not in precisions:
            plan = f"48:{best}"
    projection = fit_pca(rows_like("clusters", 400, rng)) if rotated else None
    with fast_folder() as folder, Index.create(
        f"{folder}/i", dim=DIM, metric=metric, nesting=NESTING, precisions=precisions, projection=projection
    ) as index:  # fmt: skip
        half = count // 2
        for part in (slice(0, half), slice(half, count)):
            if len(rows[part]):
                index.add(rows[part], metadata=({"odd": i % 2 == 1} for i in range(len(rows[part]))))
        index.delete([0] if count > 3 else [])
        where = {"odd": True} if filtered else None
        exact = index.search(queries, k, plan=exact_plan(index), filter=where)
        found = index.search(queries, k, plan=plan, filter=where, certify=True, threads=2)
        assert found.ids.tolist() == exact.ids.tolist()
        assert found.scores.tolist() == exact.scores.tolist()
        assert {str(one) for one in found.certificates()} == {"exact"}
        plain = index.search(queries, k, plan=plan, filter=where)
        for i, certificate in enumerate(plain.certificates()):
            if certificate.kind == "exact":
                assert plain.ids[i].tolist() == exact.ids[i].tolist()
            else:
                assert str(certificate) == "not certified"


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Real vectors: sentences of Python's own documentation strings, by the built-in model."""
    import pydoc_data.topics

    from kukla import load_embedder

    lines = [
        line.strip()
        for text in pydoc_data.topics.topics.values()
        for line in text.split("\n\n")
        if line.strip()
    ]
    embedder = load_embedder()
    sentences = sorted(set(lines))
    vectors = embedder.encode_documents(sentences)
    queries = embedder.encode_queries(
        ["how do I open a file", "what is a generator", "list comprehension", "raise an exception", "yield"]
    )
    with Index.create(tmp_path_factory.mktemp("texts") / "i", dim=512) as index:
        index.add(vectors)
        index.compact()
        yield index, queries


def test_the_default_plan_proves_itself(texts: Any) -> None:
    """int8 of all dims hides so little that 4 candidates a result are nearly always enough."""
    index, queries = texts
    found = index.search(queries, 10)
    assert [str(one) for one in found.certificates()] == ["exact"] * len(queries)
    assert found.ids.tolist() == index.search(queries, 10, plan="512:float32").ids.tolist()
    proven = index.search(queries, 10, plan=found.plan, certify=True)
    assert proven.proof is not None
    assert (proven.proof.queries, proven.proof.steps, proven.proof.bytes_read) == (0, (), 0)


def test_a_plan_that_lost_something_is_corrected(texts: Any) -> None:
    index, queries = texts
    lossy, exact = "32:int8", index.search(queries, 10, plan="512:float32")
    before = index.search(queries, 10, plan=lossy)
    assert {str(one) for one in before.certificates()} == {"not certified"}
    after = index.search(queries, 10, plan=lossy, certify=True)
    lost = [set(a) != set(b) for a, b in zip(before.ids.tolist(), exact.ids.tolist(), strict=True)]
    assert after.ids.tolist() == exact.ids.tolist()
    assert after.proof is not None
    assert after.proof.changed == sum(lost) > 0
    assert after.proof.queries == len(queries)


def test_a_proof_says_what_it_read(texts: Any) -> None:
    index, queries = texts
    found = index.search(queries[0], 10, certify=True)
    proof, count = found.proof, len(index)
    assert proof is not None
    assert str(found.plan) == "64:int8@400 > 512:float32"
    assert [str(step.stage) for step in proof.steps] == [
        "64:int8", "128:int8", "256:int8", "512:int8", "512:float32",
    ]  # fmt: skip
    scored = [step.scored for step in proof.steps]
    assert scored[0] == count
    assert scored == sorted(scored, reverse=True)
    assert scored[-1] < count / 20
    assert [step.kept for step in proof.steps] == [*scored[1:], 10]
    first, second, last = proof.steps[0], proof.steps[1], proof.steps[-1]
    assert first.bytes_read == 0  # the first stage of the plan has read it
    assert found.stages[0].bytes_read == count * (64 + 2 * 4 + 4)
    assert second.bytes_read == second.scored * (64 + 4 + 4)
    assert last.bytes_read == last.scored * 2048
    assert found.bytes_read == proof.bytes_read + sum(stage.bytes_read for stage in found.stages)
    assert found.bytes_read < index.explain("512:float32").bytes_read / 2
    alone = index.search(queries[0], 10, plan="32:int8", certify=True).proof
    assert alone.steps[0].bytes_read == count * (64 + 2 * 4 + 4)


def test_a_batch_is_proven_as_its_queries_are(texts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where memory holds the bounds of two queries only."""
    index, queries = texts
    monkeypatch.setattr("kukla.search.refine.HELD", 2 * len(index))
    batch = index.search(queries, 10, certify=True)
    alone = [index.search(query, 10, certify=True) for query in queries]
    assert batch.ids.tolist() == [one.ids[0].tolist() for one in alone]
    assert batch.scores.tolist() == [one.scores[0].tolist() for one in alone]
    assert batch.proof is not None
    assert batch.proof.queries == len(queries)
    assert batch.proof.changed == sum(one.proof.changed for one in alone)
    for step, *others in zip(batch.proof.steps, *(one.proof.steps for one in alone), strict=True):
        assert step.scored == sum(other.scored for other in others)
        assert step.bytes_read == sum(other.bytes_read for other in others)
    assert [stage.scored for stage in batch.stages] == [5 * len(index), 5 * 400]


def test_bounds_hold_for_every_coordinate_that_codes_can_hide() -> None:
    """The worst rows there are: each coordinate half a step from its code, where the query likes it."""
    layout = Layout(Nesting((5, 16)), (Precision.INT8, Precision.FLOAT32), cosine=False)
    rng = np.random.default_rng(0)
    queries = rng.laplace(size=(50, 16)).astype(np.float32)
    rows = worst_rows(queries, rng)
    bounds, upper = QueryBounds.of(queries, layout), np.zeros(50)
    for s, (low, high) in enumerate(layout.nesting.shells):
        coded, scales = encode_int8(rows[:, low:high])
        asked, units = encode_query_int8(queries[:, low:high])
        dots = (asked.astype(np.int64) * coded).sum(axis=1)
        upper += (dots * units + bounds.margins[:, s]) * scales
    exact = (queries.astype(np.float64) * rows).sum(axis=1)
    assert (upper >= exact).all()
    assert (upper - exact < 0.02 * np.abs(rows).max() * np.abs(queries).sum(axis=1)).all()  # and no wider


def worst_rows(queries: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    hidden = 0.4999 * np.sign(queries)  # not so near a half that float32 rounds it to another code
    codes = rng.integers(-126, 127, queries.shape) + hidden
    codes[:, [0, 5]] = 127  # pins the scale of each shell to 1
    return codes.astype(np.float32)


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    exact = rows.astype(np.float64)
    return (exact / np.linalg.norm(exact, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(
    ("metric", "precision", "size"),
    [
        ("cosine", "float32", 1.0),
        ("cosine", "float16", 1.0),
        ("ip", "float16", 1.0),
        *(("ip", "float32", size) for size in (1e-44, 1e-38, 1e-20, 1.0, 1e25, 1e36)),
    ],
)
def test_no_row_is_ruled_out_by_its_own_score(isa: str, metric: Any, precision: str, size: float) -> None:
    """At no checkpoint, whatever is rounded: rows of which codes hide most, of any size."""
    kept = Precision(precision)
    layout = Layout(Nesting((5, 16)), (Precision.INT8, kept), cosine=metric == "cosine")
    rng = np.random.default_rng(1)
    plain = rng.laplace(size=(60, 16))
    whole = rng.integers(-127, 128, (60, 16)) / 128  # of which codes lose nothing
    whole[:, [0, 5]], whole[:, [1, 6]] = 0, 127 / 128  # and nothing where rows lose nothing
    asked = [size * plain for size in (1e-37, 1e-3, 1.0, 1e3)] if metric == "ip" else [plain, plain[:, ::-1]]
    for number, exact in enumerate([*asked, whole]):
        queries = exact.astype(np.float32)
        rows = (worst_rows(queries, rng) * size).astype(np.float32)
        if metric == "cosine":
            rows = queries if number == 1 else rows  # of which Cauchy-Schwarz leaves nothing
            queries, rows = unit(queries), unit(rows)
        coded = [encode_int8(rows[:, low:high]) for low, high in layout.nesting.shells]
        stored = rows.astype(kept.value)
        with np.errstate(over="ignore"):
            scores = np.einsum("ij,ij->i", queries.astype(np.float64), stored).astype(np.float32)
        bounds = NarrowBounds.of(queries, layout)
        needed = bounds.thresholds(scores)
        first = 1 if metric == "cosine" else 2
        named = {
            "shells": [codes for codes, _ in coded],
            "scales": [scales for _, scales in coded],
            "query_codes": bounds.codes,
            "query_scales": bounds.scales,
            "margins": bounds.margins,
        }
        totals, _, _ = kernels.bound_int8(**named, count=first)
        points = [kernels.Checkpoint(2, needed[1])]
        if metric == "cosine":
            norms = np.sqrt(np.square(rows[:, :5].astype(np.float64)).sum(axis=1)).astype(np.float32)
            points = [kernels.Checkpoint(1, needed[0], norms, bounds.tails[0]), *points]
        reached = kernels.reach_int8(**named, totals=totals, checkpoints=points)
        for q in range(60):
            assert q in reached.rows[reached.offsets[q] : reached.offsets[q + 1]]
        if size == 1:
            assert len(reached.rows) < 60 * 60 * 0.7  # and something is ruled out


@pytest.mark.parametrize("scale", [1e-25, 1e25], ids=["too small for float32", "too large"])
def test_scores_that_float32_cannot_tell_apart_are_settled_by_id(tmp_path: Path, scale: float) -> None:
    """All of them are 0, or infinite: then an exact search goes by ids, and so must a proof."""
    rng = np.random.default_rng(4)
    rows, queries = (rows_like("clusters", n, rng) * np.float32(scale) for n in (300, 4))
    with Index.create(tmp_path / "i", dim=DIM, metric="ip", nesting=NESTING) as index:
        index.add(rows)
        exact = index.search(queries, 10, plan=exact_plan(index))
        for plan in (None, "8:int8", "48:int8@2x > 48:float32"):
            found = index.search(queries, 10, plan=plan, certify=True)
            assert found.ids.tolist() == exact.ids.tolist()
            plain = index.search(queries, 10, plan=plan)
            for i, one in enumerate(plain.certificates()):
                assert one.kind == "none" or plain.ids[i].tolist() == exact.ids[i].tolist()


def test_nothing_to_prove(tmp_path: Path) -> None:
    with Index.create(tmp_path / "i", dim=8) as index:
        empty = index.search(np.ones((2, 8)), 5, certify=True)
        assert empty.ids.shape == (2, 0)
        assert [str(one) for one in empty.certificates()] == ["exact", "exact"]
        index.add(np.eye(8, dtype=np.float32))
        none = index.search(np.empty((0, 8)), 5, certify=True)
        assert none.certificates() == ()
        everything = index.search(np.ones(8), 8, plan="8:binary", certify=True)
        assert everything.ids[0].tolist() == list(range(8))  # all tie; nothing was left out
        assert str(everything.certificates()[0]) == "exact"


def test_probabilities_that_are_none(texts: Any) -> None:
    index, queries = texts
    found = index.search(queries[0])
    for wrong in (0, 1, -0.5, 95, "0.95", True):
        with pytest.raises(InputError, match="probability must be"):
            found.certificates(probability=wrong)
