"""Index: documents and their vectors, stored once and searched coarse to fine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from kukla.document import DocumentId
from kukla.index.add import add
from kukla.index.asking import Asking
from kukla.index.opened import Ids, Queries, ids_of, open_index
from kukla.ingest import Item
from kukla.plan import Plan
from kukla.precision import Precision
from kukla.progress import Progress
from kukla.projection import Projection
from kukla.settings import Metric, Settings
from kukla.space import Space
from kukla.storage.files import create_folder

if TYPE_CHECKING:
    from kukla.embed import Embedder

__all__ = ["Index"]


class Index(Asking):
    """A folder with a SQLite catalog and memory-mapped segments; see ``docs/format.md``.

    Made by :meth:`create` and :meth:`open`; a context manager. One index may be used by several threads, and
    one folder by several processes: readers are never blocked, writers take turns, and every change is
    atomic and visible at once.
    """

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
        index = cls(open_index(Path(path), embedder, timeout_seconds=timeout_seconds, read_only=read_only))
        try:
            if verify:
                index.verify()
        except BaseException:
            index.close()
            raise
        return index

    def close(self) -> None:
        """Let go of the catalog; later calls raise ``StorageError``."""
        self._opened.store.catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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
        return add(self._opened, items, ids, texts, metadata, space, batch_rows, progress, replace=False)

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
        return add(self._opened, items, ids, texts, metadata, space, batch_rows, progress, replace=True)

    def delete(self, ids: Ids) -> int:
        """Remove documents; returns how many of the ids were there."""
        return self._opened.store.delete(ids_of(ids))

    def compact(self) -> None:
        """Rewrite everything into one segment without deleted rows. Searches go on meanwhile."""
        self._opened.store.compact()

    def partition(
        self,
        lists: int | None = None,
        *,
        queries: Queries | None = None,
        code_bytes: int = 128,
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
            Of each document's long code, even, 8 to 128; its short one takes a quarter of that, the code of
            the mean of 32 documents a half.
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

        opened = self._opened
        build(
            opened.store,
            opened.settings,
            lists,
            queries=None if queries is None else opened.query_vectors(queries),
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
        return self._opened.store.verify()
