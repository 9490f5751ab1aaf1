"""What is drawn: seeds, layouts, files of every kind, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.profile.conftest import make_clusters

from kukla.errors import InputError, VectorError
from kukla.profile import profile
from kukla.profile.sample import draw_sample
from kukla.readers import read_vectors, write_vectors


def test_the_same_seed_is_the_same_profile_and_nothing_is_changed(nested: np.ndarray) -> None:
    before = nested.copy()
    first, again = profile(nested, dims=[16], seed=4), profile(nested, dims=[16], seed=4)
    assert first.to_dict() == again.to_dict()
    np.testing.assert_array_equal(nested, before)
    assert profile(nested, dims=[16], seed=5).rows[0].random != first.rows[0].random


def test_lengths_dtypes_and_memory_order_make_no_difference(nested: np.ndarray) -> None:
    lengths = np.random.default_rng(0).uniform(0.5, 20, (300, 1))
    plain = profile(nested, dims=[16]).rows[0]
    for same in (np.asfortranarray(nested), nested.astype(np.float64), nested.astype(np.float64) * lengths):
        assert profile(same, dims=[16]).rows[0].prefix.mean == pytest.approx(plain.prefix.mean, abs=2e-3)


def test_without_queries_every_vector_of_a_small_set_is_one(nested: np.ndarray) -> None:
    drawn = draw_sample(nested, None, size=1000, seed=0)
    assert drawn.queries is drawn.documents
    assert drawn.searched == 299
    assert np.bincount(drawn.query_folds).tolist() == [60] * 5
    assert drawn.notes == ("no queries given: each vector searches all the others; real queries differ",)


def test_more_vectors_are_sampled_and_held_out() -> None:
    rows = make_clusters(4000, 16, seed=0, decay=0.3)
    drawn = draw_sample(rows, None, size=2000, seed=0)
    assert drawn.fit is not None
    assert (len(drawn.queries), len(drawn.documents), len(drawn.fit)) == (500, 750, 750)
    parts = np.concatenate([drawn.queries, drawn.documents, drawn.fit])
    assert len(np.unique(parts, axis=0)) == 2000  # nothing is in two of them
    assert "a random sample of 2,000 of 4,000 vectors (seed 0)" in drawn.notes[0]
    assert "500 held-out vectors are the queries" in drawn.notes[1]


def test_given_queries_search_everything_and_never_find_themselves(nested: np.ndarray) -> None:
    strangers = make_clusters(30, 64, seed=8, decay=0.5)
    found = profile(nested, np.concatenate([strangers, nested[:12]]), dims=[16])
    assert (found.queries, found.documents) == (42, 300)
    assert "12 queries are among the vectors; none finds itself" in found.notes
    many = profile(nested, make_clusters(900, 64, seed=8, decay=0.5), dims=[16])
    assert "a random 500 of 900 queries" in many.notes


def test_k_and_the_shortlist_shrink_with_the_documents() -> None:
    found = profile(make_clusters(21, 32, seed=0, decay=0.4))
    assert (found.k, found.shortlist) == (4, 5)
    assert "k is 4, not 10: each query searches only 20 documents" in found.notes
    assert any("the shortlist is 5, a quarter of the documents, not 40" in note for note in found.notes)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".fvecs"])
def test_files_are_read_like_arrays(tmp_path: Path, nested: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"vectors{suffix}"
    write_vectors(path, nested)
    steps: list[tuple[int, int | None]] = []
    found = profile(read_vectors(path), dims=[16], progress=lambda done, total: steps.append((done, total)))
    assert found.rows == profile(nested, dims=[16]).rows
    assert steps[-1] == (29, 29)
    part = profile(read_vectors(path), dims=[16], sample=100)
    assert part.rows == profile(nested, dims=[16], sample=100).rows


def test_a_memory_map_is_read_where_the_sample_is(tmp_path: Path) -> None:
    path = tmp_path / "large.npy"
    large = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(50_000, 16))
    large[:] = np.random.default_rng(0).standard_normal((50_000, 16))
    clean = profile(read_vectors(path), sample=200).to_dict()
    chosen = np.random.default_rng(0).choice(50_000, 200, replace=False)
    large[np.setdiff1d(np.arange(50_000), chosen)] = np.nan  # never looked at
    large.flush()
    assert profile(read_vectors(path), sample=200).to_dict() == clean
    assert profile(np.load(path, mmap_mode="r"), sample=200).to_dict() == clean


def test_a_bad_row_is_named_by_its_number_in_the_file(tmp_path: Path, nested: np.ndarray) -> None:
    for value, message in ((np.nan, "row 123 holds nan at coordinate 0"), (0.0, "row 123 is all zeros")):
        bad = nested.copy()
        bad[123] = value
        np.save(tmp_path / "bad.npy", bad)
        for source in (bad, read_vectors(tmp_path / "bad.npy")):
            with pytest.raises(VectorError, match=message):
                profile(source)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda v: v[:19], InputError, "at least 20 different vectors, got 19; 50 give a rough answer"),
        (lambda v: np.repeat(v[:7], 30, axis=0), InputError, r"got 7 \(210 with copies\)"),
        (lambda v: np.ones((100, 32)), InputError, r"got 1 \(100 with copies\)"),
        (lambda v: v[:0], InputError, "got 0"),
        (lambda v: v[:, :15], InputError, "15 dims; a profile needs at least 16"),
        (lambda v: v[0], VectorError, "must be a batch"),
        (lambda v: v[None], VectorError, "must be one vector"),
        (lambda v: (v * 100).astype(np.int8), VectorError, "got dtype int8; decode quantised codes first"),
        (lambda v: [[1.0, 2.0], [3.0]], VectorError, "rows of different lengths"),
    ],
)
def test_bad_vectors(change: object, error: type[Exception], message: str, nested: np.ndarray) -> None:
    with pytest.raises(error, match=message):
        profile(change(nested))  # type: ignore[operator]


def test_bad_queries_dims_and_counts(nested: np.ndarray) -> None:
    with pytest.raises(VectorError, match="queries have 32 dims, the vectors 64; they must be of one space"):
        profile(nested, nested[:, :32])
    with pytest.raises(InputError, match="at least 10 queries, got 3"):
        profile(nested, nested[:3])
    with pytest.raises(VectorError, match="a dim of the profile must be an integer from 1 to 64, got 65"):
        profile(nested, dims=[65])
    with pytest.raises(InputError, match="at least one dim"):
        profile(nested, dims=[])
    with pytest.raises(InputError, match="k must be"):
        profile(nested, k=0)
    with pytest.raises(InputError, match="sample must be an integer, at least 20"):
        profile(nested, sample=5)
    with pytest.raises(InputError, match="seed must be"):
        profile(nested, seed=-1)


def test_of_ten_million_rows_only_the_drawn_ones_are_looked_at(tmp_path: Path) -> None:
    rows = make_clusters(600, 16, seed=3, decay=0.5)
    path, count = tmp_path / "many.npy", 10_000_000
    many = np.lib.format.open_memmap(
        path, "w+", np.float16, (count, 16)
    )  # a sparse file: zeros are not stored
    drawn = np.sort(np.random.default_rng(0).choice(count, 600, replace=False))  # what the seed draws
    many[drawn] = rows
    many.flush()
    found = profile(read_vectors(path), dims=[8], sample=600)
    assert (found.total, found.documents) == (count, 599)
    assert "a random sample of 600 of 10,000,000 vectors (seed 0)" in found.notes[0]
    with pytest.raises(VectorError, match="is all zeros"):  # any other row would have been refused
        profile(read_vectors(path), dims=[8], sample=600, seed=1)
