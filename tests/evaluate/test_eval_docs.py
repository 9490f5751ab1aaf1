"""docs/eval.md: what it prints is what is printed, and its example runs."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from kukla import Index, load_embedder
from kukla.cli import cli

PAGE = (Path(__file__).parents[2] / "docs" / "eval.md").read_text(encoding="utf-8")


def block(name: str) -> list[str]:
    """The indented lines after ``<!-- name -->``."""
    (found,) = re.findall(rf"<!-- {name} -->\n((?:(?:    .*)?\n)+)", PAGE)
    return [line.removeprefix("    ") for line in found.strip("\n").splitlines()]


def printed(*arguments: str) -> list[str]:
    done = CliRunner().invoke(cli, ["eval", *arguments])
    assert done.exit_code == 0, done.output
    return [line.rstrip() for line in done.stdout.splitlines()]


def test_the_storage_table() -> None:
    lines = printed("--vectors", "1_000_000_000", "--dims", "256,1024,2048")
    assert lines[: len(block("storage"))] == block("storage")


@pytest.mark.shared_data
def test_cranfield_and_its_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "KUKLA_DATA" not in os.environ:
        pytest.skip("KUKLA_DATA names no data folder")
    folder = Path(os.environ["KUKLA_DATA"]) / "ir"
    monkeypatch.chdir(folder)
    options = ("--measures", "nDCG@10", "--plan", "128:binary@20x > 512:float32", "--run-out", str(tmp_path))
    lines = printed("cranfield", *options)
    assert lines[: len(block("cranfield"))] == block("cranfield")
    monkeypatch.chdir(tmp_path)
    runs = ("--run", "512-float32.trec", "--run", "256-int8.trec")
    qrels = str(folder / "cranfield" / "qrels.tsv")
    assert printed(*runs, "--qrels", qrels, "--measures", "nDCG@10,RR@10")[: len(block("runs"))] == block(
        "runs"
    )


def test_the_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    with Index.create("my.kukla", embedder=load_embedder()) as index:
        index.add(["Knead the dough for ten minutes.", "A doll opens."], ids=["bread.md#1", "dolls.txt#1"])
    exec(compile(example, "docs/eval.md", "exec"), {})
    assert capsys.readouterr().out.startswith("1.0 ['32:int8', '64:int8'")
    assert (tmp_path / "quality.png").stat().st_size > 10_000
