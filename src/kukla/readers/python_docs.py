"""The documentation of the running interpreter: a corpus that every user has and can judge.

Docstrings are read from the source of the standard library, without importing it. What is written in
C has no source, so a fixed list of modules that are safe to import is inspected as well. The topics
of ``help()`` (the language reference) are split into passages.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from kukla.document import Document
from kukla.readers.passages import split_into_passages
from kukla.readers.python_source import Documented, documented_nodes, parse_python
from kukla.readers.text import outline_rst
from kukla.readers.walk import Unreadable

__all__ = ["python_documents"]

_MIN_WORDS = 4

# Tests, demonstrations, jokes, per-platform twins of os and os.path, and 120 codecs that say the same.
_LEFT_OUT_MODULES = {
    "antigravity", "genericpath", "idlelib", "lib2to3", "nt", "ntpath", "posix", "posixpath",
    "pydoc_data", "test", "this", "turtledemo", "xxlimited", "xxlimited_35", "xxsubtype",
}  # fmt: skip
_LEFT_OUT_SUBMODULES = {"test", "tests", "idle_test"}
_NO_SUBMODULES = {"encodings", "ensurepip"}

# Modules with names made in C or at run time; importing them opens, prints and starts nothing.
_INSPECTED = (
    "builtins", "array", "asyncio", "atexit", "binascii", "bisect", "bz2", "cmath", "codecs",
    "collections", "collections.abc", "contextvars", "copyreg", "csv", "datetime", "decimal", "errno",
    "faulthandler", "fcntl", "functools", "gc", "getpass", "grp", "hashlib", "heapq", "hmac", "io",
    "itertools", "json", "locale", "lzma", "marshal", "math", "mmap", "multiprocessing", "operator", "os",
    "os.path", "pathlib", "pickle", "pwd", "pyexpat", "queue", "random", "re", "resource", "secrets",
    "select", "shutil", "signal", "socket", "sqlite3", "ssl", "stat", "statistics", "string", "struct",
    "subprocess", "sys", "syslog", "termios", "threading", "time", "tracemalloc", "types", "typing",
    "unicodedata", "warnings", "weakref", "xml.etree.ElementTree", "zlib", "zoneinfo",
)  # fmt: skip


def python_documents() -> Iterator[Document]:
    """Read the documentation of this interpreter, over seven thousand documents in a few seconds.

    Ids are qualified names as users write them (``csv.reader``, ``str.split``, ``asyncio.run``) and,
    for the language reference, ``topic:for#2``. The text is the name with its signature, an empty line
    and the docstring; metadata: ``kind`` (``module``, ``class``, ``function`` or ``topic``; methods and
    properties are functions), ``module``, ``name`` and, where there is source, ``line``. Only public
    names whose docstring has at least four words; ids are unique, and one interpreter always gives
    the same documents in the same order.

    Yields
    ------
    Document
    """
    seen: set[str] = set()
    for document in _all_documents():
        if document.id not in seen:
            seen.add(str(document.id))
            yield document


def _all_documents() -> Iterator[Document]:
    library = Path(sysconfig.get_path("stdlib"))
    for name in sorted(sys.stdlib_module_names):
        if name in _LEFT_OUT_MODULES or name.startswith("_"):
            continue
        if (library / name / "__init__.py").is_file():
            yield from _package_documents(library / name, name, library)
        elif (library / f"{name}.py").is_file():
            yield from _source_documents(library / f"{name}.py", name, library)
    for name in _INSPECTED:
        yield from _inspected_documents(name)
    yield from _topic_documents()


def _document(module: str, item: Documented) -> Document | None:
    if len(item.text.split()) < _MIN_WORDS or any(part.startswith("_") for part in item.name.split(".")):
        return None
    # Users write str.split, not builtins.str.split.
    prefix = f"{module}." if item.name and module != "builtins" else ""
    name = prefix + item.name or module
    signature = prefix + item.signature or module
    metadata: dict[str, Any] = {"kind": item.kind, "module": module, "name": name}
    if item.line:
        metadata["line"] = item.line
    return Document(name, f"{signature}\n\n{item.text}", metadata)


def _package_documents(folder: Path, name: str, library: Path) -> Iterator[Document]:
    yield from _source_documents(folder / "__init__.py", name, library)
    if name in _NO_SUBMODULES:
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith("_") or path.name in _LEFT_OUT_SUBMODULES:
            continue
        if (path / "__init__.py").is_file():
            yield from _package_documents(path, f"{name}.{path.name}", library)
        elif path.suffix == ".py":
            yield from _source_documents(path, f"{name}.{path.stem}", library)


def _source_documents(path: Path, module: str, library: Path) -> Iterator[Document]:
    """What a module defines, and what it passes on from the modules behind it under its own name."""
    tree = _parse(path)
    if tree is None:
        return
    items = list(documented_nodes(tree))
    for source, names in _passed_on(tree, path, library):
        behind = _parse(source)
        if behind is not None:
            public = names or _literal_all(behind)
            items += [
                item
                for item in documented_nodes(behind)
                if item.name and (not public or item.name.partition(".")[0] in public)
            ]
    yield from filter(None, (_document(module, item) for item in items))


def _parse(path: Path) -> ast.Module | None:
    try:
        return parse_python(path.read_bytes())
    except (Unreadable, OSError):  # a fixture that is meant not to parse; no source
        return None


def _passed_on(tree: ast.Module, path: Path, library: Path) -> Iterator[tuple[Path, set[str]]]:
    """The files of its own package, or private, that a module imports public names from.

    asyncio/__init__.py has ``from .runners import *``, datetime.py ``from _pydatetime import *``:
    the user knows asyncio.run and datetime.date. An empty set of names means all.
    """
    package = ".".join(path.parent.relative_to(library).parts)
    exported = _literal_all(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        own = node.level == 1 or (node.level == 0 and package and node.module.startswith(f"{package}."))
        private = node.level == 0 and node.module.startswith("_")
        if not private and not (own and path.name == "__init__.py"):
            continue
        source = (path.parent if node.level else library).joinpath(*node.module.split("."))
        source = source / "__init__.py" if source.is_dir() else source.with_suffix(".py")
        names = {alias.name for alias in node.names}
        if "*" in names:
            names = exported
        elif exported:
            names &= exported
            if not names:
                continue
        if source.is_file():
            yield source, names


def _literal_all(tree: ast.Module) -> set[str]:
    """The strings of ``__all__``, where it is written out; empty otherwise."""
    names: set[str] = set()
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if (
            isinstance(target, ast.Name)
            and target.id == "__all__"
            and isinstance(node, ast.Assign | ast.AugAssign)
        ):
            constants = (item for item in ast.walk(node.value) if isinstance(item, ast.Constant))
            names |= {item.value for item in constants if isinstance(item.value, str)}
    return names


def _inspected_documents(name: str) -> Iterator[Document]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # looking a deprecated name up is not using it
        try:
            module = importlib.import_module(name)
        except ImportError:  # not on this platform
            return
        documents = [_document(name, item) for item in _inspected(module)]
    yield from filter(None, documents)


def _inspected(module: ModuleType) -> Iterator[Documented]:
    text = inspect.getdoc(module)
    if text:
        yield Documented("", "module", "", text, 0)
    exported = getattr(module, "__all__", None)
    for name in sorted(exported or vars(module)):
        value = getattr(module, name, None)
        home = getattr(value, "__module__", None) or module.__name__
        # Without __all__, names from another public module were imported for the module's own use.
        if not exported and name != "open" and home != module.__name__ and not home.startswith("_"):
            continue
        yield from _inspected_value(name, value)


def _inspected_value(name: str, value: Any) -> Iterator[Documented]:
    if inspect.isclass(value):
        text = value.__doc__
        if isinstance(text, str):
            yield Documented(name, "class", name + _signature(value), inspect.cleandoc(text), 0)
        for member, raw in sorted(_members(value).items()):
            bound = raw.__func__ if isinstance(raw, classmethod | staticmethod) else raw
            if not member.startswith("_") and not inspect.isclass(bound):
                yield from _inspected_value(f"{name}.{member}", bound)
    elif inspect.isroutine(value) or inspect.isdatadescriptor(value):
        text = value.__doc__
        if isinstance(text, str):
            yield Documented(name, "function", name + _signature(value), inspect.cleandoc(text), 0)


def _members(value: type) -> dict[str, Any]:
    """Its own members and those of private base classes, which users know only under its name."""
    members: dict[str, Any] = {}
    for base in reversed(value.__mro__):
        if base is value or base.__name__.startswith("_") or "._" in base.__module__:
            members |= vars(base)
    return members


def _signature(value: Any) -> str:
    try:
        signature = inspect.signature(value)
    except (ValueError, TypeError, AttributeError):  # C code that does not say; the docstring mostly does
        return ""
    parameters = list(signature.parameters.values())
    if parameters and parameters[0].name in {"self", "cls", "type"}:
        signature = signature.replace(parameters=parameters[1:])
    return str(signature)


def _topic_documents() -> Iterator[Document]:
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    for topic, text in sorted(topics.items()):
        outline = outline_rst(text)
        for number, passage in enumerate(split_into_passages(outline.blocks), start=1):
            context = " - ".join(filter(None, (outline.title, *passage.section))) or topic
            metadata = {"kind": "topic", "module": "", "name": topic}
            yield Document(f"topic:{topic}#{number}", f"{context}\n\n{passage.text}", metadata)
