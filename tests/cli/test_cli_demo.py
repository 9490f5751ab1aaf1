"""kukla demo and the command as a whole."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from kukla.cli import cli
from kukla.errors import MissingExtraError
from kukla.readers import python_documents

from .conftest import Invoke, Kukla, error_of


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_demo_from_end_to_end_twice(kukla: Kukla, tmp_path: Path) -> None:
    first = kukla("demo", "--to", "demo")
    assert first.returncode == 0, first.stderr
    for expected in ("hit@10: ", "512:float32", "recall.png", "Try next:", "right: "):
        assert expected in first.stdout
    assert_is_a_picture(tmp_path / "demo" / "recall.png")
    again = kukla("demo", "--to", "demo", "--json")
    assert again.returncode == 0, again.stderr
    summary = json.loads(again.stdout)
    assert summary == json.loads((tmp_path / "demo" / "recall.json").read_text())
    assert summary["documents"] > 5000
    assert summary["questions"] == 60
    assert 0.2 < summary["hit_at_10"] <= 1
    exact, default, *_ = summary["plans"]
    assert exact["recall"] == 1
    assert default["recall"] > 0.8
    curves = summary["curves"]["rows"]
    assert {row["precision"] for row in curves} == {"binary", "int8", "float32"}
    found = kukla("search", "demo/python.kukla", "sort a list", "--json")
    assert "list.sort" in [result["id"] for result in json.loads(found.stdout)["results"]]


def assert_is_a_picture(path: Path) -> None:
    from matplotlib.image import imread

    picture = imread(path)
    assert picture.shape[1] > 1000
    # Not blank: ink on white, and more colours than the text's.
    ink = picture[(picture[..., :3] < 0.9).any(axis=-1)]
    assert len(ink) > 0.005 * picture.shape[0] * picture.shape[1]
    assert len(np.unique((ink[:, :3] * 8).astype(int), axis=0)) > 20


def test_without_matplotlib_the_demo_says_so_and_goes_on(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_figure(*_: object, **__: object) -> None:
        raise MissingExtraError("drawing the figure", "plot")

    module = sys.modules["kukla.cli.demo"]
    monkeypatch.setattr(module, "draw_curves", no_figure)
    monkeypatch.setattr(module, "python_documents", lambda: islice(python_documents(), 300))
    result = invoke("demo", "--to", tmp_path / "demo")
    assert result.exit_code == 0, result.output
    assert (
        "no figure: drawing the figure needs an optional dependency: pip install 'kukla[plot]'"
        in result.stdout
    )
    assert "Try next:" in result.stdout
    quiet = invoke("demo", "--to", tmp_path / "demo", "--json")
    assert json.loads(quiet.stdout)["documents"] == 300
    assert "pip install" in quiet.stderr


def test_the_demo_replaces_nothing_that_is_not_its_own(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "python.kukla").mkdir()
    (tmp_path / "python.kukla" / "mine").write_text("mine")
    assert "no demo made" in error_of(invoke("demo", "--to", tmp_path))
    assert (tmp_path / "python.kukla" / "mine").exists()
    assert "could not make" in error_of(invoke("demo", "--to", tmp_path / "python.kukla" / "mine"))


@pytest.mark.parametrize("name", list(cli.commands))
def test_every_help_page_has_examples(invoke: Invoke, name: str) -> None:
    text = invoke(name, "--help").stdout
    assert text.startswith(f"Usage: cli {name}")
    assert text.count(f"kukla {name} ") >= 1
    assert text.partition("Examples:")[2].count("kukla ") >= 2
    assert "\b" not in text


def test_help_and_version(kukla: Kukla) -> None:
    text = kukla("--help").stdout
    assert text.index("  index ") < text.index("  search ") < text.index("  demo ")
    assert "Exit status: 0 done" in text
    assert kukla("--version").stdout.startswith("kukla, version ")
    assert kukla("sarch").returncode == 2


def test_an_interruption_leaves_no_index_and_no_traceback(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a first run."""
    # The package's attribute ``index`` is the command; its module is found in sys.modules.
    script = """
import sys, kukla.cli
module = sys.modules["kukla.cli.index"]

def items():
    yield [1.0, 2.0]
    raise KeyboardInterrupt

module.open_source = lambda *_, **__: module.Source(items(), None, 2)
sys.argv = ["kukla", "index", "x.npy", "--to", "x.kukla"]
kukla.cli.main()
"""
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 130
    assert result.stderr.splitlines()[-1] == "interrupted"
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "x.kukla").exists()
