"""What N vectors take at each dim and precision, and what that memory costs: computed, not measured.

Units are decimal: 1 GB is 10^9 bytes. Two sizes are given. *Codes* are the coordinates alone, as vendors
count: ``dim * bits / 8``. *Scanned* is what Kukla reads of each vector: codes, int8's scales (4 bytes for
each shell) and the norm of a prefix (4 bytes). Ids, texts, metadata and the overhead of a database come on
top of both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kukla.checks import check_count
from kukla.cost import bytes_per_row, bytes_per_vector, format_bytes
from kukla.errors import InputError
from kukla.nesting import Nesting
from kukla.plan import Stage
from kukla.precision import Precision

__all__ = ["MOST_VECTORS", "Storage", "StorageRow", "storage"]

MOST_VECTORS = 10**15
_DEFAULT = (Precision.BINARY, Precision.INT8, Precision.FLOAT32)


@dataclass(frozen=True, slots=True)
class StorageRow:
    """All vectors at one dim and precision.

    ``codes_bytes`` and ``scanned_bytes`` are those of all vectors; ``size`` is the share of ``codes_bytes``
    in float32 codes of the full dim; ``price_per_month`` is that of ``scanned_bytes``, ``None`` without a
    price.
    """

    dim: int
    precision: Precision
    codes_bytes: int
    scanned_bytes: int
    size: float
    price_per_month: float | None

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {name: getattr(self, name) for name in self.__slots__} | {"precision": self.precision.value}


@dataclass(frozen=True, slots=True)
class Storage:
    """Sizes of ``vectors`` vectors.

    ``disk_bytes`` is what an index keeps of them that serves all these dims in all these precisions, each
    coordinate once in each precision.
    """

    vectors: int
    rows: tuple[StorageRow, ...]
    disk_bytes: int
    price_per_gb_month: float | None

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return fields | {"rows": [row.as_dict() for row in self.rows]}

    def table(self) -> list[tuple[str, ...]]:
        """A header, then a row for each dim and precision."""
        header: tuple[str, ...] = ("plan", "codes", "size", "scanned by Kukla")
        if self.price_per_gb_month is not None:
            header = (*header, "a month")
        body = []
        for row in self.rows:
            cells: tuple[str, ...] = (
                f"{row.dim}:{row.precision}",
                format_bytes(row.codes_bytes),
                f"{100 * row.size:.1f} %",
                format_bytes(row.scanned_bytes),
            )
            if row.price_per_month is not None:
                cells = (*cells, f"{row.price_per_month:,.2f}")
            body.append(cells)
        return [header, *body]


def storage(
    vectors: int,
    dims: Iterable[int],
    *,
    precisions: Iterable[Precision | str] = _DEFAULT,
    nesting: Nesting | None = None,
    price_per_gb_month: float | None = None,
) -> Storage:
    """Compute what ``vectors`` vectors take.

    Parameters
    ----------
    vectors : int
        1 to 10^15.
    dims : iterable of int
    precisions : iterable of Precision or str
    nesting : Nesting, optional
        Of an index that holds them: its shells have the scales of int8. Default: ``dims``, so that the
        largest of them is the full dim.
    price_per_gb_month : float, optional
        Of the memory that scans read, in any currency, for 10^9 bytes.

    Returns
    -------
    Storage
        Rows by dim, then by precision, largest first.

    Raises
    ------
    InputError

    Example
    -------
    >>> from kukla.cost import format_bytes
    >>> [format_bytes(row.codes_bytes) for row in storage(10**9, [2048], precisions=["float32"]).rows]
    ['8.19 TB']
    """
    vectors = check_count(vectors, what="vectors", most=MOST_VECTORS)
    price = price_per_gb_month
    if price is not None and (isinstance(price, bool | str) or not 0 <= price < math.inf):
        raise InputError(f"price_per_gb_month must be a number, at least 0, got {price!r}")
    widths = tuple(sorted(set(dims)))
    nesting = nesting or Nesting(widths)
    chosen = sorted({Precision.parse(name) for name in precisions}, key=lambda precision: -precision.bits)
    if not chosen:
        raise InputError(f"no precisions were given; allowed: {', '.join(Precision)}")
    rows = []
    for dim in reversed(widths):
        for precision in chosen:
            codes = vectors * -(-dim * precision.bits // 8)
            scanned = vectors * bytes_per_row(Stage(dim, precision), nesting, renormalise=True)
            rows.append(
                StorageRow(
                    dim=dim,
                    precision=precision,
                    codes_bytes=codes,
                    scanned_bytes=scanned,
                    size=codes / (vectors * 4 * nesting.full),
                    price_per_month=None if price is None else scanned / 1e9 * price,
                )
            )
    disk = vectors * bytes_per_vector(nesting, chosen, cosine=True)
    return Storage(vectors, tuple(rows), disk, None if price is None else float(price))
