"""The index as its users see it: adding, changing, asking, and every refusal."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import kukla
from kukla import Document, Index, Plan, Precision, Space, kernels, truncate
from kukla.errors import (
    FilterError,
    InputError,
    NewerFormatError,
    NotFoundError,
    PlanError,
    SpaceError,
    StorageError,
    VectorError,
)
from kukla.projection import Projection

DIM = 16


@pytest.fixture(autouse=True)
def kernels_without_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the native build is missing, ask for NumPy: the warning about it is tested elsewhere."""
    if kernels.available() == ("numpy",):
        monkeypatch.setenv("KUKLA_KERNELS", "numpy")


@pytest.fixture
def vectors() -> NDArray[np.float32]:
    return np.random.default_rng(3).normal(size=(30, DIM)).astype(np.float32)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    plan = "16:binary@20x > 16:int8@4x > 16:float32"
    precisions = ("binary", "int8", "float32")
    with Index.create(
        tmp_path / "index", dim=DIM, nesting=(4, DIM), precisions=precisions, plan=plan
    ) as made:
        yield made


class Hashing:
    """A tiny embedder: the letters of a text, added up in directions of their own."""

    def __init__(self, *, seed: int = 0, model: str = "letters", moved: bool = False) -> None:
        self.table = np.random.default_rng(seed).normal(size=(256, DIM))
        self.space = Space(provider="test", model=model, dim=DIM, trained_dims=(4, 8)).with_canaries(
            self._encode
        )
        if moved:
            self.table = np.random.default_rng(seed + 1).normal(size=(256, DIM))
        self.calls: list[int] = []

    def _encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [self.table[list(text.encode())].sum(axis=0) for text in texts]
        result = np.stack(rows).astype(np.float32) if rows else np.empty((0, DIM), dtype=np.float32)
        return result / np.linalg.norm(result, axis=1, keepdims=True)

    def encode_documents(self, texts: Sequence[str], **_: Any) -> NDArray[np.float32]:
        self.calls.append(len(texts))
        return self._encode(texts)

    def encode_queries(self, texts: Sequence[str], **_: Any) -> NDArray[np.float32]:
        return self._encode(texts)


