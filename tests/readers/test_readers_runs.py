"""Runs, judgements and BEIR folders: what is read, what is written, what is refused and where."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from kukla.errors import InputError, ReadError, WriteError
from kukla.evaluate.measures import Judge
from kukla.readers.beir import open_beir
from kukla.readers.qrels import read_qrels
from kukla.readers.runs import read_run, write_run


def write(folder: Path, text: str, name: str = "file") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_trec_run_by_scores(tmp_path: Path) -> None:
    path = write(tmp_path, "q1 Q0 a 1 0.25 tag\nq1\tQ0\tb\t2\t7e-1\ttag\n\nq2 Q0 a 1 3 tag\n")
    assert read_run(path) == {"q1": {"a": 0.25, "b": 0.7}, "q2": {"a": 3.0}}
    packed = tmp_path / "run.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_run(packed) == read_run(path)


def test_lines_of_kukla_search_by_rank_and_text(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '{"query": "how  to", "results": [{"id": 7, "score": 0.5}, {"id": "x", "score": 0.5}]}\n'
        '{"query_id": 3, "query": "other", "results": []}\n',
    )
    assert read_run(path, query_ids={"how to": ["q1", "q2"]}) == {
        "q1": {"7": 2.0, "x": 1.0},
        "q2": {"7": 2.0, "x": 1.0},
        "3": {},
    }
    with pytest.raises(ReadError, match=r"file:1: .*--queries"):
        read_run(path)
    with pytest.raises(ReadError, match=r"file:1: the query 'how  to' is not among"):
        read_run(path, query_ids={"when": ["q"]})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("q Q0 a 1 0.5\n", r"file:1: 'q Q0 a 1 0.5', 5 columns, is no result; a line is query Q0"),
        ("q Q0 a 1 0.5 t\nq Q0 b 2 high t\n", "file:2: "),
        ("q Q0 a 1 nan t\n", "file:1: "),
        ("q Q0 a 1 2 t\nq Q0 b 2 1 t\nq Q0 a 3 0 t\n", "file:3: document 'a' is there twice for query 'q'"),
        ('{"query_id": "q"}\n', "file:1: no list 'results'"),
        ('{"query": null, "results": []}\n', "file:1: neither an id"),
        ('{"id": "q", "results": []}\n{"id": "q", "results": []}\n', "file:2: query 'q' is there twice"),
        ('{"id": "q", "results": [{"id": 1}, {"id": 1}]}\n', "file:1: document '1' is there twice"),
        ('{"id": "q", "results": [}\n', "file:1: not JSON"),
    ],
)
def test_bad_runs_name_the_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ReadError, match=says):
        read_run(write(tmp_path, text))


def test_a_written_run_ranks_for_trec_eval_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "out.trec"
    ids = [np.array(["b", "a", "c"]), np.array([5, 3, 4])]
    scores = np.array([[0.5, 0.5, 0.5], [0.9, 0.1, -0.2]], dtype=np.float32)
    write_run(path, ["q1", "q2"], ids, scores, tag="64:binary@20x > 512:float32")
    lines = [line.split() for line in path.read_text().splitlines()]
    assert [len(line) for line in lines] == [6] * 6
    assert lines[0] == ["q1", "Q0", "b", "1", "0.5", "64:binary@20x>512:float32"]
    read = read_run(path)
    assert sorted(read["q1"], key=lambda id_: -np.float32(read["q1"][id_])) == ["b", "a", "c"]
    assert len({np.float32(score) for score in read["q1"].values()}) == 3
    assert read["q1"]["c"] == pytest.approx(0.5, abs=1e-6)
    assert Judge({"q1": {"b": 1}}, ["RR@10"]).values(read)["RR@10"]["q1"] == 1
    with pytest.raises(InputError, match="'a b' has white space"):
        write_run(path, ["q"], [np.array(["a b"])], scores[:1, :1], tag="t")
    with pytest.raises(WriteError, match="cannot be written"):
        write_run(tmp_path / "no" / "x", ["q"], [np.array(["a"])], scores[:1, :1], tag="t")


def test_judgements_of_both_forms(tmp_path: Path) -> None:
    trec = write(tmp_path, "q1 0 a 2\nq1 0 b 0\nq2 0 a 1\nq2 0 a 1\n", "trec")
    beir = write(tmp_path, "query-id\tcorpus-id\tscore\nq1\ta\t2\nq1\tb\t0\nq2\ta\t1\n", "beir.tsv")
    assert read_qrels(trec) == read_qrels(beir) == {"q1": {"a": 2, "b": 0}, "q2": {"a": 1}}
    packed = tmp_path / "qrels.tsv.gz"
    packed.write_bytes(gzip.compress(beir.read_bytes()))
    assert read_qrels(packed) == read_qrels(beir)
    packed.write_bytes(packed.read_bytes()[:-12])
    with pytest.raises(ReadError, match="broken gzip data"):
        read_qrels(packed)
    assert read_qrels(write(tmp_path, "h\tc\ts\nq\tan id with blanks\t1\n", "b")) == {
        "q": {"an id with blanks": 1}
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no judgements"),
        ("query-id\tcorpus-id\tscore\n", "holds no judgements"),
        ("q 0 a\nq 0 b 1\n", "file:1: 'q 0 a' is no judgement"),
        ("q 0 a 1\nq 0 b\n", "file:2: 'q 0 b' is no judgement"),
        ("q 0 a 1\nq 0 b one\n", "file:2: "),
        ("q 0 a 1.5\n", "file:1: "),
        ("q 0 a 1 2\n", "file:1: "),
        ("\ta\t1\n", "file:1: "),
        ("q 0 a 1\nq 0 b 1\nq 0 a 2\n", "file:3: query 'q' gives document 'a' the grade 2, and 1 above"),
    ],
)
def test_bad_judgements_name_the_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ReadError, match=says):
        read_qrels(write(tmp_path, text))


def test_a_beir_folder_is_found_piece_by_piece(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no such folder"):
        open_beir(tmp_path / "none")
    with pytest.raises(ReadError, match="a BEIR folder is expected"):
        open_beir(write(tmp_path, "x"))
    folder = tmp_path / "set"
    folder.mkdir()
    with pytest.raises(ReadError, match=r"no queries, queries.jsonl .*; the folder holds nothing"):
        open_beir(folder)
    write(folder, "", "queries.jsonl")
    dev = write(folder, "", "qrels/dev.tsv")
    with pytest.raises(ReadError, match=r"no judgements.*--qrels may name one of qrels/dev.tsv"):
        open_beir(folder)
    with pytest.raises(ReadError, match=r"no corpus, corpus\.jsonl or corpus.jsonl.gz is expected"):
        open_beir(folder, qrels=dev)
    assert open_beir(folder, qrels=dev, corpus=False).qrels == dev
    write(folder, "", "corpus.jsonl.gz")
    write(folder, "", "qrels/test.tsv")
    found = open_beir(folder)
    assert found.corpus.name == "corpus.jsonl.gz"
    assert found.qrels == folder / "qrels" / "test.tsv"
