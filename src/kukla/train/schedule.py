"""Which prefixes are trained: nested dims, each half of the next."""

from __future__ import annotations

from collections.abc import Iterable

from kukla.checks import check_dim
from kukla.errors import InputError

__all__ = ["check_dims", "halving_dims"]

SMALLEST_DIM = 8
_DEEPEST = 64


def halving_dims(width: int) -> tuple[int, ...]:
    """Ascending dims from ``width / 64`` (at least 8) to ``width``, each half of the next, rounded down.

    Of 2560 dims it is the schedule of zembed-1: 40, 80, 160, 320, 640, 1280, 2560.

    Example
    -------
    >>> halving_dims(1536)
    (24, 48, 96, 192, 384, 768, 1536)
    """
    dim = check_dim(width, what="the width of the vectors")
    least = max(SMALLEST_DIM, width // _DEEPEST)
    dims = [dim]
    while dim // 2 >= least:
        dim //= 2
        dims.append(dim)
    return tuple(sorted(dims))


def check_dims(dims: Iterable[int] | None, width: int) -> tuple[int, ...]:
    """Ascending dims to train; ``InputError`` when none of them is shorter than the vectors."""
    if dims is None:
        wanted = halving_dims(width)
    else:
        wanted = tuple(sorted({check_dim(dim, what="a dim to train", most=width) for dim in dims}))
    if not any(dim < width for dim in wanted):
        raise InputError(
            f"a learned projection needs a dim below the {width} of the vectors to train, "
            f"got {', '.join(map(str, wanted)) or 'none'}"
        )
    return wanted
