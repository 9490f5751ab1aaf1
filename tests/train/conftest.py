"""Real texts that every machine has: docstrings of the standard library, embedded by the built-in model."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass

import numpy as np
import pytest

from kukla import kernels, load_embedder

MODULES = """
argparse ast asyncio base64 bisect calendar cmath codecs collections configparser contextlib copy csv
dataclasses datetime decimal difflib dis email.message enum fileinput fnmatch fractions functools gzip
hashlib heapq hmac html.parser http.client imaplib inspect io ipaddress itertools json locale logging
mailbox math mimetypes multiprocessing.pool operator os pathlib pickle platform plistlib poplib pprint queue
random re sched secrets select shelve shlex shutil signal smtplib socket sqlite3 ssl statistics string
struct subprocess tarfile tempfile textwrap threading time timeit tokenize traceback types unittest
urllib.parse urllib.request uuid wave weakref xml.dom.minidom xmlrpc.client zipfile zlib
"""
DIM = 128


@dataclass(frozen=True)
class Docstrings:
    """First lines as queries, half to learn from and half untouched; what follows them as documents."""

    documents: np.ndarray
    known: np.ndarray
    untouched: np.ndarray
    pairs: np.ndarray
    untouched_answers: np.ndarray


@pytest.fixture(autouse=True)
def kernels_without_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the native build is missing, ask for NumPy: the warning about it is tested elsewhere."""
    if kernels.available() == ("numpy",):
        monkeypatch.setenv("KUKLA_KERNELS", "numpy")


def _docstrings() -> list[tuple[str, str]]:
    """First line and the rest, of functions and classes whose docstring has both."""
    found: dict[str, str] = {}
    for name in MODULES.split():
        module = importlib.import_module(name)
        for label, member in sorted(vars(module).items()):
            if label.startswith("_") or not callable(member):
                continue
            owned = [member, *vars(member).values()] if inspect.isclass(member) else [member]
            for one in owned:
                text = getattr(one, "__doc__", None)
                head, _, rest = text.strip().partition("\n") if isinstance(text, str) else ("", "", "")
                if len(head) > 20 and len(rest.split()) > 8:
                    found.setdefault(head, " ".join(rest.split()))
    return sorted(found.items())


@pytest.fixture(scope="session")
def docstrings() -> Docstrings:
    rows = _docstrings()
    embedder = load_embedder()
    documents = embedder.encode_documents([rest for _, rest in rows], dim=DIM)
    queries = embedder.encode_queries([head for head, _ in rows], dim=DIM)
    order = np.random.default_rng(0).permutation(len(rows))
    known, untouched = order[::2], order[1::2]
    pairs = np.stack([np.arange(len(known)), known], axis=1)
    return Docstrings(documents, queries[known], queries[untouched], pairs, untouched)
