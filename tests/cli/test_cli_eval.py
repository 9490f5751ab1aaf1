"""kukla eval as a user: a BEIR folder of real texts, runs, vectors, storage; and what is refused."""

from __future__ import annotations

import gzip
import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from kukla import load_embedder
from kukla.readers import python_documents

from .conftest import Invoke, Kukla, error_of


@pytest.fixture(scope="session")
def texts() -> list[tuple[str, str, str]]:
    """Id, first line and the rest of 150 entries of Python's documentation."""
    found = {}
    for document in islice(python_documents(), 900):
        summary, _, body = (document.text or "").partition("\n")[2].strip().partition("\n")
        if len(summary) > 25 and len(body) > 80 and len(found) < 150:
            found.setdefault(body, summary)
    return [(f"d{i:03}", summary, body) for i, (body, summary) in enumerate(found.items())]


@pytest.fixture
def beir(tmp_path: Path, texts: list[tuple[str, str, str]]) -> Path:
    """A BEIR folder: 150 documents, gzipped, and 50 of their first lines as queries."""
    folder = tmp_path / "docs"
    (folder / "qrels").mkdir(parents=True)
    corpus = "".join(json.dumps({"_id": id_, "title": "", "text": body}) + "\n" for id_, _, body in texts)
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress(corpus.encode()))
    (folder / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": f"q{id_}", "text": summary}) + "\n" for id_, summary, _ in texts[:50])
    )
    (folder / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"q{id_}\t{id_}\t1\n" for id_, _, _ in texts[:50])
    )
    return folder


def test_a_beir_folder_prints_what_each_size_keeps(invoke: Invoke, beir: Path, tmp_path: Path) -> None:
    done = invoke("eval", beir, "--dims", "64,256", "--plan", "64:binary@20x > 512:float32")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "docs: 150 documents, 50 judged queries (binary), 512 dims"
    assert lines[1] == "  - texts embedded by kukla-static-en-v2"
    assert lines.pop(2).startswith("  - only 50 judged queries")
    header = "plan  bytes/vector  size  nDCG@10  95 % interval  of full  95 % interval"
    assert " ".join(lines[3].split()) == " ".join(header.split())
    assert [line.split()[0] for line in lines[4:11]] == [
        "64:binary", "256:binary", "64:int8", "256:int8", "64:float32", "256:float32", "512:float32",
    ]  # fmt: skip
    assert lines[10].split()[1:3] == ["2,048", "100.0"]
    assert lines[11].startswith("64:binary@20x > 512:float32")
    assert "R@100" in done.stdout
    assert "held-out queries" in lines[-1]

    as_json = json.loads(invoke("eval", beir, "--dims", "64,256", "--json").stdout)
    row = next(row for row in as_json["quality"]["rows"] if row["plan"] == "256:int8")
    assert f"{row['qualities']['nDCG@10']['mean']['mean']:.3f}" == lines[7].split()[4]
    assert row["size"] == row["bytes_per_vector"] / 2048


def test_written_runs_measure_the_same(invoke: Invoke, beir: Path, tmp_path: Path) -> None:
    runs, png = tmp_path / "runs", tmp_path / "curves.png"
    done = invoke("eval", beir, "--run-out", runs, "--plot", png, "--json")
    assert done.exit_code == 0, done.output
    quality = json.loads(done.stdout)["quality"]
    assert png.read_bytes()[:4] == b"\x89PNG"
    assert len(list(runs.iterdir())) == 15
    for name in ("64-binary", "512-float32"):
        again = json.loads(invoke("eval", beir, "--run", runs / f"{name}.trec", "--json").stdout)["runs"]
        row = next(row for row in quality["rows"] if row["plan"] == name.replace("-", ":"))
        assert [one["mean"] for one in again["rows"]] == [
            row["qualities"][measure]["mean"] for measure in ("nDCG@10", "R@100")
        ]
    compared = invoke(
        "eval", "--run", runs / "512-float32.trec", "--run", runs / "64-binary.trec",
        "--qrels", beir / "qrels" / "test.tsv", "--measures", "RR@10", "--per-query",
    )  # fmt: skip
    assert compared.exit_code == 0, compared.output
    assert "better/equal/worse" in compared.stdout
    assert len([line for line in compared.stdout.splitlines() if " qd0" in line]) == 2 * 50

    one = tmp_path / "one.trec"
    invoke("eval", beir, "--plan", "64:int8@3x > 512:float32", "--run-out", one, "--dims", "64")
    assert one.read_text().splitlines()[0].split()[-1] == "64:int8@3x>512:float32"
    full = tmp_path / "full.trec"
    assert f"Runs: {full}" in invoke("eval", beir, "--run-out", full, "--dims", "64").stdout
    assert full.read_bytes() == (runs / "512-float32.trec").read_bytes()


