"""crc32: zlib's, whatever computes it."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from kukla.kernels import dispatch
from kukla.kernels.checksum import SMALLEST, crc32

DATA = np.random.default_rng(0).integers(0, 256, 70_000, dtype=np.uint8)


@pytest.mark.parametrize("size", [0, 1, 63, SMALLEST - 1, *range(SMALLEST, SMALLEST + 70), 65_536, 69_999])
def test_it_is_the_checksum_of_zlib(isa: str, size: int) -> None:
    for start in (0, 1):  # aligned or not
        for before in (0, 1, 0xFFFFFFFF, 0x12345678):
            data = DATA[start : start + size]
            assert crc32(data, before) == zlib.crc32(data.tobytes(), before)


def test_parts_are_the_whole(isa: str) -> None:
    value = 0
    for start in range(0, len(DATA), 8209):
        value = crc32(DATA[start : start + 8209], value)
    assert value == zlib.crc32(DATA.tobytes())


def test_zeros_and_ones_and_every_bit(isa: str) -> None:
    for fill in (0, 255):
        data = np.full(SMALLEST, fill, dtype=np.uint8)
        assert crc32(data) == zlib.crc32(data.tobytes())
    bits = range(0, SMALLEST * 8, 397)
    found = set()
    for position in bits:
        data = np.zeros(SMALLEST, dtype=np.uint8)
        data[position // 8] = 1 << position % 8
        assert crc32(data) == zlib.crc32(data.tobytes())
        found.add(crc32(data))
    assert len(found) == len(bits)


def test_read_only_data_is_taken(isa: str) -> None:
    data = np.frombuffer(DATA.tobytes(), dtype=np.uint8)
    assert crc32(data) == zlib.crc32(DATA.tobytes())


@pytest.mark.skipif(dispatch.available() == ("numpy",), reason="no native kernels here")
@pytest.mark.parametrize("size", [0, 48, 63, 65, 1000])
def test_wrong_calls_are_errors_and_not_crashes(size: int) -> None:
    with pytest.raises(ValueError, match="multiple of 16"):
        dispatch.native.crc32(DATA[:size], 0)
