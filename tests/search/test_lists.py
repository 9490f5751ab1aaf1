"""Plans that look into lists: NumPy is the specification, native code gives the same bits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.partition.samples import clustered, reports, same_everywhere, three_segments

from kukla import Index, Plan, Stage, kernels
from kukla.errors import PlanError
from kukla.partition.model import SHORTLIST, rows_wanted
from kukla.partition.probe import Probe, Tables
from kukla.search import run as run_module
from kukla.search.lists import scan_lists

native = pytest.mark.skipif(kernels.available() == ("numpy",), reason="no native kernels here")
DIM = 48
PLANS = (
    "48:pq4@40 > 48:float32",
    "48:pq4/1@10 > 48:float32",
    "48:pq4/5@60 > 48:int8@20 > 48:float32",
    "48:pq4/30@3x > 48:int8",
    "48:pq4/7",
    "48:pq4/9999@100 > 48:float32",
)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """2,100 cosine documents in three segments, one of each kind."""
    with kernels.use(kernels.available()[0]):
        index = three_segments(tmp_path_factory.mktemp("lists") / "index", DIM, nesting=(16, DIM))
    with index:
        yield index


@pytest.fixture(scope="module")
def queries() -> NDArray[np.float32]:
    return clustered(12, DIM, seed=7)


def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep to the lists however few rows a filter leaves."""
    monkeypatch.setattr(run_module, "without_lists", lambda plan, *_, **__: plan)


# Native code against NumPy


@native
@pytest.mark.parametrize("plan", PLANS)
def test_every_instruction_set_gives_what_numpy_gives(
    mixed: Index, queries: NDArray[np.float32], plan: str
) -> None:
    one = same_everywhere(mixed, queries[:1], 10, plan)
    batch = same_everywhere(mixed, queries[:5], 10, plan)
    np.testing.assert_array_equal(one.ids[0], batch.ids[0])
    np.testing.assert_array_equal(one.scores[0], batch.scores[0])
    same_everywhere(mixed, queries[5:6], 1, plan)


@native
@pytest.mark.parametrize(
    ("dim", "options"),
    [
        (8, {"strings": True, "metric": "ip"}),
        (33, {"precisions": ("float16",)}),
        (100, {"metric": "ip", "precisions": ("int8", "float16")}),
        (130, {"strings": True, "precisions": ("float32",)}),
        (300, {"precisions": ("binary", "int8", "float32")}),
    ],
    ids=str,
)
def test_metrics_ids_dims_and_precisions(tmp_path: Path, dim: int, options: dict[str, Any]) -> None:
    exact = options.get("precisions", ("float32",))[-1]
    with three_segments(tmp_path / "index", dim, **options) as index:
        asked = clustered(3, dim, seed=5)
        for plan in (f"{dim}:pq4/6@30 > {dim}:{exact}", f"{dim}:pq4@10 > {dim}:{exact}"):
            same_everywhere(index, asked, 10, plan)


@native
def test_wide_vectors(tmp_path: Path) -> None:
    rows = clustered(1200, 1536)
    with Index.create(tmp_path / "index", dim=1536, nesting=(256, 1536)) as index:
        index.add(rows)
        index.partition(60, code_bytes=32)
        same_everywhere(index, clustered(2, 1536, seed=2), 10, "1536:pq4/8@100 > 1536:int8@20 > 1536:float32")


@native
def test_a_projected_index(tmp_path: Path) -> None:
    from kukla.projection.fit_pca import fit_pca

    rows = clustered(1300, DIM)
    with Index.create(tmp_path / "index", dim=DIM, projection=fit_pca(rows)) as index:
        index.add(rows)
        index.partition(40)
        found = same_everywhere(index, rows[:5], 10, "48:pq4@1300 > 48:float32")
        exact = index.search(rows[:5], 10, plan="48:float32")
        np.testing.assert_array_equal(found.ids, exact.ids)
        assert found.ids[:, 0].tolist() == [0, 1, 2, 3, 4]


