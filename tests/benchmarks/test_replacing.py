"""benchmarks.replacing: what the index must hold after the rounds; a wrong answer stops the command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from benchmarks.common import make_index
from benchmarks.replacing import Changes, replace_share

from benchmarks import replacing


@pytest.fixture
def changes(small_set: Path, tmp_path: Path) -> Iterator[Changes]:
    base = np.unique(np.load(small_set / "base.npy"), axis=0)
    with make_index(tmp_path / "index", base[:1200]) as index:
        made = Changes(tmp_path / "index", index, base, 1200)
        yield made
        made.reader.close()


def test_after_the_rounds_the_index_holds_what_the_changes_say(changes: Changes) -> None:
    replace_share(changes, 0.3, 3)
    ids, rows = changes.documents()

    assert len(changes.index) == len(ids) == 1200
    assert changes.changed["upserted"] == 120
    assert changes.changed["deleted"] == changes.changed["added"] == 240
    assert changes.looked > 300
    kept = np.array([document.vector for document in changes.index.get(ids.tolist())])
    np.testing.assert_allclose(kept, changes.base[rows], atol=1e-6)
    assert all(rate > 0 for rate in changes.rates().values())


def test_a_document_that_is_not_seen_at_once_stops_the_command(changes: Changes) -> None:
    changes.index.add(changes.base[1300:1301], ids=[5000])
    changes.rows[5000] = 1301  # another vector than the index has
    del changes.rows[7]  # which the index still has

    with pytest.raises(SystemExit, match="id 5000 was added and is not found"):
        changes._must_find([5000])
    with pytest.raises(SystemExit, match="id 7 was deleted or replaced and is found"):
        changes._must_not_find([(7, 7)])


def test_a_set_without_rows_to_add_is_refused(small_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replacing, "one_thread", lambda: None)
    monkeypatch.setattr("sys.argv", ["replacing", str(small_set), "--count", "1900"])
    with pytest.raises(SystemExit, match=r"with 30% replaced, --count is from 100 to 1,438, got 1,900"):
        replacing.main()
