"""A small real workload: sentences of Python's own documentation, embedded by the built-in model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kukla import kernels, load_embedder
from kukla.readers.python_docs import python_documents


@pytest.fixture(autouse=True)
def kernels_without_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the native build is missing, ask for NumPy: the warning about it is tested elsewhere."""
    if kernels.available() == ("numpy",):
        monkeypatch.setenv("KUKLA_KERNELS", "numpy")


@pytest.fixture(scope="session")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workload folder: 2,000 documents, and the first lines of 40 others as queries."""
    texts = []
    for document in python_documents():
        if document.text and document.text not in texts[-1:]:
            texts.append(document.text)
        if len(texts) == 2040:
            break
    embedder = load_embedder()
    folder = tmp_path_factory.mktemp("sets") / "pydoc"
    folder.mkdir()
    np.save(folder / "base.npy", embedder.encode_documents(texts[:2000]))
    questions = [text.split("\n")[0][:80] or "python" for text in texts[2000:]]
    np.save(folder / "queries.npy", embedder.encode_queries(questions))
    return folder
