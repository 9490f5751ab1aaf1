"""Searches against brute force: whatever the order, the segments, the batches and the threads."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kukla import Index, Plan, SearchResult
from kukla.checks import normalise
from kukla.cost import plan_cost
from kukla.precision import Precision

Brute = Callable[..., tuple[list[Any], NDArray[np.float32]]]

ALL = ("binary", "int8", "float16", "float32")
PLANS = (
    "{full}:float32",
    "{full}:float16",
    "{full}:int8",
    "{low}:binary@4 > {full}:float32",
    "{low}:binary@7 > {full}:binary@5 > {full}:int8@4 > {full}:float32",
    "{low}:int8@2x > {full}:float16",
    "{low}:float32@3 > {full}:float32",
)


def fast_folder() -> tempfile.TemporaryDirectory[str]:
    """In memory where there is such a place: hundreds of small indexes would mostly wait for fsync."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)


@dataclass(frozen=True)
class Corpus:
    """Small whole numbers, so that equal scores are common and inner products exact."""

    rows: NDArray[np.float32]
    queries: NDArray[np.float32]
    ids: list[Any]
    nesting: tuple[int, ...]

    @property
    def dim(self) -> int:
        return self.nesting[-1]


@st.composite
def corpora(draw: st.DrawFn, *, least: int = 1) -> Corpus:
    low = draw(st.integers(1, 13))
    nesting = (low, low + draw(st.integers(1, 11)))
    count = draw(st.integers(least, 24))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = rng.integers(-1, 2, size=(count, nesting[1])).astype(np.float32)
    rows[:, -1] += np.where(rows.any(axis=1), 0, 1)  # no row of zeros; prefixes of zeros may be
    if count > 3:
        rows[count // 2 :] = rows[: count - count // 2]  # duplicates
    queries = rng.integers(-2, 3, size=(3, nesting[1])).astype(np.float32)
    queries[:, -1] += np.where(queries.any(axis=1), 0, 1)
    queries[0, :low] = 0
    queries[0, -1] = 1
    numbers = [int(number) for number in rng.permutation(1000)[:count] - 500]
    ids: list[Any] = numbers if draw(st.booleans()) else [f"{number}é" for number in numbers]
    return Corpus(rows, queries, ids, nesting)


def make(folder: str | Path, corpus: Corpus, *, metric: str, pieces: Sequence[NDArray[Any]]) -> Index:
    index = Index.create(
        Path(folder) / "index",
        dim=corpus.dim,
        nesting=corpus.nesting,
        precisions=ALL,
        metric=metric,  # type: ignore[arg-type]
    )
    for piece in pieces:
        index.add(corpus.rows[piece], ids=[corpus.ids[i] for i in piece])
    return index


def assert_same(result: SearchResult, row: int, expected: tuple[list[Any], NDArray[np.float32]]) -> None:
    """The same scores, to float32 rounding; where scores are apart, the same ids; ties by id."""
    ids, scores = list(result.ids[row]), result.scores[row]
    assert len(ids) == len(expected[0])
    np.testing.assert_allclose(scores, expected[1], rtol=0, atol=1e-6)
    for i, (mine, theirs) in enumerate(zip(ids, expected[0], strict=True)):
        if mine != theirs:
            near = np.flatnonzero(np.abs(expected[1] - expected[1][i]) < 2e-6)
            assert mine in [expected[0][j] for j in near] or i in near, (mine, theirs)
    for i in range(len(ids) - 1):
        assert scores[i] > scores[i + 1] or (scores[i] == scores[i + 1] and ids[i] < ids[i + 1])


@given(corpora(), st.sampled_from(PLANS), st.integers(1, 30), st.integers(1, 4), st.randoms())
@settings(max_examples=120, deadline=None, derandomize=True)
def test_inner_products_equal_brute_force(
    brute: Brute, corpus: Corpus, form: str, k: int, count: int, random: Any
) -> None:
    """Exactly: ids, order and scores, with ties, at every shortlist, over several segments."""
    order = list(range(len(corpus.rows)))
    random.shuffle(order)
    pieces = [piece for piece in np.array_split(np.array(order), count) if len(piece)]
    plan = form.format(low=corpus.nesting[0], full=corpus.dim)
    with (
        fast_folder() as folder,
        make(folder, corpus, metric="ip", pieces=pieces) as index,
    ):
        result = index.search(corpus.queries, k, plan=plan)
        for i, query in enumerate(corpus.queries):
            ids, scores = brute(plan, query, corpus.ids, corpus.rows, k, corpus.nesting, cosine=False)
            assert list(result.ids[i]) == ids
            np.testing.assert_array_equal(result.scores[i], scores)


@given(corpora(), st.sampled_from(PLANS), st.integers(1, 30), st.integers(1, 4))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_cosines_equal_brute_force(brute: Brute, corpus: Corpus, form: str, k: int, count: int) -> None:
    """Prefixes of zeros included, of documents and of queries."""
    pieces = [piece for piece in np.array_split(np.arange(len(corpus.rows)), count) if len(piece)]
    plan = form.format(low=corpus.nesting[0], full=corpus.dim)
    if "float32@" in plan:
        plan = f"{corpus.dim}:float32"  # two float stages round twice: which candidate is kept may differ
    with (
        fast_folder() as folder,
        make(folder, corpus, metric="cosine", pieces=pieces) as index,
    ):
        result = index.search(corpus.queries, k, plan=plan)
        rows, queries = normalise(corpus.rows), normalise(corpus.queries)
        for i, query in enumerate(queries):
            assert_same(result, i, brute(plan, query, corpus.ids, rows, k, corpus.nesting, cosine=True))


@given(corpora(least=6), st.sampled_from(PLANS), st.randoms())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_history_does_not_matter(corpus: Corpus, form: str, random: Any) -> None:
    """One batch, or many with deletions, replacements and compaction on the way: the same answers."""
    count = len(corpus.rows)
    plan = form.format(low=corpus.nesting[0], full=corpus.dim)
    with (
        fast_folder() as one,
        fast_folder() as other,
        make(one, corpus, metric="ip", pieces=[np.arange(count)]) as plain,
        make(other, corpus, metric="ip", pieces=[np.arange(count)[::2]]) as index,
    ):
        rest = list(range(1, count, 2))
        random.shuffle(rest)
        for i in rest:
            index.add(corpus.rows[i], ids=[corpus.ids[i]])
            again = random.randrange(0, count, 2)
            if random.random() < 0.5:
                index.upsert(corpus.rows[again] + 1, ids=[corpus.ids[again]])
            else:
                index.delete(corpus.ids[again])
            index.upsert(corpus.rows[again], ids=[corpus.ids[again]])
            if random.random() < 0.1:
                index.compact()
        assert len(index) == count
        a, b = (x.search(corpus.queries, 7, plan=plan) for x in (plain, index))
        np.testing.assert_array_equal(a.ids, b.ids)
        np.testing.assert_array_equal(a.scores, b.scores)
        index.compact()
        c = index.search(corpus.queries, 7, plan=plan)
        np.testing.assert_array_equal(a.ids, c.ids)
        index.verify()


@given(corpora(), st.data())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_filters_give_k_whenever_k_match(brute: Brute, corpus: Corpus, data: st.DataObject) -> None:
    count = len(corpus.rows)
    tags = data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    gone = data.draw(st.sets(st.sampled_from(range(count)), max_size=count - 1))
    k = data.draw(st.integers(1, count + 2))
    with (
        fast_folder() as folder,
        make(folder, corpus, metric="ip", pieces=[]) as index,
    ):
        for piece in np.array_split(np.arange(count), 3):
            index.add(
                corpus.rows[piece],
                ids=[corpus.ids[i] for i in piece],
                metadata=[{"tag": tags[i]} for i in piece],
            )
        index.delete([corpus.ids[i] for i in gone])
        matching = [i for i in range(count) if tags[i] >= 2 and i not in gone]
        plan = f"{corpus.nesting[0]}:binary@{count} > {corpus.dim}:float32"
        for _ in range(2):  # the second time from the cache
            result = index.search(corpus.queries, k, plan=plan, filter={"tag": {"$gte": 2}})
            assert result.ids.shape == (3, min(k, len(matching)))
            for i, query in enumerate(corpus.queries):
                ids = [corpus.ids[j] for j in matching]
                expected = brute(plan, query, ids, corpus.rows[matching], k, corpus.nesting, cosine=False)
                assert list(result.ids[i]) == expected[0]
        shortest = index.search(corpus.queries, k, filter={"tag": {"$gte": 2}}, shortlist=1)
        assert shortest.ids.shape == result.ids.shape
        assert index.search(corpus.queries, k, filter={"tag": 9}).ids.shape == (3, 0)


@pytest.fixture
def random_index(tmp_path: Path) -> Iterator[tuple[Index, NDArray[np.float32]]]:
    """Five segments, 700 vectors of 48 dims whose coordinates shrink, as those of nested models do."""
    rng = np.random.default_rng(11)
    vectors = (rng.normal(size=(700, 48)) * np.linspace(1, 0.2, 48)).astype(np.float32)
    with Index.create(tmp_path / "index", dim=48, nesting=(8, 20, 48), precisions=ALL) as index:
        for low in range(0, 700, 140):
            index.add(vectors[low : low + 140])
        yield index, vectors


def test_a_shortlist_of_everything_is_exact(random_index: tuple[Index, NDArray[np.float32]]) -> None:
    index, vectors = random_index
    exact = index.search(vectors[:9], 12, plan="48:float32")
    unit = normalise(vectors)
    expected = np.argsort(-(unit[:9].astype(np.float64) @ unit.astype(np.float64).T), axis=1)[:, :12]
    np.testing.assert_array_equal(exact.ids, expected)
    for plan in ("8:binary@700 > 48:float32", "20:int8@700 > 48:float32", "8:float16@700 > 48:float32"):
        found = index.search(vectors[:9], 12, plan=plan)
        np.testing.assert_array_equal(found.ids, exact.ids)
        np.testing.assert_array_equal(found.scores, exact.scores)


@pytest.mark.parametrize(
    "plan", ["48:float32", "8:binary@90 > 20:int8@40 > 48:float32", "20:float16@9x > 48:int8@5x > 48:float16"]
)
def test_threads_and_batches_do_not_matter(
    random_index: tuple[Index, NDArray[np.float32]], plan: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, vectors = random_index
    batch = index.search(vectors[:70], 9, plan=plan)
    monkeypatch.setattr("kukla.search.execute.CANDIDATES", 1000)  # a few queries at a time
    parts = index.search(vectors[:70], 9, plan=plan)
    np.testing.assert_array_equal(parts.ids, batch.ids)
    np.testing.assert_allclose(parts.scores, batch.scores, rtol=0, atol=1e-7)
    for one, other in zip(parts.stages, batch.stages, strict=True):
        assert (one.stage, one.scored, one.kept, one.bytes_read) == (
            other.stage,
            other.scored,
            other.kept,
            other.bytes_read,
        )
    for threads in (2, 5):
        again = index.search(vectors[:70], 9, plan=plan, threads=threads)
        np.testing.assert_array_equal(again.ids, batch.ids)
        np.testing.assert_array_equal(again.scores, batch.scores)
    for i in range(0, 70, 7):
        single = index.search(vectors[i], 9, plan=plan)
        np.testing.assert_array_equal(single.ids[0], batch.ids[i])
        np.testing.assert_allclose(single.scores[0], batch.scores[i], rtol=0, atol=1e-7)


def test_reports_match_the_cost_model(random_index: tuple[Index, NDArray[np.float32]]) -> None:
    index, vectors = random_index
    index.delete(range(50))
    plan = Plan.parse("8:binary@90 > 20:int8@4x > 48:float32")
    result = index.search(vectors[:3], 10, plan=plan)
    cost = plan_cost(plan, index.nesting, [Precision(name) for name in ALL], documents=650, k=10)
    assert [report.stage for report in result.stages] == list(plan.stages)
    for report, estimate in zip(result.stages, cost.stages, strict=True):
        assert report.scored == 3 * estimate.scored
        assert report.kept == 3 * estimate.kept
        assert report.bytes_read == 3 * estimate.bytes_read
        assert report.seconds >= 0
    assert result.scanned == 3 * 650
    assert result.rescored == 3 * (90 + 40)
    assert result.bytes_read == 3 * cost.bytes_read == 3 * index.explain(plan, k=10).bytes_read
    assert result.seconds >= sum(report.seconds for report in result.stages)


def test_duplicates_at_the_edge_of_a_shortlist(tmp_path: Path) -> None:
    """All documents are the same vector: every stage must hand on the smallest ids, of all segments."""
    for kind, ids in (("int", list(range(100, 40, -1))), ("str", [f"x{i}" for i in range(100, 40, -1)])):
        with Index.create(tmp_path / kind, dim=9, nesting=(3, 9), precisions=ALL) as index:
            for low in range(0, 60, 12):
                index.add(np.ones((12, 9)), ids=ids[low : low + 12])
            for plan in ("3:binary@7 > 9:float32", "3:int8@6 > 9:int8@5 > 9:float16", "9:float32"):
                result = index.search(np.ones((2, 9)), 5, plan=plan)
                assert [list(row) for row in result.ids] == [sorted(ids)[:5]] * 2


def test_one_dim(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index", dim=1, precisions=ALL) as index:
        index.add(np.array([[2.0], [-3.0], [0.5]]))
        result = index.search(np.array([[7.0], [-7.0]]), 3)
        np.testing.assert_array_equal(result.ids, [[0, 2, 1], [1, 0, 2]])
        np.testing.assert_allclose(result.scores, [[1, 1, -1], [1, -1, -1]], atol=1e-3)


def test_empty_index_and_no_queries(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index", dim=4, nesting=(2, 4)) as index:
        empty = index.search(np.ones((3, 4)), 5)
        assert (empty.ids.shape, empty.scores.shape, empty.scanned) == ((3, 0), (3, 0), 0)
        assert index.search(np.empty((0, 4)), 5).ids.shape == (0, 0)
        index.add(np.eye(4))
        for queries in (np.empty((0, 4)), []):
            result = index.search(queries, 3)
            assert (result.ids.shape, result.scores.shape) == ((0, 3), (0, 3))
            assert result.bytes_read == 0
        assert index.search(np.ones(4), 2**31 - 1).ids.shape == (1, 4)


def test_a_query_whose_prefix_is_zero(tmp_path: Path) -> None:
    """It has no direction there: every document scores 0, and the smallest ids are handed on."""
    with Index.create(tmp_path / "index", dim=4, nesting=(2, 4), precisions=ALL) as index:
        index.add(np.array([[1.0, 2, 0, 1], [0, 0, 1, 0], [3, -1, 1, 1]]))
        for precision in ("int8", "float16", "float32"):
            result = index.search(np.array([0, 0, 1.0, 0]), 3, plan=f"2:{precision}")
            np.testing.assert_array_equal(result.ids, [[0, 1, 2]])
            np.testing.assert_array_equal(result.scores, [[0, 0, 0]])
            result = index.search(np.array([1.0, 1, 0, 0]), 3, plan=f"2:{precision}")
            assert result.scores[0, list(result.ids[0]).index(1)] == 0


def test_results_are_values(random_index: tuple[Index, NDArray[np.float32]]) -> None:
    index, vectors = random_index
    result = index.search(vectors[0], 4)
    assert (result.ids.shape, result.ids.dtype) == ((1, 4), np.int64)
    assert (result.scores.shape, result.scores.dtype) == ((1, 4), np.float32)
    assert len(result) == 1
    assert result.plan == index.plan
    with pytest.raises(AttributeError):
        result.ids = result.ids  # type: ignore[misc]
    assert f"1 queries, 4 results each, plan {index.plan}, " in repr(result)
    result.ids[0, 0] = -1  # a new array, nobody else's
    assert index.search(vectors[0], 4).ids[0, 0] == 0


def test_string_ids_come_as_objects(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index", dim=2) as index:
        index.add(np.eye(2), ids=["b", "a\0b"])
        index.add(np.eye(2) * 2, ids=["B", "é"])
        result = index.search(np.eye(2), 4)
        assert result.ids.dtype == object
        assert [list(row) for row in result.ids] == [["B", "b", "a\0b", "é"], ["a\0b", "é", "B", "b"]]