class Turn(Projection):
    """An orthonormal rotation that does not come with Kukla."""

    kind = "test-turn"

    def __init__(self, seed: int) -> None:
        self.seed, self.dim_in, self.dim_out = seed, DIM, DIM
        matrix = np.random.default_rng(seed).normal(size=(DIM, DIM))
        self.matrix = np.linalg.qr(matrix)[0].astype(np.float32)

    def transform(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        return vectors @ self.matrix

    def inverse(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        return vectors @ self.matrix.T

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "seed": self.seed}

    @classmethod
    def _from_dict(cls, parameters: Mapping[str, Any]) -> Turn:
        return cls(parameters["seed"])


def unit(vectors: NDArray[Any]) -> NDArray[Any]:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


# Adding


def test_documents_go_round(index: Index, vectors: NDArray[np.float32]) -> None:
    metadata = {"a": 1, "b": [1.5, None, "é", {"c": True}], "d": {"e.f": "g"}, "": "empty key"}
    original = vectors.copy()
    documents = [
        Document(7, "text\nwith \0 and 🪆", metadata, vectors[0]),
        Document(-(2**63), None, {}, vectors[1]),
    ]
    assert index.add(documents) == 2
    assert index.add([{"id": 2**63 - 1, "text": "", "vector": vectors[2]}]) == 1
    np.testing.assert_array_equal(vectors, original)
    found = index.get([7, -(2**63), 2**63 - 1])
    assert found == [
        Document(7, "text\nwith \0 and 🪆", metadata),
        Document(-(2**63)),
        Document(2**63 - 1, ""),
    ]
    for document, vector in zip(found, vectors, strict=False):
        assert document.vector is not None
        assert document.vector.dtype == np.float32
        np.testing.assert_allclose(document.vector, unit(vector), atol=1e-7)
        with pytest.raises(ValueError, match="read-only"):
            document.vector[0] = 1


def test_every_shape_of_items(tmp_path: Path, vectors: NDArray[np.float32]) -> None:
    forms: list[Any] = [
        vectors,
        vectors.astype(np.float64),
        np.asfortranarray(vectors),
        vectors.tolist(),
        list(vectors),
        (row for row in vectors),
        (vectors[i : i + 7] for i in range(0, 30, 7)),
        [vectors[0], vectors[1:20], *vectors[20:]],
        [{"vector": row} for row in vectors],
    ]
    for i, items in enumerate(forms):
        with Index.create(tmp_path / str(i), dim=DIM) as index:
            assert index.add(items, batch_rows=8) == 30
            result = index.search(vectors, 1)
            np.testing.assert_array_equal(result.ids[:, 0], np.arange(30))
            np.testing.assert_allclose(result.scores, 1, atol=1e-6)


def test_progress_and_batches(index: Index, vectors: NDArray[np.float32]) -> None:
    seen: list[tuple[int, int | None]] = []
    index.add(vectors, batch_rows=12, progress=lambda *state: seen.append(state))
    index.add(iter(vectors), batch_rows=30, progress=lambda *state: seen.append(state))
    index.add(vectors[0], progress=lambda *state: seen.append(state))
    index.add([vectors], progress=lambda *state: seen.append(state))
    assert seen == [(12, 30), (24, 30), (30, 30), (30, None), (1, 1), (30, None)]
    assert index.add([]) == index.add(np.empty((0, DIM))) == 0


def test_numbers_are_never_given_twice(index: Index, vectors: NDArray[np.float32]) -> None:
    index.add(vectors[:3])
    index.delete([1, 2])
    index.add(vectors[:1])
    assert 3 in index
    index.add(vectors[:1], ids=[1000])
    index.add(vectors[:1])
    assert 1001 in index
    index.delete([1000, 1001])
    index.compact()
    index.add(vectors[:1])
    assert 1002 in index
    index.delete([0, 3, 1002])
    assert len(index) == 0
    with Index.open(index.path) as again:
        again.add(vectors[:2])
        assert [id_ in again for id_ in (1002, 1003, 1004, 1005)] == [False, True, True, False]
        again.upsert(vectors[:1], ids=[2**63 - 1])
        with pytest.raises(InputError, match="no integer ids are left"):
            again.add(vectors[:1])
        again.add(vectors[:1], ids=[-5])


@given(
    st.lists(
        st.tuples(st.sampled_from(["auto", "add", "upsert", "delete"]), st.integers(-2, 12)), max_size=14
    )
)
@settings(max_examples=30, deadline=None, derandomize=True)
def test_numbers_are_new_whatever_happened(steps: list[tuple[str, int]]) -> None:
    memory = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder,
        Index.create(f"{folder}/index", dim=2) as index,
    ):
        ever: set[int] = set()
        now: set[int] = set()
        for step, number in steps:
            if step == "auto":
                index.add(np.eye(2))
                given_out = {int(i) for i in index.search(np.eye(1, 2), 99).ids[0]} - now
                assert len(given_out) == 2
                assert not given_out & ever
            elif step == "delete":
                assert index.delete(number) == (number in now)
                now.discard(number)
                continue
            else:
                given_out = {number}
                if step == "add" and number in now:
                    with pytest.raises(InputError, match="already in the index"):
                        index.add(np.eye(1, 2), ids=[number])
                else:
                    index.upsert(np.eye(1, 2), ids=[number])
            now |= given_out
            ever |= given_out
            assert len(index) == len(now)


