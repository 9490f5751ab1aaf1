"""What the figures of `benchmarks.minilm` rest on: what is drawn, ranks of resamples, paired intervals."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from benchmarks.minilm import mixture
from benchmarks.minilm.intervals import RESAMPLES, Resampled, draws, resample
from benchmarks.minilm.similarity import read_pair_sets, spearman


def mid_ranks(values: list[float]) -> list[float]:
    """One plus how many are below, plus half of how many others are equal."""
    return [
        1 + sum(other < value for other in values) + (sum(other == value for other in values) - 1) / 2
        for value in values
    ]


def test_spearman_of_a_resample_is_that_of_the_pairs_drawn() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 9, 60).astype(float), rng.integers(0, 5, 60).astype(float)
    right += left / 2
    drawn = rng.integers(0, 60, (4, 60))
    weights = np.array([np.bincount(rows, minlength=60) for rows in drawn], dtype=float)
    expected = [
        np.corrcoef(mid_ranks(left[rows].tolist()), mid_ranks(right[rows].tolist()))[0, 1] for rows in drawn
    ]
    np.testing.assert_allclose(spearman(left, right, weights), expected, atol=1e-12)
    assert len(set(np.round(expected, 6))) == 4


class TestIntervals:
    def values(self, shift: float) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(1)
        queries = rng.random((2, 80))
        return {"a": queries, "b": queries + shift}

    def found(self, shift: float) -> Resampled:
        values = self.values(shift)

        def means(weights: np.ndarray) -> dict[str, np.ndarray]:
            return {name: one @ weights.T / weights.sum(axis=1) for name, one in values.items()}

        return resample([(80, means), (80, means)])

    def test_the_first_draw_is_the_sample(self) -> None:
        assert draws(5).shape == (1 + RESAMPLES, 5)
        assert (draws(5)[0] == 1).all()
        assert (draws(5).sum(axis=1) == 5).all()
        assert self.found(0.1).mean("a", 1)[0] == pytest.approx(self.values(0.1)["a"][1].mean())

    def test_differences_are_paired(self) -> None:
        """Queries differ by much, systems by the same everywhere: nothing is uncertain about that."""
        found = self.found(0.1)
        np.testing.assert_allclose(found.difference("b", "a", 0), 0.1, atol=1e-12)
        mean, low, high = found.mean("a", 0)
        assert high - low > 0.05
        assert low < mean < high

    def test_shares_are_of_whole_vectors(self) -> None:
        found, values = self.found(0.1), self.values(0.1)
        assert found.share("b", 1)[0] == pytest.approx(values["b"][1].mean() / values["b"][0].mean())
        assert found.share("b", 1, "a")[0] == pytest.approx(values["b"][1].mean() / values["a"][0].mean())


def test_held_out_pairs_share_no_text_with_those_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixture, "ROWS", {"words": 20, "titles": 10})
    monkeypatch.setattr(mixture, "DEV_ROWS", 5)
    (tmp_path / "train").mkdir()
    for name in mixture.ROWS:
        rows = [{"query": f"{name} {i % 50}", "text": f"text of {name} {i}"} for i in range(60)]
        with gzip.open(tmp_path / "train" / f"{name}.jsonl.gz", "wt") as lines:
            lines.write("".join(json.dumps(row) + "\n" for row in rows))
    train, dev = mixture.write_mixture(tmp_path, tmp_path / "mixture")
    queries, texts = mixture.read_pairs(train, 100)
    assert len(queries) == len(set(queries)) == len(set(texts)) == 30
    held = [json.loads(line)["text"] for line in (dev / "queries.jsonl").read_text().splitlines()]
    assert len(held) == 10
    assert not set(held) & set(queries)
    before = train.read_bytes()
    mixture.write_mixture(tmp_path, tmp_path / "mixture")
    assert train.read_bytes() == before


@pytest.mark.shared_data
def test_pair_sets_are_test_splits_of_equal_size() -> None:
    if "KUKLA_DATA" not in os.environ:
        pytest.skip("KUKLA_DATA names no data folder")
    sets = list(read_pair_sets(Path(os.environ["KUKLA_DATA"]) / "sts", 100))
    assert [one.name for one in sets] == ["SICK", "STS 2012", "STS 2013", "STS 2014", "STS 2015", "STS 2016"]
    assert {len(one.first) for one in sets} == {100}
    assert all(one.grades.min() >= 0 and one.grades.max() <= 5 for one in sets)