def test_an_index_and_its_search_results_measure_the_same(
    kukla: Kukla, invoke: Invoke, beir: Path, tmp_path: Path
) -> None:
    kukla("index", beir / "corpus.jsonl.gz", "--to", "docs.kukla")
    options = ("--measures", "nDCG@10", "--json")
    fresh = json.loads(invoke("eval", beir, *options).stdout)["quality"]
    kept = json.loads(invoke("eval", beir, "--index", tmp_path / "docs.kukla", *options).stdout)["quality"]
    assert kept["rows"] == fresh["rows"]

    queries = [json.loads(line)["text"] for line in (beir / "queries.jsonl").read_text().splitlines()]
    printed = kukla("search", "docs.kukla", "-", "--plan", "512:float32", "--json", stdin="\n".join(queries))
    (tmp_path / "results.jsonl").write_text(printed.stdout)
    found = json.loads(invoke("eval", beir, "--run", tmp_path / "results.jsonl", *options).stdout)["runs"]
    full = next(row for row in fresh["rows"] if row["plan"] == "512:float32")
    assert found["rows"][0]["mean"] == full["qualities"]["nDCG@10"]["mean"]


def test_vectors_with_ids_beside_them_inside_or_by_row(
    invoke: Invoke, beir: Path, tmp_path: Path, texts: list[tuple[str, str, str]]
) -> None:
    embedder = load_embedder()
    documents = embedder.encode_documents([body for _, _, body in texts])
    queries = embedder.encode_queries([summary for _, summary, _ in texts[:50]])
    np.save(tmp_path / "d.npy", documents)
    np.save(tmp_path / "q.npy", queries)
    ids = [id_ for id_, _, _ in texts]
    (tmp_path / "d.txt").write_text("\n".join(ids))
    (tmp_path / "q.jsonl").write_text("".join(json.dumps({"_id": f"q{id_}"}) + "\n" for id_ in ids[:50]))
    np.savez(tmp_path / "d.npz", vectors=documents, ids=np.array(ids))
    np.savez(tmp_path / "q.npz", vectors=queries, ids=np.array([f"q{id_}" for id_ in ids[:50]]))
    (tmp_path / "rows.tsv").write_text("q\td\ts\n" + "".join(f"{row}\t{row}\t1\n" for row in range(50)))
    common = ("--dims", "64,512", "--measures", "RR@10", "--json")
    qrels = beir / "qrels" / "test.tsv"
    results = [
        invoke("eval", *map(str, options), *common)
        for options in (
            (beir,),
            ("--documents", tmp_path / "d.npy", "--document-ids", tmp_path / "d.txt",
             "--queries", tmp_path / "q.npy", "--query-ids", tmp_path / "q.jsonl", "--qrels", qrels),
            ("--documents", tmp_path / "d.npz", "--queries", tmp_path / "q.npz", "--qrels", qrels),
            ("--documents", tmp_path / "d.npy", "--queries", tmp_path / "q.npy",
             "--qrels", tmp_path / "rows.tsv"),
        )
    ]  # fmt: skip
    assert [done.exit_code for done in results] == [0] * 4, [done.output for done in results]
    found = [json.loads(done.stdout)["quality"] for done in results]
    # Integer ids order ties as the texts d000, d001 do.
    assert found[1]["rows"] == found[0]["rows"] == found[2]["rows"] == found[3]["rows"]
    assert any("by their row, from 0" in note for note in found[3]["notes"])

    too_few = ("--documents", tmp_path / "d.npy", "--document-ids", tmp_path / "q.jsonl")
    asked = ("--queries", tmp_path / "q.npy", "--qrels", qrels)
    assert "50 ids, " in error_of(invoke("eval", *too_few, *asked))


def test_storage_without_any_data(invoke: Invoke) -> None:
    done = invoke("eval", "--vectors", "1_000_000_000", "--dims", "256,2048")
    assert done.exit_code == 0
    cells = {line.split()[0]: " ".join(line.split()[1:]) for line in done.stdout.splitlines() if line}
    assert cells["2048:float32"] == "8.19 TB 100.0 % 8.19 TB"
    assert cells["256:int8"] == "256 GB 3.1 % 264 GB"
    assert "Price" not in done.stdout
    for name in ("1B", "1,000,000,000", "1000M", "1G"):
        again = invoke("eval", "--vectors", name, "--dims", "256,2048")
        assert again.stdout == done.stdout
    priced = invoke("eval", "--vectors", "1B", "--dims", "256", "--price-per-gb-month", 2, "--json")
    rows = json.loads(priced.stdout)["storage"]["rows"]
    assert rows[0]["price_per_month"] == 1024 * 2


