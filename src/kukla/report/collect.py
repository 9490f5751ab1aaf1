"""From an index or a file of vectors to what a report shows."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kukla import kernels
from kukla.errors import InputError, VectorError
from kukla.evaluate.quality import evaluate_quality
from kukla.profile import Profile
from kukla.profile import profile as measure_profile
from kukla.progress import Progress
from kukla.projection import Identity
from kukla.readers import VectorFile
from kukla.report.facts import Command, IndexFacts, Made, Report
from kukla.report.plans import measure_plans, pick_state

if TYPE_CHECKING:
    from kukla.document import DocumentId
    from kukla.index import Index, Queries
    from kukla.target import Target

__all__ = ["Asked", "report_index", "report_vectors"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user typed, for the commands that the page prints; names of files, not their content."""

    source: str
    queries: str | None = None
    qrels: str | None = None
    key: str | None = None
    command: str = ""


def report_vectors(
    vectors: ArrayLike | VectorFile,
    queries: ArrayLike | VectorFile | None = None,
    *,
    title: str,
    asked: Asked | None = None,
    k: int = 10,
    seed: int = 0,
    progress: Progress | None = None,
) -> Report:
    """A report on vectors without an index: the verdict, and what short vectors find.

    Parameters
    ----------
    vectors : array of float, shape (n, width), or VectorFile
    queries : array of float, shape (q, width), or VectorFile, optional
    title : str
    asked : Asked, optional
    k, seed : int
    progress : callable, optional

    Raises
    ------
    InputError, VectorError
        What :func:`kukla.profile.profile` refuses: without a profile there is nothing to report.
    """
    asked = asked or Asked(title)
    profile = measure_profile(vectors, queries, k=k, seed=seed, progress=progress)
    tail = "" if asked.key is None else f" --key {shlex.quote(asked.key)}"
    tail += "" if asked.queries is None else f" --queries {shlex.quote(asked.queries)}"
    commands = (
        Command("this page", asked.command),
        Command(
            "the verdict and its tables", f"kukla profile {shlex.quote(asked.source)}{tail} -k {profile.k}"
        ),
    )
    return Report(
        title=title,
        made=Made.now(_machine()),
        profile=profile,
        profiled="the given queries" if queries is not None else "vectors of the file as queries",
        commands=tuple(command for command in commands if command.text),
    )


def report_index(
    index: Index,
    queries: Queries | None = None,
    *,
    target: Target | str | None = None,
    qrels: Mapping[str, Mapping[DocumentId, int]] | None = None,
    query_ids: list[str] | None = None,
    population: str | None = None,
    title: str | None = None,
    asked: Asked | None = None,
    k: int | None = None,
    seed: int = 0,
    threads: int = 1,
    progress: Progress | None = None,
) -> Report:
    """A report on an index: its calibration, the plan, what it saves, and the verdict on its vectors.

    Parameters
    ----------
    index : Index
    queries : str, sequence of str, or array of float (n_queries, dim), optional
        For the profile, for timing, and for the calibration where ``target`` is given.
    target : Target or str, optional
        Calibrate now, and keep the result with the index. Default: show what is kept.
    qrels, query_ids, population, seed, threads
        Of the calibration: see :func:`kukla.calibrate.calibrate`.
    title : str, optional
        Default: the name of the folder.
    asked : Asked, optional
    k : int, optional
        Of the profile and of nDCG; of the plan too where there is no calibration, which has its own. Default:
        the calibration's, else 10.
    progress : callable, optional

    Raises
    ------
    InputError, VectorError, WriteError
        What ``calibrate`` refuses; queries of another width.
    """
    asked = asked or Asked(str(index.path))
    vectors = None if queries is None else index._opened.raw_queries(queries)
    fresh = None
    if target is not None:
        fresh = index.calibrate(
            vectors,
            target=target,
            population=population,
            qrels=qrels,
            query_ids=query_ids,
            seed=seed,
            threads=threads,
            progress=progress,
        )
    states = index.calibration_state()
    main = pick_state(states, fresh)
    plan_k = main.calibration.target.k if main is not None else k or 10
    k = k or plan_k
    judged = None
    if qrels is not None and vectors is not None:
        judged = evaluate_quality(
            index,
            vectors,
            qrels,
            query_ids=query_ids or [],
            measures=(f"nDCG@{k}",),
            plans=[index.plan] if main is None else [main.calibration.plan],
            seed=seed,
            threads=threads,
            progress=progress,
        )
    plans = measure_plans(index, vectors, main, k=plan_k, seed=seed)
    facts = IndexFacts(
        info=index.info(),
        plans=plans.rows,
        timed_queries=plans.queries,
        timed_on=plans.asked,
        states=states,
        main=main,
        chosen_here=fresh is not None,
    )
    profile, missing = _profile_of(index, vectors, k, seed, progress)
    return Report(
        title=title or index.path.name,
        made=Made.now(_machine()),
        profile=profile,
        profiled="the given queries" if queries is not None else "documents as queries",
        profile_missing=missing,
        index=facts,
        quality=judged,
        commands=_commands(facts, asked, k, plan_k),
    )


def _profile_of(
    index: Index, queries: NDArray[np.floating[Any]] | None, k: int, seed: int, progress: Progress | None
) -> tuple[Profile | None, str]:
    """The profile of the model's own vectors where the index can give them back, else of those it stores.

    Or why there is none: an index is reported in any case.
    """
    projection = index._opened.settings.projection
    raw = type(projection) is not Identity and projection.keeps_scores
    try:
        return measure_profile(index, queries, k=k, seed=seed, raw=raw, progress=progress), ""
    except VectorError:
        raise
    except InputError as error:
        return None, str(error)


def _commands(facts: IndexFacts, asked: Asked, k: int, plan_k: int) -> tuple[Command, ...]:
    source = shlex.quote(asked.source)
    found = [Command("this page", asked.command)] if asked.command else []
    calibration = facts.calibration
    if calibration is None:
        target = f"recall@{plan_k}>=0.95"
        queries = shlex.quote(asked.queries or "questions.jsonl")
        text = f"kukla calibrate {source} --queries {queries} --target '{target}'"
        found.append(Command("a plan that is proven to reach a recall on your queries", text))
    else:
        target = str(calibration.target)
        options = "" if calibration.estimated else f" --queries {shlex.quote(asked.queries or 'QUERIES')}"
        if calibration.judged:
            options += f" --qrels {shlex.quote(asked.qrels or 'QRELS')}"
        if calibration.confidence != 0.95:
            options += f" --confidence {calibration.confidence:g}"
        if calibration.seed:
            options += f" --seed {calibration.seed}"
        text = f"kukla calibrate {source}{options} --target '{target}'"
        found.append(Command("the frontier and the chosen plan", text))
        if calibration.target.metric == "recall":
            search = f"kukla search {source} 'your question' -k {calibration.target.k} --target '{target}'"
            found.append(Command("a search with the chosen plan", search))
    tail = "" if asked.queries is None else f" --queries {shlex.quote(asked.queries)}"
    found.append(Command("the verdict and its tables", f"kukla profile {source}{tail} -k {k}"))
    if facts.used is not None:
        plan = facts.used.plan
        found.append(Command("the table of bytes", f"kukla explain {source} --plan '{plan}' -k {plan_k}"))
    return tuple(found)


def _machine() -> str:
    system = f"{platform.system()} {platform.machine()}"
    return f"{_processor() or 'processor unknown'}, {system}, kernels {kernels.active()}"


def _processor() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return name or platform.processor()
