"""kill -9: what was acknowledged is there in full, what was not is there in full or not at all."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kukla import Index

Spawn = Callable[..., "subprocess.Popen[str]"]

BATCH = 20

ADD = """
import sys, numpy as np, kukla
with kukla.Index.open(sys.argv[1]) as index:
    for batch in range(int(sys.argv[2]), 10_000):
        vectors = np.random.default_rng(batch).normal(size=(20, 16))
        index.add(vectors, ids=[f"{batch}-{i}" for i in range(20)], texts=[f"text {batch}"] * 20)
        print(batch)
"""

COMPACT = """
import sys, numpy as np, kukla
with kukla.Index.open(sys.argv[1]) as index:
    print("ready")
    while True:
        index.upsert(np.random.default_rng(0).normal(size=(20, 16)), ids=[f"0-{i}" for i in range(20)])
        index.compact()
        print("done")
"""


def check(folder: Path, acknowledged: int) -> int:
    """Verify the index; returns how many batches are in it."""
    with Index.open(folder, verify=True) as index:
        count = len(index)
        assert count % BATCH == 0, "a part of a batch"
        batches = count // BATCH
        assert batches in (acknowledged, acknowledged + 1)
        for batch in range(batches):
            vectors = np.random.default_rng(batch).normal(size=(BATCH, 16))
            documents = index.get([f"{batch}-{i}" for i in range(BATCH)])
            for vector, document in zip(vectors, documents, strict=True):
                assert document.vector is not None
                np.testing.assert_allclose(document.vector, vector / np.linalg.norm(vector), atol=1e-6)
        index.delete("no such id")  # a change, so that orphans go
        named = {f"{segment.number:08d}.seg" for segment in index._opened.store._view.segments}  # type: ignore[union-attr]
        assert {path.name for path in (folder / "segments").iterdir()} == named
        return batches


def killed(process: subprocess.Popen[str], seconds: float, start: str) -> list[str]:
    """Wait for the line ``start``, kill at a later moment; returns the whole lines that were printed."""
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    assert lines[0] == start, process.communicate()
    time.sleep(seconds)
    process.kill()
    lines += process.communicate()[0].splitlines(keepends=True)
    return [line.strip() for line in lines if line.endswith("\n")]


@pytest.mark.slow
def test_killed_while_adding(tmp_path: Path, spawn: Spawn) -> None:
    folder = tmp_path / "index"
    Index.create(folder, dim=16, nesting=(8, 16)).close()
    rng = np.random.default_rng(20)
    batches = 0
    for _ in range(8):
        process = spawn(ADD, folder, batches)
        lines = killed(process, rng.uniform(0, 0.12), f"{batches}\n")
        assert [int(line) for line in lines] == list(range(batches, batches + len(lines)))
        batches = check(folder, batches + len(lines))
    assert batches >= 8


@pytest.mark.slow
def test_killed_while_compacting(tmp_path: Path, spawn: Spawn) -> None:
    folder = tmp_path / "index"
    with Index.create(folder, dim=16, nesting=(8, 16)) as index:
        for batch in range(6):
            vectors = np.random.default_rng(batch).normal(size=(BATCH, 16))
            index.add(vectors, ids=[f"{batch}-{i}" for i in range(BATCH)])
    rng = np.random.default_rng(21)
    for _ in range(4):
        killed(spawn(COMPACT, folder), rng.uniform(0, 0.08), "ready\n")
        assert check(folder, 6) == 6


STEPS = {
    "a segment half written": "kukla.storage.container.os.fsync",
    "a segment not yet renamed": "pathlib.Path.rename",
    "a segment renamed, the folder not synced": "kukla.storage.container.sync_folder",
    "a segment whole, the catalog not yet": "kukla.storage.store.Store._merge_some",
    "merged segments not yet removed": "pathlib.Path.unlink",
}

DIE = """
import os, sys, numpy as np, kukla
from unittest import mock
index = kukla.Index.open(sys.argv[1])
with mock.patch(sys.argv[2], lambda *_, **__: os.kill(os.getpid(), 9)):
    index.compact() if "unlink" in sys.argv[2] else index.add(np.ones((20, 16)), ids=map(str, range(20)))
"""


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_each_step(tmp_path: Path, spawn: Spawn, step: str) -> None:
    folder = tmp_path / "index"
    with Index.create(folder, dim=16, nesting=(8, 16)) as index:
        for batch in range(2):
            vectors = np.random.default_rng(batch).normal(size=(BATCH, 16))
            index.add(vectors, ids=[f"{batch}-{i}" for i in range(BATCH)])
    process = spawn(DIE, folder, STEPS[step])
    with contextlib.closing(process.stdout), contextlib.closing(process.stderr):  # type: ignore[type-var]
        assert process.wait(30) == -9
    assert len(list((folder / "segments").iterdir())) == 3, "something was left behind"
    assert check(folder, 2) == 2