def test_types_of_ids_do_not_mix(index: Index, vectors: NDArray[np.float32]) -> None:
    index.add(vectors[:2], ids=["a", "1"])
    for ids in ([1], [np.int64(1)]):
        with pytest.raises(InputError, match="ids of type str, got 1"):
            index.add(vectors[:1], ids=ids)
    with pytest.raises(InputError, match="string ids: give an id"):
        index.add(vectors[:1])
    assert 1 not in index
    assert "1" in index
    assert index.delete(["a", "1", "a", "b"]) == 2
    index.add(vectors[:1], ids=[1])  # an empty index takes any
    with pytest.raises(InputError, match="ids of type int, got 'a'"):
        index.upsert(vectors[:1], ids=["a"])
    assert "1" not in index


def test_numpy_strings_are_strings(index: Index, vectors: NDArray[np.float32]) -> None:
    names = np.array(["a", "b"])
    index.add(vectors[:2], ids=names)
    index.add(vectors[2:4], ids=["c", "d"])
    index.upsert(vectors[:2], ids=names)
    assert [document.id for document in index.get(names)] == ["a", "b"]


@pytest.mark.parametrize("id_", [None, 1.0, b"a", True, [1], "", "x" * 1025, 2**63, "\ud800"])
def test_what_is_no_id(index: Index, vectors: NDArray[np.float32], id_: Any) -> None:
    index.add(vectors[:2])
    if id_ is not None:
        with pytest.raises(InputError):
            index.add(vectors[:1], ids=[id_])
    for call in (lambda: index.get([id_]), lambda: index.delete([id_]), lambda: id_ in index):
        with pytest.raises(InputError):
            call()
    if not isinstance(id_, list):
        for call in (lambda: index.get(id_), lambda: index.delete(id_)):
            with pytest.raises(InputError):
                call()
    assert len(index) == 2


def test_a_batch_is_there_as_a_whole_or_not_at_all(index: Index, vectors: NDArray[np.float32]) -> None:
    bad = vectors.copy()
    bad[17, 3] = np.nan
    with pytest.raises(VectorError, match="row 17 holds nan at coordinate 3"):
        index.add(bad, batch_rows=10)
    assert len(index) == 10
    with pytest.raises(InputError, match="id 4 is already in the index; use upsert"):
        index.add(vectors[:3], ids=[100, 4, 101])
    with pytest.raises(InputError, match="id 100 is given twice"):
        index.upsert(vectors[:3], ids=[100, 4, 100])
    with pytest.raises(InputError, match="row 2: metadata must be JSON"):
        index.add(vectors[:3], ids=[100, 101, 102], metadata=[{}, None, {"x": {1, 2}}])
    with pytest.raises(VectorError, match="row 1 is all zeros"):
        index.add(vectors[:2] * [[1], [0]], ids=[100, 101])
    assert len(index) == 10
    np.testing.assert_array_equal(index.search(vectors[4], 1).ids, [[4]])
    index.verify()


