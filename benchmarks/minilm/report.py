"""What was measured as Markdown, as the page prints it, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.minilm.intervals import Interval, Resampled

__all__ = ["as_json", "table_lines"]

UNTOUCHED, MRL, PLAIN = "untouched", "MRL", "without MRL"
# What MRL costs; who wins.
_COMPARED = (
    (MRL, PLAIN),
    (MRL, "PCA rotation"),
    (MRL, "learned rotation, training pairs"),
    ("PCA rotation", "Matryoshka-Adaptor from PCA"),
    ("PCA rotation", "SMEC from PCA"),
    ("learned rotation", "Matryoshka-Adaptor from PCA"),
    ("learned rotation, pairs", "Matryoshka-Adaptor from PCA, pairs"),
)


def table_lines(measure: str, sets: Sequence[str], found: Resampled, dims: tuple[int, ...]) -> Iterator[str]:
    """Means at every dim; what MRL costs and who wins; what is left at a twelfth of the dims."""
    places = range(len(dims))
    title = f"{measure}, mean over {', '.join(sets)}"
    yield f"\n**{title}**: untouched prefixes; others: the difference to them, paired\n"
    yield from _header("system", dims)
    for name in found.means:
        if name == UNTOUCHED:
            cells = [_plain(found.mean(name, place)) for place in places]
        else:
            cells = [_signed(found.difference(name, UNTOUCHED, place)) for place in places]
        yield _row(name, cells)
    compared = [pair for pair in _COMPARED if all(name in found.means for name in pair)]
    if compared:
        yield f"\n**{title}**: one minus the other, paired\n"
        yield from _header("", dims)
        for name, other in compared:
            cells = [_signed(found.difference(name, other, place)) for place in places]
            yield _row(f"{name} - {other}", cells)
    small = dims.index(dims[0] // 12)
    yield f"\n**What is left at {dims[small]} of {dims[0]} dims (8.3 %)**, {title}\n"
    yield "| system | of its own whole vectors | of untouched whole vectors |"
    yield "|---|---:|---:|"
    for name in found.means:
        cells = [_percent(found.share(name, small)), _percent(found.share(name, small, UNTOUCHED))]
        yield _row(name, cells)
    if MRL in found.means and PLAIN in found.means:
        lead = "{:+.1f} [{:+.1f}, {:+.1f}]".format(
            *(100 * one for one in found.share_difference(MRL, PLAIN, small))
        )
        yield f"\n{MRL} minus {PLAIN}, of their own whole vectors, paired: {lead} points"


def as_json(
    measure: str, sets: Sequence[str], found: Resampled, dims: tuple[int, ...]
) -> list[dict[str, Any]]:
    """One entry a system and dim."""
    return [
        {
            "measure": measure,
            "sets": list(sets),
            "system": name,
            "dim": dim,
            "mean": found.mean(name, place),
            "minus_untouched": found.difference(name, UNTOUCHED, place),
            "share_of_own_whole": found.share(name, place),
            "share_of_untouched_whole": found.share(name, place, UNTOUCHED),
        }
        for name in found.means
        for place, dim in enumerate(dims)
    ]


def _header(first: str, dims: tuple[int, ...]) -> Iterator[str]:
    yield _row(first, [f"{dims[0]} dims", *map(str, dims[1:])])
    yield "|---" + "|---:" * len(dims) + "|"


def _row(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | " + " | ".join(cells) + " |"


def _plain(found: Interval) -> str:
    return "{:.3f} [{:.3f}, {:.3f}]".format(*found)


def _signed(found: Interval) -> str:
    return "{:+.3f} [{:+.3f}, {:+.3f}]".format(*found)


def _percent(found: Interval) -> str:
    return "{:.1f} % [{:.1f}, {:.1f}]".format(*(100 * value for value in found))
