"""From files to documents and vectors: folders of text, tables, arrays, Python's documentation."""

from __future__ import annotations

from kukla.readers.documents import read_documents
from kukla.readers.python_docs import python_documents
from kukla.readers.vectors import VectorFile, read_vectors, write_vectors
from kukla.readers.walk import Skipped

__all__ = ["Skipped", "VectorFile", "python_documents", "read_documents", "read_vectors", "write_vectors"]