def test_broken_iterables_leave_the_batches_before(index: Index, vectors: NDArray[np.float32]) -> None:
    def rows() -> Iterator[NDArray[np.float32]]:
        yield from vectors[:25]
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        index.add(rows(), batch_rows=10)
    assert len(index) == 20
    index.verify()


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (np.ones((2, DIM + 1)), f"{DIM} dims, got {DIM + 1}"),
        (np.ones((2, DIM), dtype=np.int8), "floats"),
        (np.full((1, DIM), np.inf), "inf"),
        (np.zeros((1, DIM)), "all zeros"),
        ([[1.0, 2.0]], f"shape \\({DIM},\\)"),
        ("one text", "put the one str into a list"),
        ([Document(1)], "neither a text nor a vector"),
        ([{"id": 1, "vektor": [1.0]}], "field 'vektor'"),
    ],
)
def test_items_that_cannot_be_added(index: Index, items: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        index.add(items)
    assert len(index) == 0


# Changing


def test_upsert_replaces_as_a_whole(index: Index, vectors: NDArray[np.float32]) -> None:
    index.add(vectors[:3], ids=["a", "b", "c"], texts=["A", "B", "C"], metadata=[{"n": i} for i in range(3)])
    assert index.upsert(vectors[3:5], ids=["b", "d"], texts=["new", None]) == 2
    assert len(index) == 4
    assert index.get("b") == [Document("b", "new", {})]
    assert index.search(vectors[3], 4, filter={"n": {"$gte": 0}}).ids.tolist() == [
        index.search(vectors[3], 4, filter={"n": {"$in": [0, 2]}}).ids[0].tolist()
    ]
    assert index.search(vectors[3], 1).ids[0, 0] == "b"
    best = index.search(vectors[1], 1)
    assert (best.ids[0, 0], best.scores[0, 0] < 0.99) != ("b", False)


def test_delete_counts_and_forgets(index: Index, vectors: NDArray[np.float32]) -> None:
    index.add(vectors)
    assert index.delete([3, 99, 3]) == 1
    assert index.delete(np.int64(4)) == 1
    assert index.delete(i for i in (5, 6)) == 2
    assert index.delete([]) == 0
    assert len(index) == 26
    assert 3 not in index
    assert not {3, 4, 5, 6} & set(index.search(vectors, 30).ids.ravel().tolist())
    with pytest.raises(NotFoundError, match="id 3 in") as raised:
        index.get([0, 3])
    assert isinstance(raised.value, KeyError)


# Asking


def test_get_a_prefix(index: Index, vectors: NDArray[np.float32]) -> None:
    index.add(vectors)
    for dim in (1, 4, 7, DIM):
        vector = index.get(5, dim=dim)[0].vector
        assert vector is not None
        assert vector.dtype == np.float32
        assert not vector.flags.writeable
        np.testing.assert_allclose(vector, truncate(vectors[5], dim), atol=1e-6)
    for wrong in (0, DIM + 1, 2.0, True):
        with pytest.raises(InputError, match="dim must be"):
            index.get(5, dim=wrong)  # type: ignore[arg-type]
    index.add(np.eye(1, DIM, DIM - 1), ids=[99])
    with pytest.raises(VectorError, match="all zeros"):
        index.get(99, dim=4)


def test_inner_products_keep_lengths(tmp_path: Path, vectors: NDArray[np.float32]) -> None:
    with Index.create(tmp_path / "ip", dim=DIM, metric="ip", precisions=["float32"]) as index:
        index.add(vectors)
        np.testing.assert_array_equal(index.get(2)[0].vector, vectors[2])
        result = index.search(vectors[2] * 3, 30)
        expected = vectors @ (vectors[2] * 3)
        np.testing.assert_allclose(result.scores[0], np.sort(expected)[::-1], rtol=1e-5)
        index.add(np.zeros((1, DIM)), ids=[99])
        assert index.search(vectors[2], 31).scores[0].tolist().count(0) == 1
        with pytest.raises(VectorError, match="beyond float32"):
            index.add(np.full((1, DIM), 1e39))


def test_float16_is_enough(tmp_path: Path, vectors: NDArray[np.float32]) -> None:
    with Index.create(tmp_path / "half", dim=DIM, precisions=["float16"]) as index:
        index.add(vectors)
        assert str(index.plan) == "16:float16"
        vector = index.get(2)[0].vector
        assert vector is not None
        assert vector.dtype == np.float32
        np.testing.assert_allclose(vector, unit(vectors[2]), atol=5e-4)
        np.testing.assert_array_equal(index.search(vectors, 1).ids[:, 0], np.arange(30))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"k": 0}, InputError, "k must be"),
        ({"k": 2**31}, InputError, "k must be"),
        ({"k": 10**400}, InputError, "k must be"),
        ({"k": 2.0}, InputError, "k must be"),
        ({"threads": 0}, InputError, "threads must be"),
        ({"plan": "5:float32"}, PlanError, "allowed: 4, 16"),
        ({"plan": "16:float16"}, PlanError, "keeps no float16"),
        ({"plan": "nonsense"}, PlanError, "cannot read the stage"),
        ({"dims": 5}, PlanError, "not in the nesting"),
        ({"shortlist": 5, "oversampling": 2}, PlanError, "shortlist or oversampling"),
        ({"filter": {"$what": 1}}, FilterError, "unknown operator"),
        ({"filter": 7}, FilterError, "a JSON object"),
        ({"space": Space(provider="x", model="y", dim=5)}, SpaceError, "dim"),
    ],
)
def test_searches_that_cannot_be_run(
    index: Index, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    index.add(np.eye(DIM))
    with pytest.raises(error, match=message):
        index.search(np.ones(DIM), **options)


@pytest.mark.parametrize(
    "queries",
    [
        np.ones(5),
        np.ones((2, 2, DIM)),
        np.full(DIM, np.nan),
        np.zeros(DIM),
        np.ones(DIM, dtype=int),
        [[1.0], [1.0, 2.0]],
    ],
)
def test_queries_that_are_no_vectors(index: Index, queries: Any) -> None:
    index.add(np.eye(DIM))
    with pytest.raises(VectorError):
        index.search(queries)


def test_the_first_stage_can_be_changed(index: Index, vectors: NDArray[np.float32]) -> None:
    index.add(vectors)
    result = index.search(vectors[0], 3, dims=4, shortlist=9)
    assert str(result.plan).startswith("4:binary@9 > ")
    assert result.stages[0].kept == 9
    assert result.ids.shape == (1, 3)
    assert str(index.search(vectors[0], plan="4:int8@5x > 16:float32", oversampling=7).plan).startswith(
        "4:int8@7x"
    )


def test_a_filter_is_seen_anew_after_a_change(index: Index, vectors: NDArray[np.float32]) -> None:
    index.add(vectors, metadata=[{"even": i % 2 == 0} for i in range(30)])
    only = {"even": True}
    assert index.search(vectors[0], 30, filter=only).ids.shape == (1, 15)
    index.delete(range(10))
    assert index.search(vectors[0], 30, filter=only).ids.shape == (1, 10)
    index.add(vectors[:1], ids=[99], metadata=[only])
    assert index.search(vectors[0], 30, filter=only).ids[0, 0] == 99
    for i in range(40):
        assert index.search(vectors[0], 30, filter={"even": {"$in": [True, i]}}).ids.shape == (1, 11)
    assert index.search(vectors[0], 30, filter={}).ids.shape == (1, 21)


# Texts, spaces, projections


def test_texts_need_an_embedder(index: Index, vectors: NDArray[np.float32]) -> None:
    index.add(vectors)
    for call in (lambda: index.add(["a text"]), lambda: index.search("a text"), lambda: index.embedder):
        with pytest.raises(InputError, match=r"pass an embedder for it to Index\.open"):
            call()
    assert len(index) == 30


def test_texts(tmp_path: Path) -> None:
    embedder = Hashing()
    texts = ["red apple", "green pear", "blue plum", "black currant"]
    with Index.create(tmp_path / "index", embedder=embedder) as index:
        assert index.space == embedder.space
        assert index.nesting.dims == (4, 8, 16)
        index.add(texts, ids=list("abcd"), metadata=[{"n": i} for i in range(4)])
        index.add(
            [Document("e", texts[0], {}, embedder.encode_queries(texts[1:2])[0]), {"id": "f", "text": "fig"}]
        )
        assert embedder.calls == [5, 4, 1]  # the canaries, the texts, the one without a vector
        result = index.search(texts[:2], 2)
        assert result.ids[:, 0].tolist() == ["a", "b"]
        assert result.ids[1, 1] == "e"
        assert index.search("red apple", 1).ids.tolist() == [["a"]]
        assert index.search((text for text in texts).__next__(), 1).ids.shape == (1, 1)
        with pytest.raises(InputError, match="query 1 is an empty text"):
            index.search(["fig", " "])
    with Index.open(tmp_path / "index") as index:
        assert index.search(embedder.encode_queries(texts[:1]), 1).ids[0, 0] == "a"
        with pytest.raises(InputError, match="pass an embedder"):
            index.search("red apple")
    with Index.open(tmp_path / "index", embedder=Hashing()) as index:
        assert index.search("red apple", 1).ids[0, 0] == "a"


def test_spaces_never_meet(tmp_path: Path, vectors: NDArray[np.float32]) -> None:
    embedder, other, moved = Hashing(), Hashing(model="other"), Hashing(moved=True)
    with Index.create(tmp_path / "index", space=embedder.space) as index:
        index.add(vectors, space=embedder.space)
        with pytest.raises(SpaceError, match="adding vectors"):
            index.add(vectors, space=other.space)
        with pytest.raises(SpaceError, match="searching"):
            index.search(vectors, space=other.space)
        assert len(index) == 30
    with pytest.raises(SpaceError, match="using this embedder"):
        Index.open(tmp_path / "index", embedder=other)
    with pytest.raises(SpaceError, match="no longer gives the vectors"):
        Index.open(tmp_path / "index", embedder=moved)
    with pytest.raises(SpaceError, match="no longer gives the vectors"):
        Index.create(tmp_path / "new", embedder=moved)
    with pytest.raises(SpaceError, match="model"):
        Index.create(tmp_path / "new2", space=embedder.space, embedder=other)
    with Index.create(tmp_path / "unknown", dim=DIM) as index:
        index.add(vectors, space=other.space)  # nothing was declared, nothing can be refused
        with pytest.raises(SpaceError, match="dim"):
            index.add(vectors, space=Space(provider="x", model="y", dim=5))


def test_a_projection_is_carried_along(tmp_path: Path, vectors: NDArray[np.float32]) -> None:
    turn = Turn(5)
    with Index.create(tmp_path / "index", dim=DIM, nesting=(4, DIM), projection=turn) as index:
        index.add(vectors, ids=range(30))
    with Index.open(tmp_path / "index") as index:
        index.add(vectors + 1, ids=range(30, 60))
        every = unit(np.concatenate([vectors, vectors + 1]))
        for plan in ("16:float32", "4:binary@60 > 16:float32"):
            result = index.search(vectors, 12, plan=plan)
            scores = unit(vectors) @ every.T
            np.testing.assert_array_equal(result.ids, np.argsort(-scores, axis=1)[:, :12])
            np.testing.assert_allclose(result.scores, -np.sort(-scores, axis=1)[:, :12], atol=1e-5)
        turned = unit(every @ turn.matrix[:, :4])
        prefix = index.search(vectors, 12, plan="4:float32")
        np.testing.assert_array_equal(prefix.ids, np.argsort(-turned[:30] @ turned.T, axis=1)[:, :12])
        for i in (0, 31):
            np.testing.assert_allclose(index.get(i)[0].vector, every[i], atol=1e-6)
            np.testing.assert_allclose(index.get(i, dim=4)[0].vector, turned[i], atol=1e-6)
        assert index.info().projection == "test-turn"
        index.compact()
        np.testing.assert_allclose(index.get(0)[0].vector, every[0], atol=1e-6)


def test_a_projection_of_a_later_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Index.create(tmp_path / "index", dim=DIM, projection=Turn(5)).close()
    monkeypatch.delitem(Projection._kinds, "test-turn")
    with pytest.raises(NewerFormatError, match="unknown projection 'test-turn'"):
        Index.open(tmp_path / "index")


# Making, and what it says


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give dim, space or embedder"),
        ({"dim": 0}, "dim"),
        ({"dim": 70_000}, "dim"),
        ({"dim": 4, "metric": "l2"}, "unknown metric"),
        ({"dim": 4, "nesting": (2, 3)}, "must be the full dim 4"),
        ({"dim": 4, "nesting": (3, 2, 4)}, "ascend"),
        ({"dim": 4, "precisions": ("int8",)}, "float32 or float16"),
        ({"dim": 4, "precisions": "float32"}, "list of names"),
        ({"dim": 4, "precisions": ("int4", "float32")}, "int4"),
        ({"dim": 4, "plan": "3:float32"}, "not in the nesting"),
        ({"dim": 4, "projection": Turn(1)}, "takes 16 dims"),
        ({"dim": 4, "space": Space(provider="x", model="y", dim=5)}, "5 dims"),
    ],
)
def test_indexes_that_cannot_be_made(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Index.create(tmp_path / "index", **options)
    assert not (tmp_path / "index").exists()


def test_settings_are_remembered(tmp_path: Path) -> None:
    plan = Plan.parse("3:binary@4x > 7:float16")
    made = Index.create(
        tmp_path / "index",
        dim=7,
        nesting=[3, 7],
        precisions=["float16", Precision.BINARY],
        metric="ip",
        plan=plan,
    )
    with made, Index.open(str(tmp_path / "index")) as index:
        for one in (made, index):
            assert (one.plan, one.nesting.dims, one.space) == (plan, (3, 7), Space.unknown(7))
            assert one.info().metric == "ip"


def test_info(index: Index, vectors: NDArray[np.float32]) -> None:
    index.add(vectors)
    index.add(vectors)
    index.delete([0, 1])
    info = index.info()
    assert (info.documents, info.deleted_rows, info.segments) == (58, 2, 2)
    segments = list((index.path / "segments").iterdir())
    assert info.vector_bytes == sum(path.stat().st_size for path in segments)
    assert info.catalog_bytes >= (index.path / "catalog.sqlite").stat().st_size
    assert info.kernels == kernels.active()
    as_dict = json.loads(json.dumps(info.to_dict()))
    assert as_dict["documents"] == 58
    assert as_dict["nesting"] == [4, 16]
    assert as_dict["space"] == {
        "provider": "unknown",
        "model": "unknown",
        "revision": "",
        "dim": 16,
        "trained_dims": [],
    }
    assert repr(index) == f"Index({str(index.path)!r}, 58 documents, unknown, dims (4, 16))"


def test_explain(index: Index, vectors: NDArray[np.float32]) -> None:
    index.add(vectors)
    cost = index.explain(dims=4, shortlist=9, k=3)
    result = index.search(vectors[0], 3, dims=4, shortlist=9)
    assert cost.bytes_read == result.bytes_read
    assert cost.documents == 30
    assert "4:binary@9" in str(cost)
    assert index.explain(documents=10**9).stages[0].scored == 10**9
    for wrong in ({"k": 0}, {"documents": -1}, {"plan": "5:float32"}):
        with pytest.raises(InputError):
            index.explain(**wrong)  # type: ignore[arg-type]


def test_the_states_of_two_indexes_of_one_folder(index: Index, vectors: NDArray[np.float32]) -> None:
    with Index.open(index.path, read_only=True) as other:
        index.add(vectors)
        assert len(other) == 30
        index.delete(0)
        assert other.search(vectors[0], 30).ids.shape == (1, 29)
        index.compact()
        assert other.info().segments == 1


def test_two_threads_that_add_take_turns(index: Index, vectors: NDArray[np.float32]) -> None:
    odd: list[BaseException] = []

    def run(call: Callable[[], object]) -> None:
        try:
            for _ in range(5):
                call()
        except BaseException as error:
            odd.append(error)

    threads = [threading.Thread(target=run, args=(lambda: index.add(vectors[:4]),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert odd == []
    assert sorted(index.search(vectors[0], 99).ids[0].tolist()) == list(range(60))


def test_a_with_block_closes(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index", dim=2) as index:
        pass
    with pytest.raises(StorageError, match="is closed"):
        len(index)
    assert kukla.Index is Index
