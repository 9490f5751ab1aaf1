"""What can be asked of an index: the half of its facade that changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kukla.cost import PlanCost
from kukla.document import Document
from kukla.errors import StorageError
from kukla.filters import Filter
from kukla.index.ask import ask, cost_of
from kukla.index.get import documents, holds
from kukla.index.opened import Ids, Opened, Queries
from kukla.info import IndexInfo, describe
from kukla.nesting import Nesting
from kukla.plan import Plan
from kukla.search.result import SearchResult
from kukla.space import Space

if TYPE_CHECKING:
    from kukla.calibrate import Calibration, CalibrationState
    from kukla.embed import Embedder
    from kukla.index.facade import Index
    from kukla.target import Target

__all__ = ["Asking"]


class Asking:
    """What :class:`kukla.Index` says of itself, gives back and finds.

    ``_opened`` is what the package's other modules read; they touch no other name with an underscore.
    """

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self.path: Path = opened.folder

    # What it is

    @property
    def space(self) -> Space:
        """Who made the vectors."""
        return self._opened.settings.space

    @property
    def nesting(self) -> Nesting:
        """The prefix lengths that plans can use."""
        return self._opened.settings.nesting

    @property
    def plan(self) -> Plan:
        """What ``search`` runs when it is given no other."""
        return self._opened.settings.plan

    @property
    def embedder(self) -> Embedder:
        """What makes vectors of texts; the built-in model, and what ``KUKLA_MODEL`` names, load themselves.

        Raises
        ------
        InputError
            When the index's space needs an embedder that was not given.
        """
        return self._opened.embedder

    def info(self) -> IndexInfo:
        """Counts, sizes and settings."""
        return describe(self.path, self._opened.store.current(), self._opened.settings)

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
        return cost_of(self._opened, plan, k, dims, shortlist, oversampling, documents)

    def __len__(self) -> int:
        return self._opened.store.current().count

    def __contains__(self, id_: object) -> bool:
        return holds(self._opened, id_)

    def __repr__(self) -> str:
        try:
            state = f"{len(self):,} documents"
        except StorageError:
            state = "closed or damaged"
        return f"Index({str(self.path)!r}, {state}, {self.space.model}, dims {self.nesting})"

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
        return documents(self._opened, ids, dim, vectors)

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
        return ask(
            self, queries, k, plan, target, dims, shortlist, oversampling, filter, certify, space, threads
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

        return calibrate(cast("Index", self), queries, target=target, **options)

    def calibration_state(self, *, search: bool = True) -> tuple[CalibrationState, ...]:
        """Whether each stored calibration is ``fresh`` or ``stale``, and why.

        Without ``search`` by its key and by counting documents alone; with it, also by exact searches for
        the 32 queries that were stored.
        """
        from kukla.calibrate.state import states

        return states(cast("Index", self), search=search)
