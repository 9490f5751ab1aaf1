"""A profile as a value: rows of a table, the verdict, what to do; as text and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kukla.profile.statistics import Interval
from kukla.profile.structure import Structure
from kukla.profile.verdict import Evidence, Nested, Verdict

__all__ = ["KEPT", "Profile", "Row", "knee_of"]

KEPT = 0.99
"""The share of the exact answers that a shortlist must hold for a dim to be a knee."""

ROWS_PER_DIM = 3
"""PCA fitted on fewer rows than this for each dim is below its best."""

DECISIVE = 300
"""Documents from which the verdict on the sets we measured was mostly decided: ``docs/profile.md``."""


@dataclass(frozen=True, slots=True)
class Row:
    """One dim: recall@k of each way to be that short, and of shortlists before rescoring.

    ``random_spread`` is the standard deviation of the mean recall over random orders; ``energy`` the share of
    the centred energy that the prefix holds.
    """

    dim: int
    prefix: Interval
    random: Interval
    random_spread: float
    suffix: Interval
    pca: Interval
    projection: Interval
    sign: Interval
    shortlisted: Interval
    shortlisted_random: Interval
    shortlisted_pca: Interval
    energy: float


def knee_of(rows: Sequence[Row], shortlisted: Callable[[Row], Interval]) -> int | None:
    """The smallest dim from which on every shortlist holds 99 % of the exact answers; ``None``: not one."""
    knee = None
    for row in reversed(rows):
        if shortlisted(row).mean < KEPT:
            break
        knee = row.dim
    return knee


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """What was measured, what it means, what to do.

    Parameters
    ----------
    verdict : Verdict
    rows : tuple of Row
        By ascending dim; the last is the full dim.
    evidence : Evidence
        What the rule of the verdict looked at.
    structure : Structure
    knee, pca_knee : int or None
        The smallest dim of ``rows`` whose shortlist, rescored with full vectors, keeps 99 % of the recall.
    k, shortlist, documents, queries, fitted_on, total, width : int
        ``documents`` are what a query searched, ``fitted_on`` the rows that each PCA saw, ``total`` what the
        sample was drawn from.
    sample_notes : tuple of str
        What a reader must know of the sample.
    """

    verdict: Verdict
    rows: tuple[Row, ...]
    evidence: Evidence
    structure: Structure
    knee: int | None
    pca_knee: int | None
    k: int
    shortlist: int
    documents: int
    queries: int
    fitted_on: int
    total: int
    width: int
    sample_notes: tuple[str, ...]

    @property
    def measured(self) -> str:
        """One line: what the numbers are."""
        return (
            f"recall@{self.k} against exact full vectors ({self.width} dims), {self.queries:,} queries, each "
            f"on {self.documents:,} documents; ± is the 95 % interval over queries"
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What to keep in mind with these numbers."""
        notes = list(self.sample_notes)
        if self.fitted_on < ROWS_PER_DIM * self.width:
            notes.append(
                f"PCA was fitted on {self.fitted_on:,} vectors, fewer than {ROWS_PER_DIM} for each of the "
                f"{self.width} dims: fitted on more it would find more"
            )
        if self.shortlist < 10 * self.k:
            notes.append(
                f"the shortlist is {self.shortlist}, a quarter of the documents, not {10 * self.k}: on so "
                "few documents shortlists flatter"
            )
        if self.verdict.leaning and self.documents < DECISIVE:
            notes.append(
                f"too small a sample to be sure: {self.documents:,} documents; {DECISIVE} or more usually "
                "decide"
            )
        if self.structure.is_independent and not self.structure.is_noise:
            notes.append(
                "the coordinates look independent of each other, as if made up one by one, but uneven"
            )
        return tuple(notes)

    @property
    def advice(self) -> tuple[str, ...]:
        """What to do about it."""
        if self.verdict.word is Nested.NOT_EMBEDDINGS:
            return (
                "these vectors carry no neighbourhoods: any search among them returns noise",
                "look at where they come from: placeholder or random vectors, a model without its weights, a "
                "file decoded with the wrong dtype or dims",
            )
        lines = [self._on_prefixes()]
        if self.verdict.word is Nested.WEAKLY:
            lines.append("the order helps little: a prefix is worth slightly more than random coordinates")
        lines.append(self._on_fitting())
        lines.append(
            f"sign codes of all {self.width} dims alone keep {self.rows[-1].sign.mean:.0%} of the neighbours "
            "in 1/32 of the bytes, more with a rescored shortlist: quantisation needs no nesting"
        )
        return tuple(lines)

    def _on_prefixes(self) -> str:
        if self.verdict.word is Nested.NOT:
            return "do not cut these vectors as they are: prefixes find no more than random coordinates"
        if self.knee is None or self.knee == self.width:
            return (
                f"no shorter prefix shown here keeps {KEPT:.0%} of the recall in a shortlist of "
                f"{self.shortlist}, rescored: quantise whole vectors instead"
            )
        return (
            f"serve prefixes as they are from {self.knee} of {self.width} dims on: a shortlist of "
            f"{self.shortlist}, rescored with full vectors, keeps {KEPT:.0%} of the recall"
        )

    def _on_fitting(self) -> str:
        enough = self.fitted_on >= ROWS_PER_DIM * self.width
        more = "" if enough else f"; better from more vectors: {ROWS_PER_DIM} or more for each dim"
        better = [row for row in self.rows[:-1] if row.pca.low > row.prefix.high]
        if better:
            most = max(better, key=lambda row: row.pca.mean - row.prefix.mean)
            return (
                f"fit a projection (`kukla fit`): on vectors that it has not seen, PCA finds "
                f"{most.pca.mean:.2f} at {most.dim} dims, the prefix {most.prefix.mean:.2f}{more}"
            )
        return f"a PCA rotation is no better than the prefix here{more}"

    @property
    def footnotes(self) -> tuple[str, ...]:
        """What the columns mean, what the spectrum looks like, and the notes."""
        shape = self.structure
        lines = [
            "random: as many coordinates drawn at random, mean and spread of several draws; energy: of the "
            "prefix, centred; JL: random projection; PCA: fitted without the query and the document that it "
            f"scores; best {self.shortlist}: the true {self.k} that are among them, before rescoring",
            f"spectrum: {shape.directions:.0f} directions carry the energy (of noise: "
            f"{shape.directions_noise:.0f}), {shape.above_noise} stand out of the noise",
        ]
        if shape.spikes:
            spike = shape.spikes[0]
            lines.append(
                f"spike: coordinate {spike.coordinate} holds {spike.raw:.1%} of the energy, "
                f"{spike.centred:.1%} after centring"
            )
        return (*lines, *(f"note: {note}" for note in self.notes))

    def tables(self) -> list[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
        """Two tables for people, as (header, rows): is it nested, and the other ways to be short."""
        best = f"best {self.shortlist}"
        first: list[tuple[str, ...]] = []
        second: list[tuple[str, ...]] = []
        for row in self.rows:
            spread = f"{row.random_spread:.3f}"
            first.append(
                (f"{row.dim}", f"{row.prefix}", f"{row.random}", spread, f"{row.suffix}", f"{row.energy:.0%}")
            )
            short = (row.shortlisted, row.shortlisted_random, row.shortlisted_pca)
            second.append((f"{row.dim}", *map(str, (row.pca, row.projection, row.sign, *short))))
        return [
            (("dim", "prefix", "random", "spread", "suffix", "energy"), first),
            (("dim", "PCA", "JL", "signs", f"prefix, {best}", f"random, {best}", f"PCA, {best}"), second),
        ]

    def __str__(self) -> str:
        lines = [f"verdict: {self.verdict}", *(f"  - {reason}" for reason in self.verdict.reasons)]
        lines += ["", self.measured]
        for header, rows in self.tables():
            widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
            lines.append("")
            for row in (header, *rows):
                lines.append("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
        lines += ["", *self.footnotes, "", "what to do"]
        return "\n".join([*lines, *(f"  - {line}" for line in self.advice)])

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: everything but the energy of single coordinates."""
        shape = asdict(self.structure) | {"is_noise": self.structure.is_noise}
        del shape["energy"], shape["raw_energy"]
        plain = ("knee", "pca_knee", "k", "shortlist", "documents", "queries", "fitted_on", "total", "width")
        return {
            "verdict": self.verdict.word.value,
            "leaning": self.verdict.leaning,
            "instead_of": [word.value for word in self.verdict.instead_of],
            "reasons": list(self.verdict.reasons),
            "advice": list(self.advice),
            "notes": list(self.notes),
            **{name: getattr(self, name) for name in plain},
            "rows": [asdict(row) for row in self.rows],
            "evidence": asdict(self.evidence),
            "structure": shape,
        }
