"""kukla index: what goes in, what is refused, what is left behind."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

from kukla import Index

from .conftest import Invoke, Kukla, error_of


def test_a_folder_becomes_an_index_and_answers(kukla: Kukla, notes: Path, tmp_path: Path) -> None:
    made = kukla("index", notes, "--to", "my.kukla")
    assert made.returncode == 0, made.stderr
    assert "my.kukla: 3 documents in" in made.stdout
    assert "skipped 1 files or rows:" in made.stderr
    assert "photo.jpg" in made.stderr
    found = kukla("search", "my.kukla", "matryoshka doll", "-k", 1, "--json")
    assert json.loads(found.stdout)["results"][0]["id"] == "deep/dolls.txt#1"
    assert found.stderr == ""


def test_upsert_replaces_by_id_and_keeps_the_rest(invoke: Invoke, notes: Path, tmp_path: Path) -> None:
    to = tmp_path / "my.kukla"
    assert invoke("index", notes, "--to", to).exit_code == 0
    assert "--upsert" in error_of(invoke("index", notes, "--to", to))
    (notes / "garden.rst").write_text("Garden\n======\n\nRoses.\n")
    assert invoke("index", notes, "--to", to, "--upsert").exit_code == 0
    with Index.open(to) as index:
        assert len(index) == 3
        assert "Roses" in str(index.get("garden.rst#1")[0].text)


def test_upsert_makes_the_index_when_there_is_none(invoke: Invoke, notes: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert invoke("index", notes, "--to", tmp_path / "x", "--upsert", "--dims", "64,512").exit_code == 0


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--dims", "32,64"),
        ("--precisions", "float32"),
        ("--metric", "ip"),
        ("--plan", "64:float32"),
        ("--model", "x"),
    ],
)
def test_choices_are_settled_when_an_index_is_made(
    invoke: Invoke, numbered: Path, vectors_file: Path, option: str, value: str
) -> None:
    message = error_of(invoke("index", vectors_file, "--to", numbered, "--upsert", option, value))
    assert option in message


def test_vectors_and_their_choices(invoke: Invoke, vectors_file: Path, tmp_path: Path) -> None:
    to = tmp_path / "v.kukla"
    result = invoke(
        "index", vectors_file, "--to", to, "--dims", "16,64", "--precisions", "float16,binary",
        "--metric", "ip", "--plan", "16:binary@20 > 64:float16",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    info = json.loads(invoke("info", to, "--json").stdout)
    assert info["documents"] == 50
    assert (info["nesting"], info["precisions"], info["metric"]) == ([16, 64], ["binary", "float16"], "ip")
    assert info["plan"] == "16:binary@20 > 64:float16"


def test_arrays_with_ids_and_keys(invoke: Invoke, vectors: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", good=vectors, other=vectors[:, :8], ids=[f"n{i}" for i in range(50)])
    to = tmp_path / "v.kukla"
    assert "key" in error_of(invoke("index", tmp_path / "a.npz", "--to", to))
    assert invoke("index", tmp_path / "a.npz", "--to", to, "--key", "good").exit_code == 0
    with Index.open(to) as index:
        assert "n49" in index


def test_tables_of_texts(invoke: Invoke, tmp_path: Path) -> None:
    with (tmp_path / "t.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["sku", "words", "price"], ["a", "red shoes", 5], ["b", "blue hat", 7]])
    to = tmp_path / "t.kukla"
    assert "text_field" in error_of(invoke("index", tmp_path / "t.csv", "--to", to))
    result = invoke("index", tmp_path / "t.csv", "--to", to, "--text-field", "words", "--id-field", "sku")
    assert result.exit_code == 0, result.stderr
    assert json.loads(invoke("search", to, "a hat", "-k", 1, "--json").stdout)["results"][0]["id"] == "b"


@pytest.mark.parametrize("options", [["--vectors"], ["--vector-field", "embedding"]])
def test_tables_of_vectors_keep_text_and_metadata(
    invoke: Invoke, tmp_path: Path, vectors: np.ndarray, options: list[str]
) -> None:
    rows = [
        {"id": i, "text": f"t{i}", "year": i, "embedding": vector.tolist()}
        for i, vector in enumerate(vectors)
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    to = tmp_path / "t.kukla"
    assert invoke("index", tmp_path / "t.jsonl", "--to", to, *options).exit_code == 0
    document = json.loads(invoke("get", to, "7", "--json").stdout)
    assert document == {"id": 7, "text": "t7", "metadata": {"year": 7}}


def test_all_skips_are_listed_with_v(invoke: Invoke, notes: Path, tmp_path: Path) -> None:
    for i in range(5):
        (notes / f"{i}.bin").write_bytes(b"")
    few = invoke("index", notes, "--to", tmp_path / "a").stderr
    assert "skipped 6" in few
    assert "all with -v" in few
    assert few.count("\n") == 4
    assert invoke("index", notes, "--to", tmp_path / "b", "-v").stderr.count("\n") == 7


@pytest.mark.parametrize("options", [[], ["--upsert"]])
def test_two_folders_with_the_same_relative_path(
    invoke: Invoke, notes: Path, tmp_path: Path, options: list[str]
) -> None:
    (tmp_path / "other" / "deep").mkdir(parents=True)
    (tmp_path / "other" / "deep" / "dolls.txt").write_text("Another doll.")
    message = error_of(invoke("index", notes, tmp_path / "other", "--to", tmp_path / "x", *options))
    assert "deep/dolls.txt is in two of" in message
    assert not (tmp_path / "x").exists()
    (tmp_path / "other" / "deep").rename(tmp_path / "other" / "shallow")
    result = invoke("index", notes, tmp_path / "other", "--to", tmp_path / "x", *options)
    assert "4 documents" in result.stdout


def test_bad_inputs(invoke: Invoke, tmp_path: Path, notes: Path, vectors_file: Path) -> None:
    to = tmp_path / "never.kukla"
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.docx").write_bytes(b"PK")
    np.save(tmp_path / "narrow.npy", np.ones((3, 8), dtype=np.float32))
    np.save(tmp_path / "none.npy", np.ones((0, 8), dtype=np.float32))
    np.save(tmp_path / "nan.npy", np.array([[1, 2], [3, np.nan]], dtype=np.float32))
    np.save(tmp_path / "zero.npy", np.array([[1, 2], [0, 0]], dtype=np.float32))
    np.save(tmp_path / "codes.npy", np.ones((3, 8), dtype=np.int8))
    (tmp_path / "bad.jsonl").write_text('{"text": "fine"}\n{"text": \n')
    (tmp_path / "plain.jsonl").write_text('{"text": "fine"}\n')
    cases: dict[str, tuple[list[object], ...]] = {
        "no such file": ([tmp_path / "x.md"], [tmp_path / "x.npy"], [tmp_path / "x.jsonl", "--vectors"]),
        "nothing to index": ([tmp_path / "empty"], [tmp_path / "none.npy"]),
        "suffix '.docx' is not read": ([tmp_path / "a.docx"],),
        "is a folder": ([notes, "--vectors"],),
        "holds vectors and": ([notes, vectors_file],),
        "has 8 dims, but": ([vectors_file, tmp_path / "narrow.npy"],),
        "row 1 holds nan": ([tmp_path / "nan.npy"],),
        "row 1 is all zeros": ([tmp_path / "zero.npy"],),
        "int8": ([tmp_path / "codes.npy"],),
        "bad.jsonl:2": ([tmp_path / "bad.jsonl"],),
        "no field of vectors": ([tmp_path / "plain.jsonl", "--vectors"],),
        "the last dim of the nesting must be the full dim 64": ([vectors_file, "--dims", "16,32"],),
        "ascend": ([vectors_file, "--dims", "32,16,64"],),
        "unknown precision 'int4'": ([vectors_file, "--precisions", "int4,float32"],),
        "at least one of them": ([vectors_file, "--precisions", "binary"],),
        "cannot read the stage": ([vectors_file, "--plan", "fast"],),
        "dim 48 is not in the nesting": ([vectors_file, "--plan", "48:float32"],),
        "embedding model": ([notes, "--model", "word2vec"],),
        "--model is for texts": ([vectors_file, "--model", "x"],),
        "--key is for files of vectors": ([notes, "--key", "x"],),
        "are for tables": ([vectors_file, "--text-field", "x"],),
    }  # fmt: skip
    for expected, runs in cases.items():
        for arguments in runs:
            message = error_of(invoke("index", *arguments, "--to", to))
            assert expected in message, message
            assert not to.exists(), f"{arguments} left something behind"


@pytest.mark.parametrize(
    "arguments",
    [["a.md"], ["--to", "x"], ["a", "--to", "x", "--dims", "a,b"], ["a", "--to", "x", "--metric", "l2"]],
)
def test_wrong_command_lines(invoke: Invoke, arguments: list[str]) -> None:
    assert error_of(invoke("index", *arguments), status=2).startswith("Error: ")


def test_targets_that_cannot_be_written(invoke: Invoke, vectors_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.txt").write_text("mine")
    assert "something else" in error_of(invoke("index", vectors_file, "--to", tmp_path / "folder"))
    assert "already" in error_of(invoke("index", vectors_file, "--to", tmp_path / "file"))
    assert "could not make" in error_of(invoke("index", vectors_file, "--to", tmp_path / "file" / "under"))
    assert (tmp_path / "folder" / "mine.txt").read_text() == "mine"
    if os.geteuid() != 0:
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o555)
        error_of(invoke("index", vectors_file, "--to", locked / "x"))


def test_a_failed_first_run_keeps_the_users_empty_folder(invoke: Invoke, tmp_path: Path) -> None:
    np.save(tmp_path / "nan.npy", np.array([[1, 2], [3, np.nan]], dtype=np.float32))
    to = tmp_path / "to"
    to.mkdir()
    error_of(invoke("index", tmp_path / "nan.npy", "--to", to))
    assert list(to.iterdir()) == []


def test_the_space_of_vectors_is_remembered_and_another_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "v.npy", rng.normal(size=(4, 768)).astype(np.float32))
    to = tmp_path / "v.kukla"
    assert invoke("index", tmp_path / "v.npy", "--to", to, "--space", "nomic-embed-text-v1.5").exit_code == 0
    described = json.loads(invoke("info", to, "--json").stdout)
    assert described["space"]["model"] == "nomic-embed-text-v1.5"
    assert described["nesting"] == [64, 128, 256, 512, 768]
    again = ("index", tmp_path / "v.npy", "--to", to, "--upsert", "--space")
    assert "model: mine" in error_of(invoke(*again, "bge-base-en-v1.5"))
    assert invoke(*again, "nomic-embed-text-v1.5").exit_code == 0
    assert "closest" in error_of(invoke(*again, "nomic-embed"))
    (tmp_path / "a.md").write_text("# A text\n\nwith words enough to be read")
    assert "--space is for vectors" in error_of(
        invoke("index", tmp_path / "a.md", "--to", tmp_path / "t.kukla", "--space", "x")
    )
