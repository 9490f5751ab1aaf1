"""Windows of text, and a set that goes on where it was stopped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks.peers.make_sets import LONGEST_PART, _make, cut, overlapping
from benchmarks.peers.workloads import Workload

TEXT = (
    "One two three four five six seven eight nine ten. Short one. Then a sentence follows that is a little "
    "longer than fifteen words, so that it has to be cut into two parts of equal length. The end is here now."
)


def test_windows_cover_the_text_once() -> None:
    assert " ".join(cut(TEXT)) == TEXT
    assert max(len(part.split()) for part in cut(TEXT, LONGEST_PART)) <= LONGEST_PART


def test_overlapping_windows_are_all_runs_of_one_to_three_parts() -> None:
    parts, windows = list(cut(TEXT, LONGEST_PART)), list(overlapping(TEXT))

    assert len(parts) >= 4
    assert len(windows) == len(set(windows)) == 3 * len(parts) - 3
    assert set(parts) < set(windows)
    assert " ".join(parts[1:4]) in windows
    assert all(window in TEXT for window in windows)


def test_a_set_that_was_stopped_goes_on_and_is_the_same(tmp_path: Path) -> None:
    encoded: list[str] = []

    def encode(texts: list[str]) -> np.ndarray:
        if len(encoded) >= 4 and stop:
            raise KeyboardInterrupt
        encoded.extend(texts)
        angles = np.array([len(text) for text in texts], dtype=np.float32)
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)

    windows, said = ["x" * n for n in range(10)], []
    stop = True
    with pytest.raises(KeyboardInterrupt):
        _make(tmp_path / "set", windows, ["q"], 2, encode, encode, "ten windows", said.append)
    assert not (tmp_path / "set" / "base.npy").exists()
    stop = False
    _make(tmp_path / "set", windows, ["q"], 2, encode, encode, "ten windows", said.append)

    assert encoded == [*windows, "q"], "nothing is embedded twice"
    base = np.load(tmp_path / "set" / "base.npy")
    np.testing.assert_allclose(base[:, 0], np.cos(np.arange(10, dtype=np.float32)))
    assert json.loads((tmp_path / "set" / "workload.json").read_text())["about"].startswith("ten windows; ")
    assert Workload.open(tmp_path / "set").rows == 10
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == [
        "base.npy",
        "queries.npy",
        "workload.json",
    ]


def test_what_was_begun_for_another_set_is_begun_anew(tmp_path: Path) -> None:
    def encode(texts: list[str]) -> np.ndarray:
        return np.ones((len(texts), 1), dtype=np.float32)

    (tmp_path / "progress.json").write_text(json.dumps({"about": "other", "rows": 4}))
    np.save(tmp_path / "base.tmp.npy", np.zeros((6, 1), dtype=np.float32))
    _make(tmp_path, list("abcdef"), ["q"], 4, encode, encode, "these", lambda _: None)
    assert (np.load(tmp_path / "base.npy") == 1).all()
