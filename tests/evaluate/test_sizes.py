"""Storage of N vectors: arithmetic, and the rows that everybody quotes."""

from __future__ import annotations

import json

import pytest

from kukla import Index, Nesting
from kukla.errors import InputError
from kukla.evaluate import storage
from kukla.evaluate.sizes import StorageRow


def row(dim: int, precision: str, **options: float) -> StorageRow:
    found = storage(10**9, [256, 2048], **options)  # type: ignore[arg-type]
    (one,) = [one for one in found.rows if (one.dim, one.precision) == (dim, precision)]
    return one


def test_a_billion_vectors_8_tb_at_2048_float32_and_256_gb_at_256_int8() -> None:
    assert row(2048, "float32").codes_bytes == 8_192 * 10**9
    assert row(256, "int8").codes_bytes == 256 * 10**9
    assert row(256, "int8").size == 1 / 32
    table = {cells[0]: cells[1:] for cells in storage(10**9, [256, 2048]).table()}
    assert table["2048:float32"][0] == "8.19 TB"
    assert table["256:int8"] == ("256 GB", "3.1 %", "264 GB")  # a scale and a prefix norm, 4 bytes each
    assert table["2048:binary"][0] == "256 GB"


def test_what_kukla_scans_is_what_an_index_says_it_scans(tmp_path: object) -> None:
    with Index.create(f"{tmp_path}/i.kukla", dim=2048, nesting=(256, 2048)) as index:
        for one in storage(1000, [256, 2048]).rows:
            cost = index.explain(f"{one.dim}:{one.precision}", documents=1000)
            assert one.scanned_bytes == cost.resident_bytes
        assert storage(1000, [256, 2048]).disk_bytes == cost.disk_bytes


def test_the_shells_of_an_index_have_scales_of_their_own() -> None:
    (one,) = storage(1, [256], precisions=["int8"], nesting=Nesting((64, 128, 256, 512))).rows
    assert one.scanned_bytes == 256 + 3 * 4 + 4
    assert one.size == 256 / 2048
    with pytest.raises(InputError):
        storage(1, [100], nesting=Nesting((64, 128)))


def test_a_price_is_the_users() -> None:
    assert row(2048, "float32").price_per_month is None
    assert row(2048, "float32", price_per_gb_month=2.5).price_per_month == pytest.approx(8192 * 2.5)
    assert row(256, "int8", price_per_gb_month=2.5).price_per_month == pytest.approx(264 * 2.5)
    assert storage(10, [8], price_per_gb_month=0).table()[0][-1] == "a month"
    assert json.loads(json.dumps(storage(10, [8]).as_dict()))["rows"][0]["precision"] == "float32"


def test_other_precisions_and_odd_widths() -> None:
    found = storage(3, [12], precisions=["float16", "binary"])
    assert [(one.precision, one.codes_bytes) for one in found.rows] == [("float16", 72), ("binary", 6)]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"vectors": 0}, "vectors must be an integer from 1"),
        ({"vectors": 1.5}, "vectors must be an integer"),
        ({"dims": []}, "nesting"),
        ({"dims": [0]}, "from 1 to"),
        ({"precisions": []}, "no precisions"),
        ({"precisions": ["int4"]}, "unknown precision 'int4'"),
        ({"price_per_gb_month": -1}, "price_per_gb_month must be a number, at least 0"),
        ({"price_per_gb_month": float("nan")}, "price_per_gb_month"),
    ],
)
def test_what_is_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        storage(**({"vectors": 10, "dims": [8]} | options))  # type: ignore[arg-type]
