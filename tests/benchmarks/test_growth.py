"""benchmarks.growth: exponents, and which sizes are measured."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from benchmarks.growth import exponent_text, exponents, private_bytes, sizes_of


def test_an_exponent_is_the_slope_of_the_logarithms() -> None:
    sizes = [100, 1000, 4000]
    whole, steps = exponents(sizes, [3 * size**0.5 for size in sizes])

    assert whole == pytest.approx(0.5)
    assert steps == pytest.approx([0.5, 0.5])
    assert exponent_text(sizes, [2 * size for size in sizes]) == "1.00 (1.00, 1.00)"
    assert exponent_text([10, 1000], [1.0, 100.0]) == "1.00"
    assert exponent_text([10, 1000], [0.0, 100.0]) == "-", "nothing was measured at one of them"


def test_sizes_are_what_the_set_has_and_at_least_two() -> None:
    assert sizes_of(None, 4_000_000) == [100_000, 1_000_000, 4_000_000]
    assert sizes_of(None, 1_500_000) == [100_000, 1_000_000, 1_500_000]
    assert sizes_of(None, 50_000) == [5_000, 50_000]
    assert sizes_of([2000, 1000], 5000) == [1000, 2000]
    with pytest.raises(SystemExit, match="has 5,000 rows"):
        sizes_of([1000, 9000], 5000)


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_private_memory_counts_what_is_allocated() -> None:
    before = private_bytes()
    held = np.ones(100_000_000, dtype=np.uint8)
    assert private_bytes() - before > 0.9 * held.nbytes
