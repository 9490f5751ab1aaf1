"""Settings: what is decided once, checked against each other, and read back as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kukla import Nesting, Plan, Precision, Space
from kukla.errors import ForeignFileError, InputError, NewerFormatError, PlanError, VectorError
from kukla.projection import Identity, Projection
from kukla.settings import Settings

# The same examples on every run, however slow the machine.
FIXED = settings(derandomize=True, deadline=None)

DEFAULTS: dict[str, Any] = {
    "dim": None,
    "space": None,
    "metric": "cosine",
    "nesting": None,
    "precisions": ("binary", "int8", "float32"),
    "plan": None,
    "projection": None,
}
SPACE = Space(provider="acme", model="embed-1", dim=64, trained_dims=(16, 32))


def make(**changes: Any) -> Settings:
    return Settings.make(**{**DEFAULTS, **changes})


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    """Kinds defined by a test are gone after it."""
    before = dict(Projection._kinds)
    yield
    Projection._kinds.clear()
    Projection._kinds.update(before)


# Defaults


def test_a_dim_is_enough() -> None:
    settings = make(dim=64)
    assert settings.space == Space.unknown(64)
    assert settings.dim == 64
    assert settings.metric == "cosine"
    assert settings.cosine
    assert settings.nesting == Nesting([32, 64])
    assert settings.precisions == (Precision.BINARY, Precision.INT8, Precision.FLOAT32)
    assert settings.projection == Identity(64)
    assert str(settings.plan) == "64:int8@4x > 64:float32"


def test_a_space_brings_its_dim_and_its_trained_dims() -> None:
    settings = make(space=SPACE)
    assert settings.dim == 64
    assert settings.nesting == Nesting([16, 32, 64])
    assert make(space=SPACE, dim=64) == settings


def test_numpy_dims_are_dims() -> None:
    assert make(dim=np.int64(64)) == make(dim=64)


def test_precisions_are_a_set_in_order_of_bits() -> None:
    settings = make(dim=8, precisions=["float32", Precision.INT8, "float32", "binary"])
    assert settings.precisions == (Precision.BINARY, Precision.INT8, Precision.FLOAT32)
    assert make(dim=8, precisions=iter(["float16"])).precisions == (Precision.FLOAT16,)


def test_settings_decide_the_layout_of_segments() -> None:
    layout = make(dim=64, metric="ip", precisions=["float16"]).layout
    assert (layout.nesting, layout.precisions, layout.cosine) == (
        Nesting([32, 64]),
        (Precision.FLOAT16,),
        False,
    )


# What does not fit together


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "give dim, space or embedder: an index must know the width of its vectors"),
        ({"dim": 0}, "dim must be an integer from 1 to 65536, got 0"),
        ({"dim": True}, "dim must be an integer from 1 to 65536, got True"),
        ({"dim": 64.0}, r"dim must be an integer from 1 to 65536, got 64\.0"),
        ({"dim": 70_000}, "dim must be an integer from 1 to 65536, got 70000"),
        ({"dim": 32, "space": SPACE}, "dim is 32, but the space has 64 dims"),
        ({"dim": 64, "metric": "dot"}, "unknown metric 'dot'; allowed: cosine, ip"),
        ({"dim": 64, "metric": None}, "unknown metric None; allowed: cosine, ip"),
        (
            {"dim": 64, "nesting": [16, 32]},
            r"the last dim of the nesting must be the full dim 64, got \(16, 32\)",
        ),
        ({"dim": 64, "nesting": [64, 128]}, "the last dim of the nesting must be the full dim 64"),
        ({"dim": 64, "nesting": [32, 16, 64]}, "must ascend"),
        ({"dim": 64, "nesting": 64}, "a nesting is a list of dims"),
        ({"dim": 64, "nesting": []}, "at least one dim"),
        ({"dim": 64, "precisions": "float32"}, "precisions is a list of names, got 'float32'"),
        ({"dim": 64, "precisions": None}, "precisions is a list of names, got None"),
        ({"dim": 64, "precisions": []}, "keeps float32 or float16 vectors for the last stage"),
        (
            {"dim": 64, "precisions": ["binary", "int8"]},
            "keeps float32 or float16 vectors for the last stage",
        ),
        ({"dim": 64, "precisions": ["float64"]}, "unknown precision 'float64'; allowed: float32,"),
        ({"dim": 64, "projection": Identity(32)}, "the projection takes 32 dims, but the space has 64"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(**changes)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ("16:binary@9 > 64:float32", "dim 16 is not in the nesting; allowed: 32, 64"),
        ("64:float16", "the index keeps no float16; it keeps: binary, int8, float32"),
        ("64", "cannot read the stage '64'"),
        (64, "a plan's text form is a string, got 64"),
    ],
)
def test_the_plan_must_be_one_that_the_index_can_run(plan: Any, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        make(dim=64, plan=plan)


def test_a_plan_is_taken_as_text_or_value() -> None:
    text = "32:binary@9 > 64:float32"
    assert make(dim=64, plan=text).plan == make(dim=64, plan=Plan.parse(text)).plan == Plan.parse(text)


# There and back


@FIXED
@given(
    dim=st.integers(1, 64),
    metric=st.sampled_from(["cosine", "ip"]),
    dims=st.none() | st.sets(st.integers(1, 63), max_size=4),
    quantised=st.sets(st.sampled_from(["binary", "int8", "float16"])),
    multiple=st.none() | st.floats(1, 1e12),
)
def test_a_dictionary_holds_everything(
    dim: int, metric: str, dims: set[int] | None, quantised: set[str], multiple: float | None
) -> None:
    settings = make(
        dim=dim,
        metric=metric,
        nesting=None if dims is None else [*sorted(d for d in dims if d < dim), dim],
        precisions=[*quantised, "float32"],
    )
    if multiple is not None and len(settings.plan.stages) > 1:
        settings = Settings.from_dict(
            {**settings.to_dict(), "plan": str(settings.plan.adjust(oversampling=multiple))}, source="here"
        )
    written = json.loads(json.dumps(settings.to_dict()))
    assert Settings.from_dict(written, source="catalog.sqlite") == settings


def test_the_dictionary_is_part_of_the_format() -> None:
    written = make(dim=4, nesting=[2, 4]).to_dict()
    assert written.pop("space") == Space.unknown(4).to_dict()
    assert written == {
        "metric": "cosine",
        "nesting": [2, 4],
        "precisions": ["binary", "int8", "float32"],
        "projection": {"kind": "identity", "dim": 4},
        "plan": "4:int8@4x > 4:float32",
    }


GOOD = make(dim=4, nesting=[2, 4]).to_dict()


@pytest.mark.parametrize(
    "values",
    [
        *({name: value for name, value in GOOD.items() if name != left_out} for left_out in GOOD),
        {**GOOD, "space": None},
        {**GOOD, "metric": "dot"},
        {**GOOD, "metric": None},
        {**GOOD, "nesting": [2, 8]},
        {**GOOD, "nesting": None, "space": Space.unknown(8).to_dict()},
        {**GOOD, "precisions": ["binary"]},
        {**GOOD, "precisions": "float32"},
        {**GOOD, "precisions": 5},
        {**GOOD, "plan": "junk"},
        {**GOOD, "plan": 7},
        {**GOOD, "projection": {"kind": "identity", "dim": 8}},
        {**GOOD, "projection": {"kind": "identity"}},
        {**GOOD, "projection": None},
        None,
        [],
        "settings",
    ],
)
def test_what_no_index_wrote_is_foreign(values: Any) -> None:
    with pytest.raises(
        ForeignFileError, match=r"^catalog\.sqlite holds settings that are not those of an index: "
    ):
        Settings.from_dict(values, source="catalog.sqlite")


def test_an_unknown_projection_is_of_a_later_version() -> None:
    with pytest.raises(NewerFormatError, match="unknown projection 'learned9'"):
        Settings.from_dict({**GOOD, "projection": {"kind": "learned9"}}, source="catalog.sqlite")


# What is stored


ROWS = np.array([[3.0, 0.0, 4.0, 0.0], [0.0, 1e-200, 0.0, 0.0]])


def test_cosine_stores_rows_of_length_one() -> None:
    stored = make(dim=4).stored(ROWS)
    assert stored.dtype == np.float32
    assert stored.tolist() == [[np.float32(0.6), 0, np.float32(0.8), 0], [0, 1, 0, 0]]
    with pytest.raises(VectorError, match="vector of row 8 is all zeros"):
        make(dim=4).stored(np.zeros((1, 4)), first_row=8)


def test_inner_product_stores_rows_as_they_are() -> None:
    stored = make(dim=4, metric="ip").stored(np.array([[3.0, 0.0, -4.0, 0.1], [0, 0, 0, 0]]))
    assert stored.dtype == np.float32
    assert stored.tolist() == [[3, 0, -4, np.float32(0.1)], [0, 0, 0, 0]]
    with pytest.raises(VectorError, match="row 9 holds a value beyond float32"):
        make(dim=4, metric="ip").stored(np.array([[0.0, 0, 0, 0], [1e39, 0, 0, 0]]), first_row=8)


@pytest.mark.parametrize("metric", ["cosine", "ip"])
def test_a_projection_is_applied_between_checking_and_storing(metric: str) -> None:
    class FirstTwo(Projection):
        kind = "first-two"
        dim_in, dim_out = 4, 2

        def transform(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
            return vectors[:, :2]

        def inverse(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.pad(vectors, ((0, 0), (0, 2)))

        def to_dict(self) -> dict[str, Any]:
            return {"kind": self.kind}

        @classmethod
        def _from_dict(cls, parameters: Mapping[str, Any]) -> Projection:
            return cls()

    settings = make(dim=4, metric=metric, projection=FirstTwo())
    assert settings.dim == 4
    assert settings.nesting == Nesting([2])
    assert Settings.from_dict(settings.to_dict(), source="here") == settings
    stored = settings.stored(np.array([[3.0, 4.0, 12.0, 0.0]], dtype=np.float32))
    assert stored.flags.c_contiguous
    expected = [0.6, 0.8] if metric == "cosine" else [3.0, 4.0]
    np.testing.assert_allclose(stored, [expected], rtol=1e-6)


def test_a_subclass_of_the_identity_is_applied_too() -> None:
    class Doubled(Identity):
        kind = "doubled"

        def transform(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
            return vectors * 2

    stored = make(dim=2, metric="ip", projection=Doubled(2)).stored(np.array([[1.0, 2.0]]))
    assert stored.tolist() == [[2, 4]]
