"""What wrong input gets: the table of docs/bad-inputs.md, made by running every line of it.

After a change of a message: `python tests/test_bad_inputs.py > docs/bad-inputs.md`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kukla.errors
from kukla import Index, Nesting, Plan, Space, load_embedder, quantize, truncate
from kukla.evaluate import AdaptiveClassifier, evaluate_quality, evaluate_runs, learn_thresholds, storage
from kukla.known_models import find_known_model
from kukla.profile import profile
from kukla.projection import Adaptor
from kukla.projection.choose import choose_projection
from kukla.readers.beir import open_beir
from kukla.readers.qrels import read_qrels
from kukla.readers.runs import read_run

DIM = 64
PAGE = Path(__file__).parent.parent / "docs" / "bad-inputs.md"


def _vectors(count: int = 3) -> np.ndarray:
    return np.linspace(-1, 1, count * DIM, dtype=np.float32).reshape(count, DIM) + 0.01


def _scores(prefixes: np.ndarray) -> np.ndarray:
    return prefixes[:, :2]


def _sums(prefixes: np.ndarray) -> np.ndarray:
    return prefixes.sum(axis=1)


def _with_nan() -> np.ndarray:
    vectors = _vectors()
    vectors[1, 5] = np.nan
    return vectors


def _with_zeros() -> np.ndarray:
    vectors = _vectors()
    vectors[2] = 0
    return vectors


def _index(folder: Path) -> Index:
    index = Index.create(folder / "i.kukla", dim=DIM)
    index.add(_vectors(), ids=["a", "b", "c"])
    return index


def _other_space() -> Space:
    return Space(provider="other", model="m", dim=DIM)


def _known_index(folder: Path) -> Index:
    return Index.create(folder / "k.kukla", space=Space(provider="maker", model="one", dim=DIM))


def _many(count: int = 200, *, seed: int = 0, nan: bool = False) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    if nan:
        vectors[5, 3] = np.nan
    return vectors


def _calibrate(folder: Path, queries: object, documents: np.ndarray | None = None) -> object:
    index = Index.create(folder / "i.kukla", dim=DIM)
    index.add(_many() if documents is None else documents)
    return index.calibrate(queries, target="recall@10>=0.95")  # type: ignore[arg-type]


def _unreached() -> Adaptor:
    """z + max(z, 0) * -1 is never above 0."""
    return Adaptor(np.eye(2), np.eye(2), -np.eye(2))


def _damaged(folder: Path, change: Callable[[bytes], bytes]) -> Path:
    _index(folder).close()
    (segment,) = (folder / "i.kukla" / "segments").iterdir()
    segment.write_bytes(change(segment.read_bytes()))
    return folder / "i.kukla"


def _flip(data: bytes, offset: int) -> bytes:
    return data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :]


def _listed(folder: Path, **options: Any) -> Index:
    index = Index.create(folder / "l.kukla", dim=DIM, **options)
    index.add(_many(1100))
    index.partition(8, code_bytes=8)
    return index


def _read_only(index: Index) -> Index:
    index.close()
    return Index.open(index.path, read_only=True)


def _damaged_lists(folder: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    _listed(folder).close()
    file = folder / "l.kukla" / name
    file.write_bytes(change(file.read_bytes()))
    return folder / "l.kukla"


Case = Callable[[Path], object]
CASES: dict[str, list[tuple[str, Case]]] = {
    "Vectors": [
        ("a NaN", lambda p: _index(p).add(_with_nan())),
        ("a zero vector in a cosine index", lambda p: _index(p).add(_with_zeros(), ids=["x", "y", "z"])),
        ("the wrong dim", lambda p: _index(p).search(np.ones(DIM + 1))),
        ("integers", lambda p: _index(p).search(np.ones(DIM, dtype=np.int8))),
        ("three axes", lambda p: _index(p).add(np.ones((2, 2, DIM)))),
        ("rows of different lengths", lambda p: truncate([[1.0, 2.0], [1.0]], 1)),
        ("truncate to 0", lambda p: truncate(_vectors(), 0)),
        ("truncate above the width", lambda p: truncate(_vectors(), DIM + 1)),
        ("truncate to 1.5", lambda p: truncate(_vectors(), 1.5)),  # type: ignore[arg-type]
        ("a prefix of zeros", lambda p: truncate([[1.0, 1.0], [0.0, 1.0]], 1)),
        ("above float16", lambda p: quantize(np.full((1, 2), 1e6), "float16")),
        ("an unknown precision", lambda p: quantize(_vectors(), "int4")),
        ("a nesting that does not ascend", lambda p: Nesting((64, 32))),
    ],
    "Adaptive classification": [
        ("fewer thresholds than dims", lambda p: AdaptiveClassifier((8, 16, 64), [0.9])),
        (
            "thresholds without labels",
            lambda p: learn_thresholds(_vectors(0), np.arange(0), _scores, (8, 64)),
        ),
        ("logits of no class", lambda p: AdaptiveClassifier((8, 64), [0.9]).classify(_vectors(), _sums)),
    ],
    "Spaces": [
        ("vectors of another model", lambda p: _known_index(p).add(_vectors(), space=_other_space())),
        ("a text without its embedder", lambda p: _known_index(p).search("text")),
        ("an embedder of another space", lambda p: _reopen(_known_index(p))),
        ("an unknown model name", lambda p: find_known_model("text-embedding-3-smal")),
        ("an embedder of no known kind", lambda p: load_embedder("hub:bert")),
        ("a model folder that is not there", lambda p: load_embedder("st:./absent")),
        ("an address that is none", lambda p: load_embedder("openai:m", base_url="localhost:8080")),
        ("a prompt for a model without prompts", lambda p: load_embedder(query_prompt="query: ")),
        ("a prefix longer than the vector", lambda p: load_embedder(truncate_dim=513)),
        ("a dim the model was not trained for", lambda p: find_known_model("zembed-1").space(100)),
    ],
    "Plans and searches": [
        ("an unknown precision", lambda p: Plan.parse("64:int4")),
        ("no shortlist before the last stage", lambda p: Plan.parse("32:binary > 64:float32")),
        ("stages in the wrong order", lambda p: Plan.parse("64:float32@20 > 32:binary")),
        ("a dim outside the nesting", lambda p: _index(p).search(_vectors(), plan="48:float32")),
        ("a precision that is not kept", lambda p: _index(p).search(_vectors(), plan="64:float16")),
        ("k of 0", lambda p: _index(p).search(_vectors(), 0)),
        ("an empty query text", lambda p: _index(p).search(" ")),
        ("an unknown filter operator", lambda p: _index(p).search(_vectors(), filter={"a": {"$near": 1}})),
        ("a filter that is no object", lambda p: _index(p).search(_vectors(), filter=["a"])),  # type: ignore[arg-type]
    ],
    "Lists": [
        (
            "a plan with lists where there are none",
            lambda p: _index(p).search(_vectors(), plan="64:pq4@9 > 64:float32"),
        ),
        ("lists after the first stage", lambda p: Plan.parse("8:int8@9 > 64:pq4")),
        ("lists of a prefix", lambda p: _listed(p).search(_many(1), plan="32:pq4@9 > 64:float32")),
        ("probes of another precision", lambda p: Plan.parse("64:int8/4@9 > 64:float32")),
        ("0 probes", lambda p: Plan.parse("64:pq4/0@9 > 64:float32")),
        (
            "pq4 as a precision to keep",
            lambda p: Index.create(p / "i", dim=DIM, precisions=("pq4", "float32")),
        ),
        ("vectors in pq4", lambda p: quantize(_vectors(), "pq4")),
        ("partition: more lists than documents allow", lambda p: _listed(p).partition(200)),
        ("partition: too few documents for a codebook", lambda p: _index(p).partition(1)),
        ("partition: a negative number of lists", lambda p: _index(p).partition(-1)),
        ("partition: codes of an odd number of bytes", lambda p: _index(p).partition(4, code_bytes=9)),
        ("partition: codes that are too short", lambda p: _index(p).partition(4, code_bytes=6)),
        ("partition: codes that are too long", lambda p: _index(p).partition(4, code_bytes=256)),
        ("partition: queries of another dim", lambda p: _listed(p).partition(4, queries=np.ones((2, 3)))),
        ("a vector too long for lists", lambda p: _listed(p, metric="ip").add(_many(1) * np.float32(1e30))),
        (
            "partition: a read-only index",
            lambda p: _read_only(_listed(p)).partition(4),
        ),
        (
            "a partition whose bytes changed",
            lambda p: Index.open(_damaged_lists(p, "partition.1.seg", lambda data: _flip(data, 40))),
        ),
        (
            "lists that are cut off",
            lambda p: Index.open(_damaged_lists(p, "segments/00000001.1.lists", lambda data: data[:20])),
        ),
        (
            "lists whose bytes changed",
            lambda p: Index.open(
                _damaged_lists(p, "segments/00000001.1.lists", lambda data: _flip(data, 40))
            ),
        ),
    ],
    "Documents": [
        ("an id that is there", lambda p: _index(p).add(_vectors(1), ids=["a"])),
        ("an id given twice", lambda p: _index(p).add(_vectors(2), ids=["x", "x"])),
        ("integer ids beside strings", lambda p: _index(p).add(_vectors(1), ids=[1])),
        ("too few ids", lambda p: _index(p).add(_vectors(3), ids=["x"])),
        (
            "metadata that JSON cannot hold",
            lambda p: _index(p).add(_vectors(1), ids=["x"], metadata=[{"a": {1}}]),
        ),
        ("an unknown id", lambda p: _index(p).get("nobody")),
    ],
    "Profile, fit, calibrate": [
        ("profile: rows of different lengths", lambda p: profile([[1.0, 2.0], [1.0]])),
        ("profile: a NaN", lambda p: profile(_many(nan=True))),
        ("profile: queries of another dim", lambda p: profile(_many(), _many(40)[:, :32])),
        ("profile: 3 queries", lambda p: profile(_many(), _many(3, seed=1))),
        ("profile: copies of 7 vectors", lambda p: profile(np.repeat(_many(7), 30, axis=0))),
        ("profile: all vectors equal", lambda p: profile(np.ones((200, DIM)))),
        ("fit: rows of different lengths", lambda p: choose_projection([[1.0, 2.0], [1.0]])),  # type: ignore[arg-type]
        ("fit: a NaN", lambda p: choose_projection(_many(nan=True))),
        ("fit: queries of another dim", lambda p: choose_projection(_many(), _many(40)[:, :32])),
        ("fit: 3 queries", lambda p: choose_projection(_many(), _many(3, seed=1))),
        ("fit: copies of 7 vectors", lambda p: choose_projection(np.repeat(_many(7), 30, axis=0))),
        ("fit: all vectors equal", lambda p: choose_projection(np.ones((200, DIM)))),
        ("an adaptor of other shapes", lambda p: Adaptor(np.eye(4), np.ones((4, 3)), np.ones((4, 3)))),
        (
            "an adaptor that is turned back from nowhere",
            lambda p: _unreached().inverse(np.ones((1, 2), np.float32)),
        ),
        ("fit: all queries equal", lambda p: choose_projection(_many(), np.ones((200, DIM)))),
        ("calibrate: rows of different lengths", lambda p: _calibrate(p, [[1.0, 2.0], [1.0]])),
        ("calibrate: a NaN", lambda p: _calibrate(p, _many(nan=True))),
        ("calibrate: queries of another dim", lambda p: _calibrate(p, _many()[:, :32])),
        ("calibrate: 3 queries", lambda p: _calibrate(p, _many(3, seed=1))),
        ("calibrate: copies of 20 queries", lambda p: _calibrate(p, np.repeat(_many(20, seed=1), 9, axis=0))),
        ("calibrate: no queries, all vectors equal", lambda p: _calibrate(p, None, np.ones((200, DIM)))),
    ],
    "Judgements and runs": [
        ("a grade that is no number", lambda p: read_qrels(_file(p, "q1 0 a 1\nq1 0 b good\n"))),
        ("two grades for one document", lambda p: read_qrels(_file(p, "q1 0 a 1\nq1 0 a 2\n"))),
        ("no judgements", lambda p: read_qrels(_file(p, ""))),
        ("a run of five columns", lambda p: read_run(_file(p, "q1 Q0 a 1 0.5\n"))),
        ("a document twice in a run", lambda p: read_run(_file(p, "q1 Q0 a 1 2 t\nq1 Q0 a 2 1 t\n"))),
        ("a run of other queries", lambda p: evaluate_runs({"run": {"x": {"a": 1.0}}}, {"q1": {"a": 1}})),
        ("a measure in lower case", lambda p: _evaluate(p, {"q1": {"a": 1}}, ["ndcg@10"])),
        ("judgements of other queries", lambda p: _evaluate(p, {"x": {"a": 1}})),
        ("judgements of other documents", lambda p: _evaluate(p, {"q1": {"x": 1}})),
        ("judgements that find nothing relevant", lambda p: _evaluate(p, {"q1": {"a": 0}})),
        ("a folder that is no BEIR folder", lambda p: open_beir(p)),
        ("storage of no vectors", lambda p: storage(0, [64])),
    ],
    "The index on disk": [
        ("nothing there", lambda p: Index.open(p / "no.kukla")),
        ("something there already", lambda p: Index.create(_filled(p), dim=DIM)),
        ("a truncated segment", lambda p: Index.open(_damaged(p, lambda data: data[:-64]))),
        ("a segment cut inside its header", lambda p: Index.open(_damaged(p, lambda data: data[:100]))),
        ("a changed bit in a header", lambda p: Index.open(_damaged(p, lambda data: _flip(data, 40)))),
        (
            "a changed bit in vectors",
            lambda p: Index.open(_damaged(p, lambda data: _flip(data, len(data) - 200)), verify=True),
        ),
        ("a segment that is another file", lambda p: Index.open(_damaged(p, lambda data: b"PNG" + data))),
        ("a newer format", lambda p: Index.open(_damaged(p, lambda data: data[:8] + b"\x63" + data[9:]))),
        ("a catalog that is another file", lambda p: Index.open(_foreign_catalog(p))),
        ("a write to a read-only index", lambda p: Index.open(_closed(p), read_only=True).delete("a")),
        ("no float precision kept", lambda p: Index.create(p / "q.kukla", dim=DIM, precisions=["int8"])),
    ],
}

_TRAIN = ["train", "--base", "b", "--data", "pairs.jsonl", "--out", "m"]
_DISTILL = ["distill", "--teacher", "t", "--corpus", "missing.txt", "--out", "m"]
COMMANDS: list[tuple[str, list[str]]] = [
    ("a missing file", ["index", "missing.md", "--to", "x.kukla"]),
    ("an index that is not there", ["search", "missing.kukla", "text"]),
    ("vectors to embed", ["embed", "q.npy", "--to", "v.npy"]),
    ("embedding to a file of no known kind", ["embed", "q.npy", "--to", "v.csv"]),
    ("embedding to a file that is there", ["embed", "text.md", "--to", "q.npy"]),
    ("a wrong filter", ["search", "i.kukla", "--vector", "q.npy", "--filter", "year~2000"]),
    ("k of 0", ["search", "i.kukla", "--vector", "q.npy", "-k", "0"]),
    ("query vectors of another dim", ["search", "i.kukla", "--vector", "short.npy"]),
    ("an unknown id", ["get", "i.kukla", "nobody"]),
    ("a file that is no array", ["truncate", "notes.npy", "out.npy", "--dims", "8"]),
    ("an evaluation of nothing", ["eval"]),
    ("a BEIR folder that is not there", ["eval", "missing"]),
    ("a device of no known kind", ["eval", "missing", "--device", "gpu"]),
    ("dims above the width", ["truncate", "q.npy", "out.npy", "--dims", "65"]),
    ("a report over another file", ["report", "i.kukla", "--out", "notes.npy"]),
    ("a training run without data", ["train", "--base", "b", "--dims", "64", "--out", "m"]),
    ("training of 0 dims", [*_TRAIN, "--dims", "0,64"]),
    ("training of the same dims twice", [*_TRAIN, "--dims", "64,64"]),
    ("a learning rate of 0", [*_TRAIN, "--dims", "64", "--lr", "0"]),
    ("layers to keep where only the last is trained", [*_TRAIN, "--dims", "64", "--keep-layers", "2"]),
    ("fewer weights than dims", [*_TRAIN, "--dims", "64,32", "--weights", "1,2,3"]),
    ("a distillation of nothing", ["distill", "--teacher", "t", "--out", "m"]),
    ("a distillation to 0 dims", [*_DISTILL, "--dims", "0,64"]),
    ("a vocabulary of fewer pieces than bytes", [*_DISTILL, "--pieces", "200"]),
    ("a target for bare vectors", ["report", "q.npy", "--target", "recall@10>=0.9"]),
]


def _reopen(index: Index) -> Index:
    return Index.open(index.path, embedder=load_embedder())


def _filled(folder: Path) -> Path:
    (folder / "file.txt").write_text("mine")
    return folder


def _file(folder: Path, text: str) -> Path:
    (folder / "file").write_text(text)
    return folder / "file"


def _evaluate(folder: Path, qrels: dict[str, dict[str, int]], measures: Sequence[str] = ("R@1",)) -> object:
    return evaluate_quality(_index(folder), _vectors(1), qrels, query_ids=["q1"], measures=measures)


def _closed(folder: Path) -> Path:
    _index(folder).close()
    return folder / "i.kukla"


def _foreign_catalog(folder: Path) -> Path:
    (folder / "catalog.sqlite").write_text("not a database")
    return folder


def _error(case: Case) -> Exception:
    with tempfile.TemporaryDirectory() as folder:
        try:
            case(Path(folder))
        except Exception as error:
            return type(error)(_tidy(str(error), folder)) if not isinstance(error, ImportError) else error
    raise AssertionError("no error was raised")


def _command(arguments: list[str]) -> tuple[int, str]:
    with tempfile.TemporaryDirectory() as folder:
        _index(Path(folder)).close()
        np.save(Path(folder) / "q.npy", _vectors(1))
        np.save(Path(folder) / "short.npy", _vectors(1)[:, :8])
        (Path(folder) / "notes.npy").write_text("a text")
        (Path(folder) / "text.md").write_text("# A text\n\nIt has two lines.\n")
        done = subprocess.run(
            [sys.executable, "-m", "kukla", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, _tidy(done.stderr.strip(), folder)


def _tidy(message: str, folder: str) -> str:
    """Without what differs from run to run: the folder."""
    return (
        message.replace(str(Path(folder).resolve()) + "/", "").replace(folder + "/", "").replace(folder, ".")
    )


def page() -> str:
    """The page: one table a topic."""
    lines = [
        "# What wrong input gets",
        "",
        "Made by running every line: `python tests/test_bad_inputs.py`. All errors are `KuklaError`s; the",
        "tree is in `kukla.errors`. Damage to an index is described further in [format.md](format.md).",
    ]
    for topic, cases in CASES.items():
        lines += ["", f"## {topic}", "", "| given | error | message |", "|---|---|---|"]
        for given, case in cases:
            error = _error(case)
            lines.append(f"| {given} | `{type(error).__name__}` | {_cell(str(error))} |")
    lines += ["", "## The command", "", "| given | exit status | standard error |", "|---|---|---|"]
    for given, arguments in COMMANDS:
        status, message = _command(arguments)
        lines.append(f"| {given} | {status} | {_cell(message.splitlines()[-1])} |")
    return "\n".join(lines) + "\n"


def _cell(message: str) -> str:
    return message.replace("|", "\\|").replace("\n", " ")


@pytest.mark.parametrize(
    ("given", "case"),
    [(f"{topic}: {given}", case) for topic, cases in CASES.items() for given, case in cases],
)
def test_wrong_input_gets_an_error_of_our_tree_that_says_why(given: str, case: Case) -> None:
    error = _error(case)
    assert isinstance(error, kukla.errors.KuklaError), f"{given}: {error!r}"
    assert type(error) is not kukla.errors.KuklaError
    assert len(str(error)) > 20


@pytest.mark.parametrize(("given", "arguments"), COMMANDS)
def test_a_wrong_command_line_gets_one_line_and_no_traceback(given: str, arguments: list[str]) -> None:
    status, message = _command(arguments)
    assert status in (1, 2), given
    assert "Traceback" not in message
    assert re.search(r"(?i)error: ", message)


@pytest.mark.slow
def test_the_page_is_what_happens() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), f"run: python {Path(__file__).name} > docs/{PAGE.name}"


if __name__ == "__main__":
    print(page(), end="")
