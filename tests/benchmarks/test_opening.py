"""benchmarks.opening: a fresh process, and files that are really out of the page cache."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.common import make_index
from benchmarks.opening import cached_share, drop_from_cache, measure

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="drops files from Linux's page cache")


def test_what_is_read_is_cached_and_what_is_dropped_is_not(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(3_000_000))
    (tmp_path / "file").read_bytes()
    assert cached_share(tmp_path) == 1.0

    drop_from_cache(tmp_path)

    dropped = cached_share(tmp_path)
    (tmp_path / "file").read_bytes()
    if dropped == 1.0:
        pytest.skip("this file system lives in memory and drops nothing")
    assert dropped < 0.1
    assert cached_share(tmp_path) == 1.0


def test_a_fresh_process_opens_and_searches(small_set: Path, tmp_path: Path) -> None:
    base, queries = np.load(small_set / "base.npy"), np.load(small_set / "queries.npy")
    make_index(tmp_path / "index", base).close()
    np.save(tmp_path / "queries.npy", queries[:5])

    line = measure(tmp_path / "index", tmp_path / "queries.npy", "512:int8@4x > 512:float32", 1, cold=True)

    (run,) = line["runs"]
    assert run["documents"] == 2000
    assert line["open_and_first_ms"] == pytest.approx(1e3 * (run["open"] + run["first"]))
    assert all(run[part] > 0 for part in ("python", "imports", "open", "first", "second", "later"))
    with pytest.raises(SystemExit, match=r"(?s)open_once.py failed.*999:float32"):
        measure(tmp_path / "index", tmp_path / "queries.npy", "999:float32", 1, cold=True)
