"""kukla truncate: every precision, every format, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from kukla import quantize, truncate
from kukla.readers import read_vectors, write_vectors

from .conftest import Invoke, Kukla, error_of


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".fvecs", ".fbin"])
def test_prefixes_are_renormalised_in_every_format(
    invoke: Invoke, vectors_file: Path, vectors: np.ndarray, tmp_path: Path, suffix: str
) -> None:
    result = invoke("truncate", vectors_file, tmp_path / f"out{suffix}", "--dims", 16)
    assert result.exit_code == 0, result.stderr
    assert "50 vectors, 64 -> 16 dims, float32; " in result.stdout
    (found,) = read_vectors(tmp_path / f"out{suffix}").batches(100)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, truncate(vectors, 16), atol=1e-7)


@pytest.mark.parametrize("suffix", [".npz", ".fvecs", ".fbin"])
def test_formats_of_the_input(
    invoke: Invoke, vectors: np.ndarray, vectors_file: Path, tmp_path: Path, suffix: str
) -> None:
    write_vectors(tmp_path / f"in{suffix}", vectors)
    for source in (tmp_path / f"in{suffix}", vectors_file):
        result = invoke(
            "truncate", source, tmp_path / "out.npy", "--dims", 32, "--precision", "float16", "--force"
        )
        assert result.exit_code == 0, result.stderr
        found = np.load(tmp_path / "out.npy")
        assert found.dtype == np.float16
        np.testing.assert_allclose(found, truncate(vectors, 32), atol=1e-3)


def test_int8_keeps_scales_and_ids(invoke: Invoke, vectors: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", vectors=vectors, ids=[f"n{i}" for i in range(50)])
    assert (
        invoke(
            "truncate", tmp_path / "in.npz", tmp_path / "out.npz", "--dims", 32, "--precision", "int8"
        ).exit_code
        == 0
    )
    expected = quantize(truncate(vectors, 32), "int8")
    with np.load(tmp_path / "out.npz", allow_pickle=False) as found:
        assert sorted(found.files) == ["codes", "ids", "scales"]
        np.testing.assert_array_equal(found["codes"], expected.codes)
        np.testing.assert_array_equal(found["scales"], expected.scales)
        assert found["ids"][49] == "n49"


def test_binary_in_both_layouts(
    kukla: Kukla, vectors_file: Path, vectors: np.ndarray, tmp_path: Path
) -> None:
    options = ["--dims", 20, "--precision", "binary"]
    assert kukla("truncate", vectors_file, "ours.npy", *options).returncode == 0
    assert (
        kukla(
            "truncate", vectors_file, "theirs.npy", *options, "--layout", "sentence-transformers"
        ).returncode
        == 0
    )
    ours, theirs = np.load(tmp_path / "ours.npy"), np.load(tmp_path / "theirs.npy")
    np.testing.assert_array_equal(ours, np.packbits(vectors[:, :20] > 0, axis=1))
    assert theirs.dtype == np.int8
    np.testing.assert_array_equal(theirs, (ours.astype(np.int16) - 128).astype(np.int8))


def test_more_rows_than_a_batch(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vectors: np.ndarray, vectors_file: Path
) -> None:
    monkeypatch.setattr(sys.modules["kukla.cli.truncate"], "BATCH_ROWS", 7)  # not the command of that name
    assert (
        invoke("truncate", vectors_file, tmp_path / "out.npz", "--dims", 16, "--precision", "int8").exit_code
        == 0
    )
    with np.load(tmp_path / "out.npz") as found:
        np.testing.assert_array_equal(found["codes"], quantize(truncate(vectors, 16), "int8").codes)
    vectors[30, 60] = np.nan
    np.save(vectors_file, vectors)
    assert "row 30 holds nan" in error_of(invoke("truncate", vectors_file, tmp_path / "x.npy", "--dims", 16))
    vectors[30], vectors[30, 60] = 0, 1
    np.save(vectors_file, vectors)
    assert "row 30 is all zeros" in error_of(
        invoke("truncate", vectors_file, tmp_path / "x.npy", "--dims", 16)
    )


def test_bad_inputs_leave_nothing_behind(invoke: Invoke, tmp_path: Path, vectors_file: Path) -> None:
    np.save(tmp_path / "none.npy", np.ones((0, 8), dtype=np.float32))
    (tmp_path / "there.npy").write_bytes(b"mine")
    out = tmp_path / "out.npy"
    before = set(tmp_path.iterdir())
    cases: dict[str, list[object]] = {
        "no such file": [tmp_path / "nothing.npy", out, "--dims", 8],
        "is a folder": [tmp_path, out, "--dims", 8],
        "holds no vectors": [tmp_path / "none.npy", out, "--dims", 8],
        "--dims must be an integer from 1 to 64, got 65": [vectors_file, out, "--dims", 65],
        "--dims must be an integer from 1 to 64, got 0": [vectors_file, out, "--dims", 0],
        "--force": [vectors_file, tmp_path / "there.npy", "--dims", 8],
        "int8 is written to .npz": [vectors_file, out, "--dims", 8, "--precision", "int8"],
        "got '.txt'": [vectors_file, tmp_path / "out.txt", "--dims", 8],
        "cannot be written": [vectors_file, tmp_path / "no" / "out.npy", "--dims", 8],
        "key 'x' is for": [vectors_file, out, "--dims", 8, "--key", "x"],
        "is for --precision binary": [vectors_file, out, "--dims", 8, "--layout", "sentence-transformers"],
    }
    for expected, arguments in cases.items():
        assert expected in error_of(invoke("truncate", *arguments))
    assert set(tmp_path.iterdir()) == before
    assert (tmp_path / "there.npy").read_bytes() == b"mine"
    error_of(invoke("truncate", vectors_file, out), status=2)
    error_of(invoke("truncate", vectors_file, out, "--dims", 8, "--precision", "int4"), status=2)
