"""The names that users see: few, documented, and as listed here."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

import kukla
from kukla import errors
from kukla.errors import KuklaError, MissingExtraError, NotFoundError

PUBLIC = [
    "Document",
    "Index",
    "KuklaError",
    "Nesting",
    "Plan",
    "Precision",
    "SearchResult",
    "Space",
    "Stage",
    "load_embedder",
    "quantize",
    "truncate",
]


def test_the_public_names() -> None:
    assert kukla.__all__ == PUBLIC
    assert len(PUBLIC) <= 12
    assert sorted(PUBLIC) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(kukla, name)
    assert inspect.getdoc(value)
    assert value.__module__.startswith("kukla.")
    # A dataclass without a docstring would have its signature for one.
    assert not value.__doc__.startswith(f"{name}(")


@pytest.mark.parametrize("name", [name for name in PUBLIC if inspect.isclass(getattr(kukla, name))])
def test_every_public_method_is_documented(name: str) -> None:
    for method, value in inspect.getmembers(getattr(kukla, name)):  # inherited ones too
        if not method.startswith("_") and (callable(value) or isinstance(value, property)):
            assert inspect.getdoc(value), f"{name}.{method}"


def test_the_help_of_search_says_everything() -> None:
    """The facade hands on to other modules: its own signature and words must stay complete."""
    said = inspect.getdoc(kukla.Index.search) or ""
    for argument in inspect.signature(kukla.Index.search).parameters:
        line = re.compile(rf"^(?:\w+, )*{argument}(?:, \w+)* :", re.MULTILINE)
        assert argument == "self" or line.search(said), argument
    assert all(f"\n{part}\n---" in said for part in ("Parameters", "Returns", "Raises"))


# Errors


def tree() -> list[tuple[str, str | None, str | None]]:
    """Class, parent and built-in base of each line of the tree drawn in the docstring of kukla.errors."""
    assert errors.__doc__ is not None
    parents: dict[int, str] = {}
    lines = []
    for line in errors.__doc__.splitlines():
        found = re.fullmatch(r"    ((?:│   |    )*(?:[├└]── )?)(\w+Error)(?: \((\w+)\))?(?:  .*)?", line)
        if found:
            depth, name = len(found[1]) // 4, found[2]
            parents[depth] = name
            lines.append((name, parents.get(depth - 1), found[3]))
    return lines


def test_the_tree_shows_every_error() -> None:
    assert sorted(name for name, _, _ in tree()) == sorted(errors.__all__)
    assert errors.__all__ == sorted(errors.__all__)
    defined = {name for name, value in vars(errors).items() if inspect.isclass(value)}
    assert defined == set(errors.__all__)


@pytest.mark.parametrize(("name", "parent", "builtin"), tree(), ids=lambda part: str(part))
def test_the_tree_shows_the_true_bases(name: str, parent: str | None, builtin: str | None) -> None:
    error = getattr(errors, name)
    assert issubclass(error, KuklaError)
    assert inspect.getdoc(error)
    expected = [parent or "Exception", *([builtin] if builtin else [])]
    assert [base.__name__ for base in error.__bases__] == expected


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name != "MissingExtraError"])
def test_errors_print_their_message_and_travel_between_processes(name: str) -> None:
    error = getattr(errors, name)("row 3: 'x' is not allowed")
    assert str(error) == "row 3: 'x' is not allowed"
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is type(error)
    assert str(copied) == str(error)


def test_a_missing_extra_prints_its_install_command() -> None:
    error = MissingExtraError("reading Parquet", "parquet")
    assert str(error) == "reading Parquet needs an optional dependency: pip install 'kukla[parquet]'"
    assert error.extra == "parquet"
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), copied.extra) == (str(error), "parquet")


def test_a_missing_id_is_a_key_error_that_reads_well() -> None:
    with pytest.raises(KeyError) as caught:
        raise NotFoundError("there is no document with the id 'a'")
    assert str(caught.value) == "there is no document with the id 'a'"
