"""The index: its facade (changing it, asking it), what it holds open, and what adding and asking do."""

from kukla.index.facade import Index
from kukla.index.opened import Ids, Queries

__all__ = ["Ids", "Index", "Queries"]
