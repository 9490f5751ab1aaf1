"""Kukla: Matryoshka embeddings made safe and fast. One stored vector, every size."""

from kukla.document import Document
from kukla.embed import load_embedder
from kukla.errors import KuklaError
from kukla.index import Index
from kukla.nesting import Nesting, truncate
from kukla.plan import Plan, Stage
from kukla.precision import Precision, quantize
from kukla.search.result import SearchResult
from kukla.space import Space

__all__ = [
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
