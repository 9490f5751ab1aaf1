"""The README's examples run, its commands exist, its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_three_line_example_runs_and_finds_the_sentence_about_embeddings(tmp_path: Path) -> None:
    (example,) = re.findall(r"<!-- example -->\n```python\n(.*?)```", README, flags=re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[[0]]\n"


def test_the_printed_explanation_is_what_explain_prints() -> None:
    from kukla.cost import plan_cost
    from kukla.nesting import Nesting
    from kukla.plan import Plan
    from kukla.precision import Precision

    plan = Plan.parse("256:binary@200 > 1536:int8@20 > 1536:float32")
    nesting = Nesting((64, 128, 256, 512, 1536))
    kept = (Precision.BINARY, Precision.INT8, Precision.FLOAT32)
    printed = str(plan_cost(plan, nesting, kept, documents=1_000_000, k=10))
    assert "\n".join("    " + line for line in printed.splitlines()) in README


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^    kukla (\w+)", README, flags=re.MULTILINE))))
def test_every_command_in_the_readme_exists(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kukla", command, "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "Examples:" in done.stdout


@pytest.mark.parametrize(
    "page", sorted(p.relative_to(ROOT) for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
)
def test_links_between_pages_lead_to_files(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", text):
        assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}"
