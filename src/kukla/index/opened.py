"""An open index as the package's own modules see it: ``index._opened``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kukla import kernels
from kukla.checks import check_vectors
from kukla.document import DocumentId
from kukla.errors import InputError
from kukla.ingest import check_id
from kukla.plan import Plan
from kukla.precision import Precision
from kukla.projection import Identity
from kukla.search.masks import MaskCache
from kukla.search.native import Runners
from kukla.settings import Settings
from kukla.storage.files import open_store
from kukla.storage.store import Store

if TYPE_CHECKING:
    from kukla.embed import Embedder

__all__ = ["Ids", "Opened", "Queries", "ids_of", "open_index"]

Ids = DocumentId | Iterable[DocumentId]
Queries = str | Sequence[str] | ArrayLike


class Opened:
    """The store and the settings of one index, and what is remembered between its searches.

    Parameters
    ----------
    folder : Path
    store : Store
    settings : Settings
    """

    def __init__(self, folder: Path, store: Store, settings: Settings) -> None:
        self.folder = folder
        self.store = store
        self.settings = settings
        self.layout = settings.layout
        self.masks = MaskCache()
        self.runners = Runners()
        self._isa: tuple[str | None, str] | None = None
        self._only_unit = settings.cosine and type(settings.projection) is Identity
        self.calibrations: Any = None  # of kukla.calibrate.state: the view they were read in, and they
        self._embedder: Embedder | None = None
        self._checked: Plan | None = None

    @property
    def embedder(self) -> Embedder:
        """See :attr:`kukla.Index.embedder`."""
        if self._embedder is None:
            from kukla.embed import find_embedder

            self.attach(find_embedder(self.settings.space))
        return cast("Embedder", self._embedder)

    def attach(self, embedder: Embedder) -> None:
        """Embed by this one from now on; ``SpaceError`` where it is not of the index's space."""
        space = self.settings.space
        space.check_same(embedder.space, doing="using this embedder with the index")
        space.check_canaries(embedder.encode_documents)
        self._embedder = embedder

    def plan(
        self, plan: Plan | str | None, dims: int | None, shortlist: int | None, oversampling: float | None
    ) -> Plan:
        """The plan to run, checked; ``None``: the index's."""
        same = dims is None and shortlist is None and oversampling is None
        if same and plan is not None and plan is self._checked:  # again, as mostly
            return plan
        settings = self.settings
        chosen = settings.plan if plan is None else Plan.of(plan)
        chosen = chosen.adjust(dims=dims, shortlist=shortlist, oversampling=oversampling)
        # Whether there are lists, a search finds out: another process may make them.
        chosen.check(settings.nesting, [*settings.precisions, Precision.PQ4])
        self._checked = chosen
        return chosen

    def query_vectors(self, queries: Queries) -> NDArray[np.float32]:
        """Float32 rows in the stored space: projected, and of length 1 for cosine."""
        if self._only_unit and isinstance(queries, np.ndarray):
            ready = kernels.unit_queries(self._kernels(), queries, self.settings.dim)
            if ready is not None:
                return ready
        return self.settings.stored(self.raw_queries(queries))

    def _kernels(self) -> str:
        """The active ones, asked for once: the environment does not change between searches."""
        forced, known = kernels.forced(), self._isa
        if known is None or known[0] != forced:
            known = self._isa = forced, kernels.active()
        return known[1]

    def raw_queries(self, queries: Queries) -> NDArray[np.floating[Any]]:
        """Rows ``(n_queries, dim)`` as the model made them: any float dtype, finite."""
        if isinstance(queries, str):
            queries = [queries]
        if isinstance(queries, Sequence) and queries and all(isinstance(query, str) for query in queries):
            for row, text in enumerate(queries):
                if not text.strip():
                    raise InputError(f"query {row} is an empty text; a query needs at least one word")
            queries = self.embedder.encode_queries(cast("Sequence[str]", queries))
        dim = self.settings.dim
        if isinstance(queries, Sequence) and not queries:
            queries = np.empty((0, dim), dtype=np.float32)
        return np.atleast_2d(check_vectors(queries, dim=dim, what="queries"))


def open_index(folder: Path, embedder: Embedder | None, *, timeout_seconds: float, read_only: bool) -> Opened:
    """What :meth:`kukla.Index.open` opens; nothing stays open where it raises."""
    store, settings = open_store(folder, timeout_seconds=timeout_seconds, read_only=read_only)
    try:
        opened = Opened(folder, store, settings)
        if embedder is not None:
            opened.attach(embedder)
    except BaseException:
        store.catalog.close()
        raise
    return opened


def ids_of(ids: Ids) -> list[DocumentId]:
    """One id or several as a list, each checked."""
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
        return [check_id(ids)]
    return [check_id(id_) for id_ in ids]
