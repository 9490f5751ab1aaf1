"""kukla search, explain, info, get, delete, compact."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kukla import Index

from .conftest import DIM, Invoke, Kukla, error_of


@pytest.fixture
def query(tmp_path: Path, vectors: np.ndarray) -> Path:
    """A file with the vectors of documents 3 and 8 as queries."""
    path = tmp_path / "query.npy"
    np.save(path, vectors[[3, 8]])
    return path


def test_vectors_of_a_file_find_themselves(invoke: Invoke, numbered: Path, query: Path) -> None:
    result = invoke("search", numbered, "--vector", query, "-k", 2, "--json")
    first, second = map(json.loads, result.stdout.splitlines())
    assert set(first) == {
        "query",
        "plan",
        "results",
        "stages",
        "certificate",
        "proof",
        "seconds",
        "keeps_scores",
    }
    assert first["query"] is None
    assert first["results"][0] == {
        "id": 3, "score": pytest.approx(1, abs=1e-5), "text": "text 3", "metadata": {"year": 1993},
    }  # fmt: skip
    assert second["results"][0]["id"] == 8
    assert [stage["scored"] for stage in first["stages"]] == [50, 8]


def test_how_sure_an_answer_is(invoke: Invoke, numbered: Path, query: Path) -> None:
    lossy = ("search", numbered, "--vector", query, "-k", 2, "--plan", "16:binary")
    guess, _ = map(json.loads, invoke(*lossy, "--json").stdout.splitlines())
    assert guess["certificate"] == {"kind": "none", "recall": 0.0, "probability": 0.0}
    assert guess["proof"] is None
    assert "plan 16:binary, not certified" in invoke(*lossy).stdout
    proven, _ = map(json.loads, invoke(*lossy, "--certify", "--json").stdout.splitlines())
    assert proven["certificate"] == {"kind": "exact", "recall": 1.0, "probability": 1.0}
    assert proven["proof"]["steps"][-1]["stage"] == "64:float32"
    exact, _ = map(json.loads, invoke(*lossy[:-1], "64:float32", "--json").stdout.splitlines())
    assert proven["results"] == exact["results"]
    assert ", exact" in invoke(*lossy, "--certify").stdout


def test_a_json_array_on_standard_input_is_a_query(kukla: Kukla, numbered: Path, vectors: np.ndarray) -> None:
    one = kukla("search", numbered, "--vector", "-", "--json", stdin=json.dumps(vectors[4].tolist()))
    assert json.loads(one.stdout)["results"][0]["id"] == 4
    two = kukla("search", numbered, "--vector", "-", stdin=json.dumps(vectors[4:6].tolist()))
    assert "query: vector 0\n" in two.stdout
    assert "query: vector 1\n" in two.stdout


@pytest.mark.parametrize(
    ("options", "plan"),
    [
        ([], "64:int8@4x > 64:float32"),
        (["--plan", "16:int8@30 > 64:float32"], "16:int8@30 > 64:float32"),
        (["--dims", 16], "16:int8@16x > 64:float32"),
        (["--dims", 16, "--shortlist", 40], "16:int8@40 > 64:float32"),
        (["--oversampling", 3], "64:int8@3x > 64:float32"),
        (["--threads", 2], "64:int8@4x > 64:float32"),
    ],
)
def test_plans_and_what_changes_them(
    invoke: Invoke, numbered: Path, query: Path, options: list[object], plan: str
) -> None:
    result = invoke("search", numbered, "--vector", query, "--json", *options)
    assert json.loads(result.stdout.splitlines()[0])["plan"] == plan


def test_repeated_filters_must_all_match(invoke: Invoke, numbered: Path, query: Path) -> None:
    filters = ["--filter", "year>=2000", "--filter", '{"year": {"$lt": 2003}}']
    result = invoke("search", numbered, "--vector", query, "-k", 50, "--json", *filters)
    for line in result.stdout.splitlines():
        assert sorted(found["id"] for found in json.loads(line)["results"]) == [10, 11, 12]


def test_nothing_found_has_its_own_exit_status(invoke: Invoke, numbered: Path, query: Path) -> None:
    for condition in ("year>3000", "colour=red"):
        result = invoke("search", numbered, "--vector", query, "--filter", condition)
        assert result.exit_code == 3
        assert "nothing found" in result.stdout


def test_a_huge_k_gives_every_document(invoke: Invoke, numbered: Path, query: Path) -> None:
    result = invoke("search", numbered, "--vector", query, "-k", 10**9, "--json")
    assert result.exit_code == 0, result.stderr
    assert len(json.loads(result.stdout.splitlines()[0])["results"]) == 50


def test_texts_from_arguments_and_lines(kukla: Kukla, notes: Path) -> None:
    assert kukla("index", notes, "--to", "n").returncode == 0
    people = kukla("search", "n", "dough", "-k", 2).stdout.splitlines()
    assert people[0].startswith("1  0.")
    assert people[0].endswith("bread.md#1")
    assert "Knead the dough" in "".join(people[:3])
    assert "3 scanned" in people[-1]
    for arguments in (["-"], []):
        lines = kukla(
            "search", "n", *arguments, "--json", stdin="wooden doll\n\nsun and water\n"
        ).stdout.splitlines()
        assert [json.loads(line)["query"] for line in lines] == ["wooden doll", "sun and water"]
        assert json.loads(lines[1])["results"][0]["id"] == "garden.rst#1"


def test_control_characters_of_a_document_do_not_reach_the_terminal(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"id": "x", "text": "red \x1b[31m [bold]x[/bold]\u202e\x07 end"})
    )
    assert invoke("index", tmp_path / "a.jsonl", "--to", tmp_path / "i").exit_code == 0
    for command in (("search", tmp_path / "i", "red"), ("get", tmp_path / "i", "x")):
        output = invoke(*command).stdout
        assert "[bold]x[/bold]" in output
        assert not set("\x1b\x07\u202e") & set(output)


def test_wide_characters_are_counted_in_cells(kukla: Kukla, tmp_path: Path) -> None:
    from rich.cells import cell_len

    (tmp_path / "a.jsonl").write_text(json.dumps({"id": "x", "text": "人形の中の人形 " * 40}))
    assert kukla("index", "a.jsonl", "--to", "i").returncode == 0
    lines = kukla("search", "i", "doll", environment={"COLUMNS": "50"}).stdout.splitlines()
    assert len(lines) == 4
    assert lines[2].endswith(" …")
    assert all(cell_len(line) <= 50 for line in lines[:3])


def test_no_colours_and_no_boxes_in_a_pipe(kukla: Kukla, numbered: Path, query: Path) -> None:
    for arguments in (["search", numbered, "--vector", query], ["explain", numbered], ["info", numbered]):
        assert kukla(*arguments).stdout.isascii()


def test_a_reader_that_leaves_is_no_error(numbered: Path, tmp_path: Path, vectors: np.ndarray) -> None:
    np.save(tmp_path / "many.npy", np.tile(vectors, (4, 1)))
    command = [
        sys.executable,
        "-m",
        "kukla",
        "search",
        str(numbered),
        "--vector",
        str(tmp_path / "many.npy"),
        "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


@pytest.mark.parametrize(
    ("redirection", "status"),
    [
        ("<&-", 1),
        ("--vector query.npy >&-", 0),
        ("--vector query.npy 2>&-", 0),
        ("--vector query.npy >/dev/full", 1),
        ("--help >/dev/full", 1),
    ],
)
def test_streams_that_are_closed_or_full(
    numbered: Path, query: Path, tmp_path: Path, redirection: str, status: int
) -> None:
    if "/dev/full" in redirection and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    line = f"{sys.executable} -m kukla search {numbered.name} {redirection}"
    result = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == status, result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == (status != 0)


def test_bad_searches(invoke: Invoke, numbered: Path, query: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no index")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "catalog.sqlite").write_text("no database at all")
    np.save(tmp_path / "narrow.npy", np.ones(8, dtype=np.float32))
    np.save(tmp_path / "nan.npy", np.full(DIM, np.nan, dtype=np.float32))
    good = ["--vector", query]
    cases: dict[str, list[object]] = {
        "there is no Kukla index at": [tmp_path / "nowhere", *good],
        f"there is no Kukla index at {tmp_path / 'file'}": [tmp_path / "file", *good],
        "is not a Kukla catalog": [tmp_path / "foreign", *good],
        "no such file": [numbered, "--vector", tmp_path / "nothing.npy"],
        "is a folder": [numbered, "--vector", tmp_path],
        "must have 64 dims, got 8": [numbered, "--vector", tmp_path / "narrow.npy"],
        "nan": [numbered, "--vector", tmp_path / "nan.npy"],
        "pass an embedder": [numbered, "some text"],
        "cannot read the stage": [numbered, *good, "--plan", "quick"],
        "unknown precision 'int4'": [numbered, *good, "--plan", "64:int4"],
        "it keeps: binary, int8, float32": [numbered, *good, "--plan", "64:float16"],
        "dim 48 is not in the nesting; allowed: 16, 32, 64": [numbered, *good, "--dims", 48],
        "give shortlist or oversampling": [numbered, *good, "--shortlist", 20, "--oversampling", 2],
        "cannot read the filter": [numbered, *good, "--filter", "year"],
        "not valid JSON": [numbered, *good, "--filter", "{year}"],
        "unknown operator '$near'": [numbered, *good, "--filter", '{"year": {"$near": 1}}'],
    }
    for expected, arguments in cases.items():
        assert expected in error_of(invoke("search", *arguments))
    for stdin in ("", "[1, 2", '["a"]', "{}", "[[[1.0]]]", "[[1.0], [1.0, 2.0]]", "null"):
        error_of(invoke("search", numbered, "--vector", "-", stdin=stdin))
    assert "no queries" in error_of(invoke("search", numbered, "-", stdin=" \n"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["-k", "0"],
        ["-k", "ten"],
        ["--threads", "0"],
        ["--oversampling", "0.5"],
        ["text", "--vector", "a.npy"],
        ["--what"],
    ],
)
def test_wrong_command_lines(invoke: Invoke, numbered: Path, arguments: list[str]) -> None:
    error_of(invoke("search", numbered, *arguments), status=2)


def test_integer_ids_are_typed_as_they_are_printed(invoke: Invoke, numbered: Path) -> None:
    result = invoke("get", numbered, 3, 8, "--json", "--dims", 16)
    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["id"], second["id"]) == (3, 8)
    assert np.linalg.norm(first["vector"]) == pytest.approx(1, abs=1e-6)
    assert len(first["vector"]) == 16
    assert "no document with the id '99'" in error_of(invoke("get", numbered, "99"))
    assert "no document with the id '9e9'" in error_of(invoke("get", numbered, "9e9"))
    assert "an integer from 1 to 64, got 65" in error_of(invoke("get", numbered, "3", "--dims", 65))


def test_get_prints_text_metadata_and_vector(invoke: Invoke, numbered: Path, vectors: np.ndarray) -> None:
    lines = invoke("get", numbered, "-", "--vector", stdin="3\n").stdout.splitlines()
    assert lines[:3] == ["3", "year: 1993", "text 3"]
    np.testing.assert_allclose(json.loads(lines[3]), vectors[3] / np.linalg.norm(vectors[3]), atol=1e-6)


def test_delete_says_how_many_and_compact_frees_them(invoke: Invoke, numbered: Path) -> None:
    assert invoke("delete", numbered, 3, 3, 4, 99).stdout == "deleted 2 of 3\n"
    assert invoke("delete", numbered, "-", stdin="5\n6\n").stdout == "deleted 2 of 2\n"
    nothing = invoke("delete", numbered, 3)
    assert (nothing.exit_code, nothing.stdout) == (3, "deleted 0 of 1\n")
    assert "4 deleted" in invoke("info", numbered).stdout
    assert invoke("compact", numbered).stdout.startswith("freed 4 rows")
    info = json.loads(invoke("info", numbered, "--json", "--verify").stdout)
    assert (info["documents"], info["deleted_rows"]) == (46, 0)
    assert info["verified_bytes"] > 46 * DIM * 5


def test_verify_names_the_damaged_file(invoke: Invoke, numbered: Path) -> None:
    segment = next((numbered / "segments").iterdir())
    data = bytearray(segment.read_bytes())
    data[-3] ^= 1
    segment.write_bytes(data)
    assert segment.name in error_of(invoke("info", numbered, "--verify"))


def test_explain_is_the_cost_model(invoke: Invoke, numbered: Path) -> None:
    text = invoke("explain", numbered, "--documents", 10**6, "--plan", "16:binary@100 > 64:float32").stdout
    assert text.splitlines()[1].split()[:4] == ["16:binary@100", "1,000,000", "100", "2"]
    assert "1,000,000 documents, k=10" in text
    cost = json.loads(invoke("explain", numbered, "--json", "-k", 5).stdout)
    with Index.open(numbered) as index:
        expected = index.explain(k=5)
    assert cost["bytes_read"] == expected.bytes_read == sum(stage["bytes_read"] for stage in cost["stages"])
    assert cost["documents"] == 50
    assert "not in the nesting" in error_of(invoke("explain", numbered, "--plan", "8:float32"))
    assert json.loads(invoke("explain", numbered, "--json", "--documents", 0).stdout)["memory_ratio"] is None


def test_other_commands_on_what_is_no_index(invoke: Invoke, tmp_path: Path) -> None:
    for command in (("info",), ("get", "a"), ("delete", "a"), ("compact",), ("explain",)):
        name, *rest = command
        assert "there is no Kukla index" in error_of(invoke(name, tmp_path, *rest))


def test_debugging_shows_where_an_error_comes_from(kukla: Kukla, tmp_path: Path) -> None:
    assert "Traceback" not in kukla("info", "nowhere").stderr
    assert "Traceback" in kukla("info", "nowhere", environment={"KUKLA_DEBUG": "1"}).stderr


def test_reading_commands_work_where_nothing_can_be_written(kukla: Kukla, numbered: Path) -> None:
    numbered.chmod(0o555)
    try:
        for arguments in (["info"], ["get", "3"], ["explain"]):
            assert kukla(arguments[0], numbered, *arguments[1:]).returncode == 0
    finally:
        numbered.chmod(0o755)
