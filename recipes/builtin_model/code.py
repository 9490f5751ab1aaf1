"""Code to learn from: functions and classes of the installed Python, asked for by what their docstrings say.

The files are those of the standard library (PSF licence) and of packages that the recipe needs anyway: numpy,
torch (BSD). Another version of them gives other passages.
"""

from __future__ import annotations

import ast
import importlib.util
import sysconfig
import zlib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["PACKAGES", "definitions"]

PACKAGES = ("numpy", "torch")

_QUESTIONS = (
    "What does {name} do?",
    "What is the purpose of {name}?",
    "How does {name} work?",
    "Where is {name} defined?",
    "{doc}",
    "{doc}",
    "{name} in {module}: {doc}",
    "Which function in {module} does this: {doc}",
)
_SKIPPED = {"test", "tests", "testing", "_test", "idle_test", "site-packages", "lib2to3", "pydoc_data"}
_LINES = 5  # of code in what stands for a sentence


def definitions(most: int = 40_000) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield (question, parts of the code without its docstring), in the order of the files."""
    roots = [Path(sysconfig.get_paths()["stdlib"])]
    specs = (importlib.util.find_spec(name) for name in PACKAGES)
    roots += [Path(spec.origin).parent for spec in specs if spec is not None and spec.origin is not None]
    count = 0
    for root in roots:
        for path in sorted(root.rglob("*.py")):
            if _SKIPPED.intersection(path.relative_to(root).parts):
                continue
            for question, parts in _of_file(path):
                yield question, parts
                count += 1
                if count == most:
                    return


def _of_file(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    try:
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
    except (UnicodeDecodeError, SyntaxError, ValueError):
        return
    lines = source.split("\n")
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        doc = ast.get_docstring(node)
        if node.name.startswith("__") or (not doc and len(node.name) < 6):
            continue  # a question about `__init__` or `run` has hundreds of answers
        code = lines[node.lineno - 1 : node.end_lineno]
        if doc:
            first = node.body[0]
            code = lines[node.lineno - 1 : first.lineno - 1] + lines[first.end_lineno or 0 : node.end_lineno]
        code = [line for line in code if line.strip()][:40]
        if len(code) < 4:
            continue
        said = " ".join((doc or "").split("\n\n")[0].split())[:300]
        draw = zlib.crc32(f"{path.name}:{node.name}:{node.lineno}".encode())
        question = _QUESTIONS[draw % (len(_QUESTIONS) if said else 4)]
        yield (
            question.format(name=node.name, module=path.stem, doc=said),
            tuple("\n".join(code[at : at + _LINES]) for at in range(0, len(code), _LINES)),
        )