def test_a_device_of_torch_prints_the_same(invoke: Invoke, beir: Path) -> None:
    pytest.importorskip("torch", reason="the extra gpu")
    some = ("eval", beir, "--dims", "64", "--precisions", "int8,float32", "--json")
    native, through_torch = (invoke(*some, "--device", name) for name in ("cpu", "torch:cpu"))
    assert through_torch.exit_code == 0, through_torch.output
    assert through_torch.stdout == native.stdout
    assert "there is no device 'gpu'" in error_of(invoke("eval", beir, "--device", "gpu"))


def test_storage_of_a_measured_collection(invoke: Invoke, beir: Path) -> None:
    some = ("--measures", "RR@10", "--vectors", "2.5M", "--dims", "64,256", "--json")
    done = json.loads(invoke("eval", beir, *some).stdout)
    assert done["storage"]["vectors"] == 2_500_000
    measured = {row["plan"]: row["bytes_per_vector"] for row in done["quality"]["rows"]}
    assert {row["dim"] for row in done["storage"]["rows"]} == {64, 256, 512}
    for row in done["storage"]["rows"]:
        if row["dim"] == 512 and row["precision"] != "float32":
            continue  # not asked for, so not measured
        plan = f"{row['dim']}:{row['precision']}"
        assert row["scanned_bytes"] == 2_500_000 * measured[plan]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "give a BEIR folder, --index, --documents, --run or --vectors"),
        (("--vectors", "1B"), "--vectors needs --dims"),
        (("--vectors", "many", "--dims", "8"), "'many' is not a number of vectors"),
        (("--vectors", "0.5", "--dims", "8"), "'0.5' is not a number of vectors"),
        (("docs", "--price-per-gb-month", "1"), "needs --vectors"),
        (("docs", "--per-query"), "--per-query is for --run"),
        (("--run", "x", "--plot", "x.png"), "need documents to search"),
        (("--run", "x", "--index", "i", "--qrels", "q"), "give no --index"),
        (("--run", "x", "--qrels", "q", "--device", "cuda"), "--device needs documents to search"),
    ],
)
def test_a_wrong_command_line(invoke: Invoke, arguments: tuple[str, ...], says: str) -> None:
    assert says in error_of(invoke("eval", *arguments), status=2)


def test_wrong_input_is_one_line(invoke: Invoke, beir: Path, tmp_path: Path) -> None:
    qrels = beir / "qrels" / "test.tsv"
    run = tmp_path / "run.trec"
    run.write_text("qd001 Q0 d001 1 0.5 t\n")
    assert "--qrels is missing" in error_of(invoke("eval", "--run", run))
    assert "--run names" in error_of(invoke("eval", "--run", run, "--run", run, "--qrels", qrels))
    assert "one of them" in error_of(invoke("eval", beir, "--documents", run))
    assert "--queries is missing" in error_of(invoke("eval", "--documents", run, "--qrels", qrels))
    assert "did you mean 'nDCG@10'" in error_of(invoke("eval", beir, "--measures", "ndcg@10"))
    assert "the vectors have 512 dims" in error_of(invoke("eval", beir, "--dims", "1024"))
    assert "there is no folder" in error_of(invoke("eval", beir, "--plot", tmp_path / "no" / "x.png"))
    assert "there is no folder" in error_of(invoke("eval", beir, "--run-out", tmp_path / "no" / "x.trec"))
    two = ("--plan", "64:int8@9 > 512:float32", "--plan", "64:int8@20 > 512:float32")
    assert "name a folder for 2" in error_of(invoke("eval", beir, *two, "--run-out", run))

    packed = beir / "corpus.jsonl.gz"
    packed.write_bytes(packed.read_bytes()[:-2000])
    assert "broken gzip data" in error_of(invoke("eval", beir))
    packed.unlink()
    assert "no corpus" in error_of(invoke("eval", beir))
    (beir / "corpus.jsonl").write_text("")
    assert "holds no documents" in error_of(invoke("eval", beir))
    (beir / "corpus.jsonl").write_text('{"_id": "other", "text": "another corpus"}\n')
    assert "none of the 50 relevant documents is in the corpus" in error_of(invoke("eval", beir))
    (beir / "corpus.jsonl").write_text('{"_id": "a", "text": "x"}\n{"_id": "a", "text": "y"}\n')
    assert "'a'" in error_of(invoke("eval", beir))
    (beir / "queries.jsonl").write_text('{"text": "no id"}\n')
    assert "no field _id" in error_of(invoke("eval", beir))
    (beir / "qrels" / "test.tsv").write_text("a b\n")
    assert "test.tsv:1: 'a b' is no judgement" in error_of(invoke("eval", beir))