@native
def test_batches_in_the_order_of_lists_and_threads(mixed: Index) -> None:
    """More queries than share a reading of the lists, and more lists than a query looks at alone."""
    asked = clustered(110, DIM, seed=3)
    plan = "48:pq4/20@30 > 48:float32"
    batch = mixed.search(asked, 10, plan=plan)
    for threads in (2, 3):
        again = mixed.search(asked, 10, plan=plan, threads=threads)
        np.testing.assert_array_equal(again.ids, batch.ids)
        np.testing.assert_array_equal(again.scores, batch.scores)
        assert reports(again) == reports(batch)
    for i in (0, 1, 95, 96, 97, 109):
        single = mixed.search(asked[i], 10, plan=plan)
        np.testing.assert_array_equal(single.ids[0], batch.ids[i])
        np.testing.assert_array_equal(single.scores[0], batch.scores[i])
    with kernels.use("numpy"):
        expected = mixed.search(asked[90:100], 10, plan=plan)
    np.testing.assert_array_equal(batch.ids[90:100], expected.ids)
    np.testing.assert_array_equal(batch.scores[90:100], expected.scores)


@native
def test_a_batch_without_deletions_reads_list_after_list(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index", dim=DIM) as index:
        index.add(clustered(1500, DIM))
        index.partition(60)
        asked = clustered(15, DIM, seed=3)
        found = same_everywhere(index, asked, 10, "48:pq4/25@40 > 48:float32")
        for i in (0, 14):
            np.testing.assert_array_equal(index.search(asked[i], 10, plan=found.plan).ids[0], found.ids[i])


@native
@pytest.mark.parametrize("most", [1, 10, 50])
def test_filters(
    mixed: Index, queries: NDArray[np.float32], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each hundred documents so many match; the lists, and the plan that a search would rather run."""
    chosen = {"n": {"$lt": most}}
    plan = "48:pq4/6@30 > 48:float32"
    same_everywhere(mixed, queries[:4], 10, plan, filter=chosen)
    everywhere(monkeypatch)
    found = same_everywhere(mixed, queries[:4], 10, plan, filter=chosen)
    assert str(found.plan) == plan
    matching = mixed.search(queries[:1], 2450, plan="48:float32", filter=chosen).ids[0]
    assert found.ids.shape == (4, 10)
    assert np.isin(found.ids, matching).all()
    assert all(int(id_) % 100 < most for id_ in matching)


@native
def test_a_filter_that_nothing_matches(
    mixed: Index, queries: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    everywhere(monkeypatch)
    found = same_everywhere(mixed, queries[:2], 10, "48:pq4/6@30 > 48:float32", filter={"n": -1})
    assert found.ids.shape == (2, 0)
    assert found.scanned == 0


@native
def test_queries_of_every_size(tmp_path: Path) -> None:
    """Inner products of zeros, and of numbers near both ends of float32: the same bits, no warning."""
    with Index.create(tmp_path / "index", dim=DIM, metric="ip") as index:
        index.add(np.concatenate([np.zeros((30, DIM), np.float32), clustered(1300, DIM)]))
        index.partition(30)
        asked = np.concatenate([np.zeros((1, DIM), np.float32), clustered(1, DIM, seed=4)])
        same_everywhere(index, asked, 10, "48:pq4/4@30 > 48:float32")
        for factor in (1e-44, 1e-37, 1e-30, 1e30, 1e37):
            same_everywhere(index, asked[1:] * np.float32(factor), 5, "48:pq4/4@30 > 48:float32")
        zero = index.search(asked[0], 5, plan="48:pq4@10 > 48:float32")
        assert (zero.ids.tolist(), zero.scores.tolist()) == ([[0, 1, 2, 3, 4]], [[0.0] * 5])


@native
@pytest.mark.parametrize("strings", [False, True])
def test_equal_scores_are_settled_by_id(tmp_path: Path, strings: bool) -> None:
    """Every document thrice, and five hundred that are all equal, over three segments."""
    rows = np.concatenate([np.repeat(clustered(420, DIM), 3, axis=0), np.ones((540, DIM), np.float32)])
    numbers = np.random.default_rng(2).permutation(len(rows)).tolist()
    ids: list[Any] = [f"é{n}" for n in numbers] if strings else numbers
    with Index.create(tmp_path / "index", dim=DIM) as index:
        for low, high in ((0, 500), (500, 1700), (1700, 1800)):
            index.add(rows[low:high], ids=ids[low:high])
        index.partition(12)
        # Estimates with and without codes differ: only what is kept as a whole is in the order of ids.
        found = same_everywhere(index, rows[-2:], 7, "48:pq4/3@900 > 48:float32")
        equal = sorted(ids[1260:])
        assert found.ids[0].tolist() == found.ids[1].tolist() == equal[:7]
        same_everywhere(index, rows[-2:], 7, "48:pq4/3@20 > 48:float32")
        same_everywhere(index, rows[:3], 20, "48:pq4/2@25 > 48:int8@22 > 48:float32")


@pytest.mark.parametrize("asked", [1, 3])
def test_what_one_segment_finds_comes_in_order(tmp_path: Path, isa: str, asked: int) -> None:
    """Also where lists are the last stage: no other one sorts what they found."""
    with Index.create(tmp_path / "index", dim=DIM) as index:
        index.add(clustered(1200, DIM))
        index.partition(20)
        found = index.search(clustered(asked, DIM, seed=6), 50, plan="48:pq4/5")
        assert (np.diff(found.scores, axis=1) <= 0).all()
        with kernels.use("numpy"):
            expected = index.search(clustered(asked, DIM, seed=6), 50, plan="48:pq4/5")
        np.testing.assert_array_equal(found.ids, expected.ids)
        np.testing.assert_array_equal(found.scores, expected.scores)


@native
def test_vectors_that_are_all_equal(tmp_path: Path) -> None:
    """One list has everything, the others nothing; codes say nothing."""
    with Index.create(tmp_path / "index", dim=9) as index:
        index.add(np.ones((1100, 9)))
        index.partition(20)
        found = same_everywhere(index, np.ones((2, 9)), 8, "9:pq4/1@8 > 9:float32")
        assert found.ids.tolist() == [list(range(8))] * 2
        same_everywhere(index, -np.ones((1, 9)), 1100, "9:pq4/1@8 > 9:float32")


# What a plan with lists promises


def test_all_lists_and_a_shortlist_of_everything_are_exact(
    mixed: Index, queries: NDArray[np.float32], isa: str
) -> None:
    exact = mixed.search(queries, 12, plan="48:float32")
    for plan in ("48:pq4@2450 > 48:float32", "48:pq4/150@2450 > 48:float32", "48:pq4/1@2450 > 48:float32"):
        found = mixed.search(queries, 12, plan=plan)
        np.testing.assert_array_equal(found.ids, exact.ids)
        np.testing.assert_array_equal(found.scores, exact.scores)
        assert found.stages[0].scored == len(mixed) * len(queries)
        assert {str(one) for one in found.certificates()} == {"exact"}


def test_k_above_the_number_of_documents_gives_all(
    mixed: Index, queries: NDArray[np.float32], isa: str
) -> None:
    found = mixed.search(queries[:2], 10_000, plan="48:pq4/1@1 > 48:float32")
    exact = mixed.search(queries[:2], 10_000, plan="48:float32")
    np.testing.assert_array_equal(found.ids, exact.ids)


def test_more_lists_find_more(mixed: Index) -> None:
    asked = clustered(60, DIM, seed=9)
    exact = mixed.search(asked, 10, plan="48:float32").ids
    shares = []
    for probes in (1, 4, 16, 150):
        found = mixed.search(asked, 10, plan=f"48:pq4/{probes}@30 > 48:float32").ids
        shares.append(np.mean([len({*a} & {*b}) / 10 for a, b in zip(found, exact, strict=True)]))
    assert shares == sorted(shares)
    assert shares[0] < 0.8 < 0.9 < shares[-1], shares


def test_lists_prove_nothing_unless_everything_was_kept(mixed: Index) -> None:
    """A list that nobody looked into may hold better documents: its estimates are no bounds."""
    asked = clustered(60, DIM, seed=9)
    plan = "48:pq4/1@10 > 48:float32"
    found = mixed.search(asked, 10, plan=plan)
    exact = mixed.search(asked, 10, plan="48:float32")
    assert (found.ids != exact.ids).any()
    assert {str(one) for one in found.certificates()} == {"not certified"}
    proven = mixed.search(asked, 10, plan=plan, certify=True)
    np.testing.assert_array_equal(proven.ids, exact.ids)
    np.testing.assert_array_equal(proven.scores, exact.scores)
    assert proven.proof is not None
    assert proven.proof.queries == 60
    assert proven.proof.changed > 0
    assert {str(one) for one in proven.certificates()} == {"exact"}


def test_the_order_of_adding_does_not_matter(tmp_path: Path) -> None:
    """The same partition over the same documents in another order, and merged: the same answers."""
    rows = clustered(1600, DIM)
    answers = []
    for seed in (0, 1):
        with Index.create(tmp_path / str(seed), dim=DIM, metric="ip") as index:
            first = np.arange(1600)
            index.add(rows, ids=first.tolist())
            index.partition(20, seed=3)
            if seed:
                for part in np.array_split(np.random.default_rng(seed).permutation(1600), 3):
                    index.upsert(rows[part], ids=part.tolist())
            index.compact()
            answers.append(index.search(clustered(9, DIM, seed=1), 10, plan="48:pq4/4@50 > 48:float32"))
    np.testing.assert_array_equal(answers[0].ids, answers[1].ids)
    np.testing.assert_array_equal(answers[0].scores, answers[1].scores)


def test_reports_count_what_was_read(tmp_path: Path, isa: str) -> None:
    """Of one list: all lists are alike here. The cost model says the same of all lists."""
    with Index.create(tmp_path / "index", dim=DIM) as index:
        index.add(clustered(1200, DIM))
        index.partition(1, code_bytes=16)
        plan = "48:pq4/1@50 > 48:float32"
        found = index.search(clustered(3, DIM, seed=1), 10, plan=plan)
        cost = index.explain(plan)
        assert [one.scored for one in found.stages] == [3 * 1200, 3 * 50]
        assert [one.kept for one in found.stages] == [3 * 50, 3 * 10]
        assert [one.bytes_read for one in found.stages] == [3 * one.bytes_read for one in cost.stages]
        partition = index._opened.store.current().partition
        assert partition is not None
        assert (partition.mean_bytes, partition.short_bytes, partition.code_bytes) == (8, 4, 16)
        means = 38 * (8 + 1 + 4)  # of blocks of 32 rows
        rows = 1200 * (4 + 1) + SHORTLIST * 50 * (16 + 4)
        assert found.stages[0].bytes_read == 3 * (partition.choosing_bytes(1) + means + rows)


def test_of_lists_that_are_alike_as_many_rows_are_scored_as_the_cost_model_says(
    tmp_path: Path, isa: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve lists of 128 documents, four whole blocks each: reports and the model agree to a block."""
    places = np.eye(12, DIM, dtype=np.float32) * 5
    rows = np.repeat(places, 128, axis=0) + clustered(12 * 128, DIM, places=1) / 20
    monkeypatch.setattr("kukla.partition.train.k_means", lambda *_, **__: places / 5)
    with Index.create(tmp_path / "index", dim=DIM) as index:
        index.add(rows)
        index.partition(12, code_bytes=16)
        made = index.info().partition
        assert made is not None
        assert (made.shortest, made.longest) == (128, 128)
        for plan in ("48:pq4/4@5 > 48:float32", "48:pq4/9@5 > 48:float32", "48:pq4/6@20 > 48:float32"):
            report = index.search(rows[5], 5, plan=plan).stages[0]
            cost = index.explain(plan, k=5).stages[0]
            assert cost.scored < 12 * 128
            assert cost.scored <= report.scored < cost.scored + 32
            assert report.bytes_read - report.scored * 5 == cost.bytes_read - cost.scored * 5


def test_a_filter_or_deletions_are_not_counted(
    tmp_path: Path, isa: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    everywhere(monkeypatch)
    with Index.create(tmp_path / "index", dim=DIM) as index:
        index.add(clustered(1200, DIM), metadata=[{"n": i % 4} for i in range(1200)])
        index.partition(1)
        index.delete(range(0, 1200, 3))
        plan = "48:pq4@50 > 48:float32"
        assert index.search(clustered(2, DIM), plan=plan).stages[0].scored == 2 * 800
        assert index.search(clustered(2, DIM), plan=plan, filter={"n": 1}).stages[0].scored == 2 * 200


def test_a_selective_filter_goes_without_lists(mixed: Index, queries: NDArray[np.float32], isa: str) -> None:
    """A scan of the few that match reads less; the result says which plan was run, and is as exact as it."""
    few = mixed.search(queries, 5, plan="48:pq4/4@50 > 48:float32", filter={"n": 3})
    assert str(few.plan) == "48:float32"
    exact = mixed.search(queries, 5, plan="48:float32", filter={"n": 3})
    np.testing.assert_array_equal(few.ids, exact.ids)
    alone = mixed.search(queries, 5, plan="48:pq4/4", filter={"n": 3})
    assert str(alone.plan) == "48:float32"
    many = mixed.search(queries, 5, plan="48:pq4/4@50 > 48:float32", filter={"n": {"$lt": 90}})
    assert str(many.plan) == "48:pq4/4@50 > 48:float32"


# Two codes a row


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """3,090 documents in three segments with codes; every vector is there thrice, once in each."""
    rows, order = clustered(1030, DIM), np.random.default_rng(6).permutation(3090)
    with (
        kernels.use(kernels.available()[0]),
        Index.create(tmp_path_factory.mktemp("coded") / "index", dim=DIM, metric="ip") as index,
    ):
        for part in np.split(order, 3):
            index.add(rows, ids=part.tolist(), metadata=[{"n": int(i) % 100} for i in part])
        index.partition(40, code_bytes=16)
        assert [one is not None for one in index._opened.store.current().lists] == [True] * 3
        yield index


def brute_force(index: Index, query: NDArray[np.float32], probes: int, keep: int) -> tuple[NDArray[Any], ...]:
    """Of all rows of the best blocks of the nearest lists their numbers, ids, short and long scores."""
    view, one = index._opened.store.current(), np.float32
    partition = view.partition
    assert partition is not None
    probe = Probe.of(partition, query, probes)
    blocks = []
    for s, lists in enumerate(view.lists):
        assert lists is not None
        for number, score in zip(probe.lists[:probes].tolist(), probe.scores[:probes].tolist(), strict=True):
            end = int(lists.offsets[number + 1])
            for place, at in enumerate(range(int(lists.offsets[number]), end, 32), int(lists.blocks[number])):
                code = lists.means[place // 32, :, place % 32]
                mean = (one(score) + short_score(code, probe.mean)) * lists.routes[place]
                blocks.append((-mean, s, place, range(at, min(at + 32, end)), score))
    blocks.sort(key=lambda block: block[:3])
    wanted = rows_wanted(sum(len(block[3]) for block in blocks), probes, partition.lists, keep)
    found: list[tuple[Any, ...]] = []
    for _, s, place, records, score in blocks:
        if len(found) >= wanted:
            break
        lists = view.lists[s]
        assert lists is not None
        for i, record in enumerate(records):
            row, tables, long = int(lists.rows[record]), probe.long, lists.longs[record]
            short = one(score) + short_score(lists.shorts[place, :, i], probe.short)
            residual = tables.offset + tables.delta * sum_of(long[:-2], tables.entries)
            (id_,) = view.segments[s].ids(np.array([row]))
            found.append((row + int(view.starts[s]), id_, short, one(score + long[-2] / 64 * residual)))
    assert wanted <= len(found) < wanted + 32
    return tuple(map(np.array, zip(*found, strict=True)))


def short_score(code: NDArray[np.uint8], tables: Tables) -> np.float32:
    """Of a code and its stretch, in float32 from the start."""
    one = np.float32
    inside = one(tables.offset) + one(tables.delta) * one(sum_of(code[:-1], tables.entries))
    return one(code[-1]) * one(1 / 64) * inside


def sum_of(code: NDArray[np.uint8], entries: NDArray[np.uint8]) -> int:
    return sum(
        int(entries[2 * p, byte & 15]) + int(entries[2 * p + 1, byte >> 4])
        for p, byte in enumerate(code.tolist())
    )


def test_the_best_by_short_codes_are_scored_by_their_long_codes(coded: Index) -> None:
    """So many for each row that the stage keeps: of three equal ones at the end, those of the first ids."""
    view, query = coded._opened.store.current(), clustered(1, DIM, seed=8)[0]
    for keep in (1, 3):
        rows, ids, short, long = brute_force(coded, query, 10, keep)
        best = np.lexsort((ids, -short))
        chosen = best[: SHORTLIST * keep]
        found, scores, scored = scan_lists(
            Stage.parse(f"48:pq4/10@{keep}"), query[None], view, view.live, keep
        )
        assert scored == len(rows)
        assert {*found[0].tolist()} == {*rows[chosen].tolist()}
        expected = dict(zip(rows.tolist(), long.tolist(), strict=True))
        assert scores[0].tolist() == [expected[row] for row in found[0].tolist()]
        kept = chosen[np.lexsort((ids[chosen], -long[chosen]))][:keep]
        answer = coded.search(query, keep, plan="48:pq4/10")
        assert answer.ids[0].tolist() == ids[kept].tolist()
        assert answer.scores[0].tolist() == long[kept].tolist()
    assert short[best[SHORTLIST - 1]] == short[best[SHORTLIST]]


@native
@pytest.mark.parametrize("most", [100, 50, 3])
def test_survivors_are_the_same_everywhere(coded: Index, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few of them, of threes that are equal: alone and in batches, under filters, with threads."""
    everywhere(monkeypatch)
    asked = clustered(40, DIM, seed=4)
    for plan in ("48:pq4/10", "48:pq4/3@7 > 48:float32", "48:pq4@2 > 48:int8"):
        for k, part in ((1, asked[:1]), (2, asked[:20]), (7, asked[:3])):
            one = same_everywhere(coded, part, k, plan, filter={"n": {"$lt": most}})
            again = coded.search(part, k, plan=plan, threads=3, filter={"n": {"$lt": most}})
            np.testing.assert_array_equal(again.ids, one.ids)
            np.testing.assert_array_equal(again.scores, one.scores)


@native
@pytest.mark.parametrize("different", [140_000, 900])
def test_more_rows_than_native_code_holds_scores_of_at_a_time(tmp_path: Path, different: int) -> None:
    """It holds 131,072. With 900 different vectors, ties are settled across those parts."""
    rows = clustered(different, 8, seed=13)[np.arange(140_000) % different]
    with Index.create(tmp_path / "index", dim=8) as index:
        index.add(rows, batch_rows=len(rows))
        index.partition(40, code_bytes=8)
        for plan in ("8:pq4@300 > 8:float32", "8:pq4/20"):
            same_everywhere(index, clustered(3, 8, seed=14), 10, plan)


def test_long_codes_find_what_short_ones_do_not(coded: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shortlist is as good as if all rows were scored by long codes, nearly; short codes are not."""
    asked = clustered(100, DIM, seed=12)
    exact = [{*line} for line in coded.search(asked, 10, plan="48:float32").ids.tolist()]

    def recall(times: int) -> float:
        with monkeypatch.context() as patch, kernels.use("numpy"):
            patch.setattr("kukla.search.lists.SHORTLIST", times)
            found = coded.search(asked, 10, plan="48:pq4").ids.tolist()
        return float(np.mean([len({*a} & b) / 10 for a, b in zip(found, exact, strict=True)]))

    short, usual, everything = recall(1), recall(SHORTLIST), recall(10_000)
    assert short < usual - 0.1
    assert abs(usual - everything) < 0.02


# Where there are no lists


@pytest.mark.parametrize("count", [0, 20])
def test_without_a_partition_there_is_an_error_that_says_what_to_do(tmp_path: Path, count: int) -> None:
    with Index.create(tmp_path / "index", dim=DIM) as index:
        if count:
            index.add(clustered(count, DIM))
        for call in (
            lambda: index.search(np.ones(DIM), plan="48:pq4@20 > 48:float32"),
            lambda: index.explain("48:pq4@20 > 48:float32"),
        ):
            with pytest.raises(
                PlanError, match=r"48:pq4@20: the index has no lists; make them with its partition\(\)"
            ):
                call()


def test_an_index_that_became_empty_finds_nothing(tmp_path: Path, isa: str) -> None:
    with Index.create(tmp_path / "index", dim=DIM) as index:
        index.add(clustered(1100, DIM))
        index.partition(10)
        index.delete(range(1100))
        found = index.search(np.ones((2, DIM)), 5, plan="48:pq4/2@20 > 48:float32")
        assert found.ids.shape == (2, 0)
        assert index.search(np.empty((0, DIM)), 5, plan="48:pq4/2").ids.shape == (0, 0)
        index.add(clustered(3, DIM))
        assert index.search(np.ones((2, DIM)), 5, plan="48:pq4/2@20 > 48:float32").ids.shape == (2, 3)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ("16:pq4@20 > 48:float32", "pq4 codes are of all dims, 48"),
        ("48:int8@20 > 48:pq4", "only a first stage can look into lists|not more than"),
        ("48:int8/3@20 > 48:float32", "only pq4 stages look into lists; int8 has no probes, got 3"),
        ("48:pq4/0@20 > 48:float32", "probes must be an integer from 1"),
    ],
)
def test_plans_that_make_no_sense(mixed: Index, plan: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        mixed.search(np.ones(DIM), plan=plan)


def test_a_plan_bound_before_the_lists_were_replaced_is_not_used_after(tmp_path: Path, isa: str) -> None:
    rows = clustered(1100, DIM)
    with Index.create(tmp_path / "index", dim=DIM) as index:
        index.add(rows)
        plan = Plan.parse("48:pq4@1100 > 48:float32")
        for lists in (5, 50, 9):
            index.partition(lists, seed=lists)
            found = index.search(rows[:4], 3, plan=plan)
            assert found.ids[:, 0].tolist() == [0, 1, 2, 3]
            assert found.stages[0].scored == 4 * 1100


def test_many_threads_search_while_lists_are_made(tmp_path: Path) -> None:
    """Whatever is there when a search begins, it is searched as a whole."""
    rows = clustered(1500, DIM)
    with Index.create(tmp_path / "index", dim=DIM) as index:
        index.add(rows)
        index.partition(10)
        expected = index.search(rows[:6], 5, plan="48:float32").ids
        odd: list[BaseException] = []
        done = threading.Event()

        def search() -> None:
            try:
                while not done.is_set():
                    found = index.search(rows[:6], 5, plan="48:pq4@1500 > 48:float32")
                    np.testing.assert_array_equal(found.ids, expected)
            except BaseException as error:
                odd.append(error)

        threads = [threading.Thread(target=search) for _ in range(3)]
        for thread in threads:
            thread.start()
        for lists in (20, 5, 30):
            index.partition(lists)
        done.set()
        for thread in threads:
            thread.join()
        assert odd == []
        index.verify()
