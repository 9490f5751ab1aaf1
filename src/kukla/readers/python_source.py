"""Python source: the docstrings of a module, its classes and its functions, without running it."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from kukla.readers.passages import Block, Outline
from kukla.readers.walk import Unreadable

__all__ = ["Documented", "documented_nodes", "outline_python", "parse_python"]

_Function = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Documented:
    """One definition and its docstring.

    Parameters
    ----------
    name : str
        Qualified within the module (``Reader.read``); empty for the module itself.
    kind : str
        ``module``, ``class`` or ``function`` (methods and properties too).
    signature : str
        As called, without ``self``: ``Reader.read(size=-1) -> bytes``; of a class, its ``__init__``'s.
    text : str
        The cleaned docstring; of a class without one, that of its ``__init__``.
    line : int
        1-based.
    """

    name: str
    kind: str
    signature: str
    text: str
    line: int


def parse_python(data: bytes) -> ast.Module:
    """Parse source, honouring its byte order mark and encoding line.

    Raises
    ------
    Unreadable
        It does not parse; the reason names the line.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the warnings of other people's code, such as "\d"
        try:
            return ast.parse(data)
        except SyntaxError as error:
            line = f"line {error.lineno}: " if error.lineno else ""
            raise Unreadable(f"does not parse as Python: {line}{error.msg}") from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise Unreadable(f"does not parse as Python: {error}") from None


def outline_python(data: bytes, module: str) -> Outline:
    """Read the docstrings of one module; each is a section named by its signature.

    Parameters
    ----------
    data : bytes
        The source.
    module : str
        Its dotted name, which becomes the title.

    Raises
    ------
    Unreadable
        It does not parse.
    """
    blocks = []
    for item in documented_nodes(parse_python(data)):
        section = (item.signature,) if item.name else ()
        blocks.append(Block(item.text, item.line, section))
    return Outline(module, blocks)


def documented_nodes(tree: ast.Module) -> Iterator[Documented]:
    """The module, then every class and function with a docstring, in source order.

    Definitions under ``if`` and ``try`` count, functions inside functions do not: they cannot be
    reached from outside.
    """
    text = ast.get_docstring(tree)
    if text:
        yield Documented("", "module", "", text, 1)
    yield from _documented(tree.body, "")


def _documented(body: list[ast.stmt], prefix: str) -> Iterator[Documented]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            init = next((n for n in node.body if isinstance(n, _Function) and n.name == "__init__"), None)
            text = ast.get_docstring(node) or (init and ast.get_docstring(init))
            name = prefix + node.name
            if text:
                signature = name + (_arguments(init, drop_first=True) if init else "")
                yield Documented(name, "class", signature, text, node.lineno)
            yield from _documented(node.body, name + ".")
        elif isinstance(node, _Function):
            text = ast.get_docstring(node)
            name = prefix + node.name
            if text:
                yield Documented(name, "function", name + _call(node, bool(prefix)), text, node.lineno)
        elif isinstance(node, ast.If | ast.Try | ast.With):
            yield from _documented(node.body, prefix)
            for handler in getattr(node, "handlers", []):
                yield from _documented(handler.body, prefix)
            yield from _documented(getattr(node, "orelse", []), prefix)


def _call(node: ast.FunctionDef | ast.AsyncFunctionDef, method: bool) -> str:
    """The arguments as a caller writes them: no ``self`` or ``cls``; nothing for a property."""
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    if any("property" in decorator or decorator.endswith("setter") for decorator in decorators):
        return ""
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return _arguments(node, drop_first=method and "staticmethod" not in decorators) + returns


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef, *, drop_first: bool) -> str:
    arguments = ast.unparse(node.args)
    positional = node.args.posonlyargs + node.args.args
    if drop_first and len(node.args.defaults) < len(positional):
        arguments = arguments.removeprefix(ast.unparse(positional[0])).removeprefix(", ")
        if len(node.args.posonlyargs) == 1:  # the bare "/" that is left stood for self alone
            arguments = arguments.removeprefix("/").removeprefix(", ")
    return f"({arguments})"
