"""Index: documents and their vectors, stored once and searched coarse to fine."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kukla.checks import check_count, check_vectors
from kukla.cost import PlanCost, plan_cost
from kukla.document import Document, DocumentId
from kukla.errors import InputError, NotFoundError, StorageError
from kukla.filters import Filter
from kukla.info import IndexInfo, describe
from kukla.ingest import Item, check_id, make_batches
from kukla.nesting import Nesting, truncate
from kukla.plan import Plan
from kukla.precision import Precision
from kukla.progress import Progress
from kukla.projection import Projection
from kukla.search.certify import probe_plan
from kukla.search.masks import MaskCache
from kukla.search.native import Runners
from kukla.search.result import SearchResult
from kukla.search.run import run
from kukla.search.stages import Mask
from kukla.settings import Metric, Settings
from kukla.space import Space
from kukla.storage.files import create_folder, open_store
from kukla.storage.store import Store, View

if TYPE_CHECKING:
    from kukla.calibrate import Calibration, CalibrationState
    from kukla.embed import Embedder
    from kukla.target import Target

__all__ = ["Index"]

BATCH_BYTES = 1 << 27
LARGEST_BATCH = 65_536
LARGEST_ARRAY_BATCH = 262_144
"""Of rows that are in memory anyway; a segment of so many is never merged."""
LARGEST_K = 2**31 - 1

Ids = DocumentId | Iterable[DocumentId]
Queries = str | Sequence[str] | ArrayLike


class Index:
    """A folder with a SQLite catalog and memory-mapped segments; see ``docs/format.md``.

    Made by :meth:`create` and :meth:`open`; a context manager. One index may be used by several threads, and
    one folder by several processes: readers are never blocked, writers take turns, and every change is
    atomic and visible at once.
    """

    def __init__(self, folder: Path, store: Store, settings: Settings, embedder: Embedder | None) -> None:
        self.path = folder
        self._store = store
        self._settings = settings
        self._masks = MaskCache()
        self._runners = Runners()
        self._layout = settings.layout
        self._checked: Plan | None = None
        self._calibrations: Any = None  # of kukla.calibrate.state: the view they were read in, and they
        self._embedder: Embedder | None = None
        if embedder is not None:
            self._attach(embedder)

    # Making and opening

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        dim: int | None = None,
        space: Space | None = None,
        embedder: Embedder | None = None,
        metric: Metric = "cosine",
        nesting: Iterable[int] | None = None,
        precisions: Iterable[Precision | str] = (Precision.BINARY, Precision.INT8, Precision.FLOAT32),
        plan: Plan | str | None = None,
        projection: Projection | None = None,
        timeout_seconds: float = 10.0,
    ) -> Index:
        """Make a new, empty index.

        Parameters
        ----------
        path : str or Path
            A folder that does not exist yet, or is empty.
        dim : int, optional
            The width of the vectors; not needed with ``space`` or ``embedder``.
        space : Space, optional
            Who made the vectors. Without it the index accepts any vectors of the right dim.
        embedder : Embedder, optional
            Makes vectors of texts; its space becomes the index's.
        metric : {"cosine", "ip"}
            ``cosine`` normalises what is added and searched; ``ip`` (inner product) takes it as it is.
        nesting : iterable of int, optional
            The prefix lengths that plans can use. Default: the space's trained dims, else powers of two.
        precisions : iterable of Precision or str
            What is stored of each vector: at least one of float32 and float16, for ``get`` and the last
            stage; ``binary`` and ``int8`` for stages before it.
        plan : Plan or str, optional
            What ``search`` runs when it is given no other. Default: :meth:`Plan.default`.
        projection : Projection, optional
            Applied to documents and queries alike. Default: none.
        timeout_seconds : float
            How long a change waits for another writer.

        Raises
        ------
        IndexExistsError
            When there is something at ``path`` already.
        InputError
            When the arguments do not fit together.
        """
        settings = Settings.make(
            dim=dim,
            space=embedder.space if space is None and embedder is not None else space,
            metric=metric,
            nesting=nesting,
            precisions=precisions,
            plan=plan,
            projection=projection,
        )
        folder = Path(path)
        create_folder(folder, settings)
        return cls.open(folder, embedder=embedder, timeout_seconds=timeout_seconds)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        embedder: Embedder | None = None,
        read_only: bool = False,
        verify: bool = False,
        timeout_seconds: float = 10.0,
    ) -> Index:
        """Open an index: headers are checked, vectors are mapped and not read.

        Parameters
        ----------
        path : str or Path
        embedder : Embedder, optional
            Must be of the index's space: its canaries are encoded and compared. The built-in model is
            found by itself.
        read_only : bool
            Refuse changes; also works in a folder that cannot be written.
        verify : bool
            Read every byte and compare checksums (see :meth:`verify`).
        timeout_seconds : float
            How long a change waits for another writer.

        Raises
        ------
        StorageError
            One kind for each cause: missing, foreign, newer, truncated, changed bytes.
        SpaceError
            When the embedder is not the one that made the stored vectors.
        """
        folder = Path(path)
        store, settings = open_store(folder, timeout_seconds=timeout_seconds, read_only=read_only)
        try:
            index = cls(folder, store, settings, embedder)
            if verify:
                index.verify()
        except BaseException:
            store.catalog.close()
            raise
        return index

    def close(self) -> None:
        """Let go of the catalog; later calls raise ``StorageError``."""
        self._store.catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What it is

    @property
    def space(self) -> Space:
        """Who made the vectors."""
        return self._settings.space

    @property
    def nesting(self) -> Nesting:
        """The prefix lengths that plans can use."""
        return self._settings.nesting

    @property
    def plan(self) -> Plan:
        """What ``search`` runs when it is given no other."""
        return self._settings.plan

    @property
    def embedder(self) -> Embedder:
        """What makes vectors of texts; the built-in model, and what ``KUKLA_MODEL`` names, load themselves.

        Raises
        ------
        InputError
            When the index's space needs an embedder that was not given.
        """
        if self._embedder is None:
            from kukla.embed import find_embedder

            return self._attach(find_embedder(self.space))
        return self._embedder

    def _attach(self, embedder: Embedder) -> Embedder:
        self.space.check_same(embedder.space, doing="using this embedder with the index")
        self.space.check_canaries(embedder.encode_documents)
        self._embedder = embedder
        return embedder

    def info(self) -> IndexInfo:
        """Counts, sizes and settings."""
        with self._store.snapshot() as (view, _):
            return describe(self.path, view, self._settings)

    def explain(
        self,
        plan: Plan | str | None = None,
        *,
        k: int = 10,
        dims: int | None = None,
        shortlist: int | None = None,
        oversampling: float | None = None,
        documents: int | None = None,
    ) -> PlanCost:
        """What a plan reads, computes and keeps in memory for one query; ``str()`` of it is a table.

        ``documents`` asks about another size than the index's own.
        """
        chosen = self._plan(plan, dims, shortlist, oversampling)
        count = len(self) if documents is None else check_count(documents, what="documents", least=0)
        settings = self._settings
        return plan_cost(
            chosen,
            settings.nesting,
            settings.precisions,
            documents=count,
            k=check_count(k, what="k", most=LARGEST_K),
            cosine=settings.cosine,
            renormalise=settings.renormalises_prefixes,
            partition=self._store.current().partition,
        )

    def __len__(self) -> int:
        with self._store.snapshot() as (view, _):
            return view.count

    def __contains__(self, id_: object) -> bool:
        with self._store.snapshot() as (_, connection):
            found = connection.execute("SELECT 1 FROM documents WHERE id = ?", (check_id(id_),)).fetchone()
            return found is not None

    def __repr__(self) -> str:
        try:
            state = f"{len(self):,} documents"
        except StorageError:
            state = "closed or damaged"
        return f"Index({str(self.path)!r}, {state}, {self.space.model}, dims {self.nesting})"

    # Changing it

    def add(
        self,
        items: NDArray[np.floating[Any]] | Iterable[Item],
        *,
        ids: Iterable[DocumentId] | None = None,
        texts: Iterable[str | None] | None = None,
        metadata: Iterable[Mapping[str, Any] | None] | None = None,
        space: Space | None = None,
        batch_rows: int | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Add documents; an id that is there already is an error.

        Parameters
        ----------
        items : ndarray of float, shape (n, dim), or iterable
            Vectors; or an iterable of texts (embedded by :attr:`embedder`), :class:`Document` objects (or
            mappings with their fields), vectors, or batches of vectors. Iterables are read as they go: memory
            holds one batch.
        ids, texts, metadata : iterable, optional
            Beside ``items``, in the same order. Without ids, documents are numbered.
        space : Space, optional
            Who made these vectors: refused unless it is the index's space.
        batch_rows : int, optional
            Rows that become visible together. Default: about 128 MB of vectors.
        progress : callable, optional
            Called as ``progress(done, total)`` after each batch.

        Returns
        -------
        int
            How many were added.

        Raises
        ------
        InputError
            Naming the row. Batches before it stay added; nothing of its own batch is.
        SpaceError, LockedError, WriteError
        """
        return self._write(items, ids, texts, metadata, space, batch_rows, progress, replace=False)

    def upsert(
        self,
        items: NDArray[np.floating[Any]] | Iterable[Item],
        *,
        ids: Iterable[DocumentId] | None = None,
        texts: Iterable[str | None] | None = None,
        metadata: Iterable[Mapping[str, Any] | None] | None = None,
        space: Space | None = None,
        batch_rows: int | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Add documents; one whose id is there already replaces it as a whole. Else like :meth:`add`."""
        return self._write(items, ids, texts, metadata, space, batch_rows, progress, replace=True)

    def _write(
        self,
        items: Any,
        ids: Any,
        texts: Any,
        metadata: Any,
        space: Space | None,
        batch_rows: int | None,
        progress: Progress | None,
        *,
        replace: bool,
    ) -> int:
        if space is not None:
            self.space.check_same(space, doing="adding vectors")
        settings = self._settings
        largest = LARGEST_ARRAY_BATCH if isinstance(items, np.ndarray) else LARGEST_BATCH
        default_rows = max(1, min(largest, BATCH_BYTES // (4 * settings.dim)))
        rows = default_rows if batch_rows is None else check_count(batch_rows, what="batch_rows")
        total = _count(items)
        done = 0
        for batch in make_batches(
            items,
            ids=ids,
            texts=texts,
            metadata=metadata,
            dim=settings.dim,
            prepare=settings.stored,
            encode=lambda batch_texts: self.embedder.encode_documents(batch_texts),
            rows=rows,
        ):
            done += self._store.append(batch, replace=replace)
            if progress is not None:
                progress(done, total)
        return done

    def delete(self, ids: Ids) -> int:
        """Remove documents; returns how many of the ids were there."""
        return self._store.delete(_many(ids))

    def compact(self) -> None:
        """Rewrite everything into one segment without deleted rows. Searches go on meanwhile."""
        self._store.compact()

    def partition(
        self,
        lists: int | None = None,
        *,
        queries: Queries | None = None,
        code_bytes: int = 64,
        seed: int = 0,
        threads: int = 1,
        progress: Progress | None = None,
    ) -> None:
        """Cut the index into lists, for plans that begin with ``pq4``: see ``docs/lists.md``.

        From then on what is added goes into lists too. A partition that is there is replaced.

        Parameters
        ----------
        lists : int, optional
            Default: four times the square root of the number of documents. 0 removes the lists.
        queries : str, sequence of str, or array of float (n_queries, dim), optional
            Like those that will be asked: they say which dims matter. Default: documents.
        code_bytes : int
            Of each document, even, 2 to 128.
        seed : int
            Of what is drawn.
        threads : int
        progress : callable, optional

        Raises
        ------
        InputError
            Too few documents or dims for so many lists.
        LockedError, WriteError
        """
        from kukla.partition.build import build

        vectors = None if queries is None else self._query_vectors(queries)
        build(
            self._store,
            self._settings,
            lists,
            queries=vectors,
            code_bytes=code_bytes,
            seed=seed,
            threads=threads,
            progress=progress,
        )

    def verify(self) -> int:
        """Read every byte of the index and compare checksums; returns how many bytes of vectors.

        Raises
        ------
        ChecksumError, TruncatedFileError, ForeignFileError
            Naming the file and the offset.
        """
        return self._store.verify()

    # Asking it

    def get(self, ids: Ids, *, dim: int | None = None, vectors: bool = True) -> list[Document]:
        """Documents with their vectors, in the order of ``ids`` (one id or several).

        Parameters
        ----------
        ids : int, str, or iterable of them
        dim : int, optional
            The ``dim``-prefix of the stored vector, renormalised. Default: the whole vector as it was added
            (for cosine: of length 1; with a projection: turned back, and only about what was added where the
            projection is not orthonormal).
        vectors : bool
            ``False``: documents without vectors, and nothing is turned back, which takes time.

        Raises
        ------
        NotFoundError
            Naming the first id that is not in the index.
        InputError
            The projection is an adaptor, and no vector was found that it moves to the stored one.
        """
        wanted = _many(ids)
        with self._store.snapshot() as (view, connection):
            return [self._document(id_, dim, vectors, view, connection) for id_ in wanted]

    def _document(
        self, id_: DocumentId, dim: int | None, with_vector: bool, view: View, connection: Any
    ) -> Document:
        found = self._store.find(id_, view, connection)
        if found is None:
            raise NotFoundError(f"there is no document with the id {id_!r} in {self.path}")
        if not with_vector:
            return Document(id_, found.text, found.metadata)
        stored = found.vector.astype(np.float32)
        if dim is None:
            vector = self._settings.unprojected(stored[None])[0]
        else:
            vector = truncate(stored, check_count(dim, what="dim", most=self._settings.nesting.full))
        vector.flags.writeable = False
        return Document(id_, found.text, found.metadata, vector)

    def search(
        self,
        queries: Queries,
        k: int = 10,
        *,
        plan: Plan | str | None = None,
        target: Target | str | None = None,
        dims: int | None = None,
        shortlist: int | None = None,
        oversampling: float | None = None,
        filter: Filter | None = None,  # noqa: A002 - the field's word for it
        certify: bool = False,
        space: Space | None = None,
        threads: int = 1,
    ) -> SearchResult:
        """Find the ``k`` best documents for each query.

        Parameters
        ----------
        queries : str, sequence of str, or array of float (dim,) or (n_queries, dim)
            Texts are embedded by :attr:`embedder`.
        k : int
            Fewer are returned only when fewer match.
        plan : Plan or str, optional
            Default: the index's.
        target : Target or str, optional
            Instead of a plan: the cheapest that :meth:`calibrate` proved to reach it, for searches without
            filter. ``k`` must be the target's.
        dims, shortlist, oversampling : optional
            Change the plan's first stage: see :meth:`Plan.adjust`.
        filter : mapping, optional
            See :mod:`kukla.filters`. Applied before the first stage: ``k`` results whenever ``k`` match.
        certify : bool
            Go on after the plan until the answer is proven: the ids and scores that an exact search
            returns, always; of the vectors as stored, which after a projection that is not orthonormal are
            not those that were added. What that cost is in the result's ``proof``. Without a plan or a
            target, the plan is one that is cheap to prove.
        space : Space, optional
            Who made the query vectors: refused unless it is the index's space.
        threads : int
            Results do not depend on it.

        Returns
        -------
        SearchResult
            Arrays ``(n_queries, min(k, matching))``, also for one query.

        Raises
        ------
        VectorError, PlanError, FilterError, SpaceError
        """
        started = time.perf_counter()
        k = check_count(k, what="k", most=LARGEST_K)
        threads = check_count(threads, what="threads", most=1024)
        if space is not None:
            self.space.check_same(space, doing="searching")
        adjusted = not (plan is None and dims is None and shortlist is None and oversampling is None)
        promise = None
        if target is not None:
            if adjusted:
                raise InputError("a target chooses the plan: give no plan, dims, shortlist or oversampling")
            from kukla.calibrate.state import promised

            plan, promise = promised(self, target, k)
        elif certify and not adjusted:
            plan = probe_plan(self._layout)
        chosen = self._plan(plan, dims, shortlist, oversampling)
        vectors = self._query_vectors(queries)
        if filter is None:
            view = self._store.current()
            masks: Sequence[Mask] = view.live
        else:
            with self._store.snapshot() as (view, connection):
                masks = self._masks.masks(filter, view, connection)
        return run(
            chosen,
            vectors,
            k,
            view,
            masks,
            self._layout,
            renormalise=self._settings.renormalises_prefixes,
            proof=certify,
            promise=promise if filter is None else None,
            threads=threads,
            started=started,
            runners=self._runners,
        )

    def calibrate(
        self, queries: Queries | None = None, *, target: Target | str, **options: Any
    ) -> Calibration:
        """Find the cheapest plan that reaches a target, prove it on held-out queries, and keep it.

        Parameters
        ----------
        queries : str, sequence of str, or array of float (n_queries, dim), optional
            Drawn as future queries will be. Without them documents are queries: an estimate.
        target : Target or str
            ``recall@10>=0.99``.
        **options
            Those of :func:`kukla.calibrate.calibrate`.

        Raises
        ------
        InputError
            Too few queries; the message says how many are needed.
        """
        from kukla.calibrate import calibrate

        return calibrate(self, queries, target=target, **options)

    def calibration_state(self, *, search: bool = True) -> tuple[CalibrationState, ...]:
        """Whether each stored calibration is ``fresh`` or ``stale``, and why.

        Without ``search`` by its key and by counting documents alone; with it, also by exact searches for
        the 32 queries that were stored.
        """
        from kukla.calibrate.state import states

        return states(self, search=search)

    def _plan(
        self, plan: Plan | str | None, dims: int | None, shortlist: int | None, oversampling: float | None
    ) -> Plan:
        same = dims is None and shortlist is None and oversampling is None
        if same and plan is not None and plan is self._checked:  # again, as mostly
            return plan
        chosen = self.plan if plan is None else Plan.of(plan)
        chosen = chosen.adjust(dims=dims, shortlist=shortlist, oversampling=oversampling)
        # Whether there are lists, a search finds out: another process may make them.
        chosen.check(self._settings.nesting, [*self._settings.precisions, Precision.PQ4])
        self._checked = chosen
        return chosen

    def _query_vectors(self, queries: Queries) -> NDArray[np.float32]:
        """Float32 rows in the stored space: projected, and of length 1 for cosine."""
        if isinstance(queries, np.ndarray) and queries.shape[-1:] == (self._settings.dim,):
            ready = self._settings.quickly_stored(queries)
            if ready is not None:
                return ready
        return self._settings.stored(self._raw_queries(queries))

    def _raw_queries(self, queries: Queries) -> NDArray[np.floating[Any]]:
        """Rows ``(n_queries, dim)`` as the model made them: any float dtype, finite."""
        if isinstance(queries, str):
            queries = [queries]
        if isinstance(queries, Sequence) and queries and all(isinstance(query, str) for query in queries):
            for row, text in enumerate(queries):
                if not text.strip():
                    raise InputError(f"query {row} is an empty text; a query needs at least one word")
            queries = self.embedder.encode_queries(cast("Sequence[str]", queries))
        dim = self._settings.dim
        if isinstance(queries, Sequence) and not queries:
            queries = np.empty((0, dim), dtype=np.float32)
        return np.atleast_2d(check_vectors(queries, dim=dim, what="queries"))


def _many(ids: Ids) -> list[DocumentId]:
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
        return [check_id(ids)]
    return [check_id(id_) for id_ in ids]


def _count(items: Any) -> int | None:
    """How many rows there will be, where that is known beforehand."""
    if isinstance(items, np.ndarray):
        return len(np.atleast_2d(items))
    if not isinstance(items, Sequence) or any(getattr(item, "ndim", 1) == 2 for item in items):
        return None
    return len(items)
