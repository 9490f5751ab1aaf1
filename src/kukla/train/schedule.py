"""Which prefixes are trained: nested dims, each half of the next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite

from kukla.checks import LARGEST_DIM, check_dim
from kukla.errors import InputError

__all__ = ["WEIGHTINGS", "check_dims", "halving_dims", "parse_dims", "parse_weights"]

WEIGHTINGS = ("equal", "small")

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


def parse_dims(dims: Sequence[int], width: int | None = None) -> tuple[int, ...]:
    """Dims to train, in the order given: any order is allowed, since weights may go with them.

    Raises
    ------
    InputError
        None; a dim given twice; a dim of 0, below it, above ``width``, or no whole number.
    """
    if not isinstance(dims, list | tuple):
        raise InputError(f"dims to train must be a list such as [384, 192, 96], got {dims!r}")
    most = LARGEST_DIM if width is None else width
    found = tuple(check_dim(dim, what="a dim to train", most=most) for dim in dims)
    if not found:
        raise InputError("dims to train: got none; at least one is needed")
    if len(set(found)) < len(found):
        twice = next(dim for place, dim in enumerate(found) if dim in found[:place])
        raise InputError(f"dims to train: {twice} is given twice in {', '.join(map(str, found))}")
    return found


def parse_weights(weights: str | Sequence[float], dims: Sequence[int]) -> tuple[float, ...]:
    """Weights of the losses of ``dims``, in their order.

    ``"equal"`` is 1 each, as in the paper; ``"small"`` is proportional to 1 / sqrt(dim), scaled to a mean of
    1, so that the shortest prefixes count most; a list is taken as it is.

    Example
    -------
    >>> [round(weight, 3) for weight in parse_weights("small", (64, 16, 4))]
    [0.429, 0.857, 1.714]
    """
    if isinstance(weights, str):
        if weights not in WEIGHTINGS:
            raise InputError(f"weights must be {', '.join(WEIGHTINGS)} or a list of numbers, got {weights!r}")
        raw = [1.0 if weights == "equal" else dim**-0.5 for dim in dims]
        return tuple(weight * len(raw) / sum(raw) for weight in raw)
    found = list(weights)
    if any(isinstance(weight, bool) or not isinstance(weight, int | float) for weight in found):
        raise InputError(f"weights must be numbers, got {found!r}")
    if len(found) != len(dims):
        raise InputError(f"{len(found)} weights for {len(dims)} dims; give one for each, in the same order")
    if not all(isfinite(weight) and weight >= 0 for weight in found) or not any(found):
        raise InputError(f"weights must be 0 or more, and one above 0, got {', '.join(map(str, found))}")
    return tuple(map(float, found))
