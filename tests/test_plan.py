"""Plans: values that print what they parse, and say what is wrong with them."""

from __future__ import annotations

import copy
import json
import math
import pickle
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kukla import Nesting, Plan, Precision, Stage
from kukla.errors import PlanError
from kukla.plan import MOST_KEPT
from kukla.precision import VECTOR_PRECISIONS

# The same examples on every run, however slow the machine.
FIXED = settings(derandomize=True, deadline=None)

EXAMPLE = "256:binary@200 > 1536:int8@20 > 1536:float32"
ALL = VECTOR_PRECISIONS


counts = st.integers(1, MOST_KEPT)
times = st.floats(1, MOST_KEPT) | st.integers(1, 100).map(float)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Any valid plan: bits grow; shortlists do not, wherever they can be compared; lists come first."""
    stages = draw(
        st.lists(st.builds(Stage, st.integers(1, 65_536), st.sampled_from(ALL)), min_size=1, max_size=5)
    )
    ascending = [stage for _, stage in sorted({stage.bits_per_vector: stage for stage in stages}.items())]
    if draw(st.booleans()):
        dim = draw(st.integers(1, 65_536))
        probes = draw(st.none() | counts)
        looks = Stage(dim, Precision.PQ4, probes=probes)
        ascending = [looks, *(stage for stage in ascending if stage.bits_per_vector > looks.bits_per_vector)]
    *shortlists, last = ascending
    keeps = sorted(draw(st.lists(counts, min_size=len(shortlists), max_size=len(shortlists))), reverse=True)
    multiples = sorted(
        draw(st.lists(times, min_size=len(shortlists), max_size=len(shortlists))), reverse=True
    )
    given_stages = [
        replace(stage, keep=keep) if draw(st.booleans()) else replace(stage, oversampling=multiple)
        for stage, keep, multiple in zip(shortlists, keeps, multiples, strict=True)
    ]
    return Plan([*given_stages, last])


# Text


def test_the_example_of_the_design() -> None:
    plan = Plan.parse(EXAMPLE)
    assert plan.stages == (
        Stage(256, Precision.BINARY, keep=200),
        Stage(1536, Precision.INT8, keep=20),
        Stage(1536, Precision.FLOAT32),
    )
    assert str(plan) == repr(plan) == EXAMPLE
    assert plan.dims == (256, 1536, 1536)


@FIXED
@given(plans())
def test_parse_and_print_are_inverse(plan: Plan) -> None:
    assert Plan.parse(str(plan)) == plan
    assert str(Plan.parse(str(plan))) == str(plan)
    assert [Stage.parse(str(stage)) for stage in plan.stages] == list(plan.stages)


@FIXED
@given(plans())
def test_dictionaries_are_inverse_and_json(plan: Plan) -> None:
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_a_plan_as_a_dictionary() -> None:
    assert Plan.parse("256:binary@2.5x > 512:float16").to_dict() == {
        "stages": [
            {"dim": 256, "precision": "binary", "oversampling": 2.5},
            {"dim": 512, "precision": "float16"},
        ]
    }


@FIXED
@given(plans())
def test_plans_are_values(plan: Plan) -> None:
    same = Plan.parse(str(plan))
    assert hash(same) == hash(plan)
    assert len({same, plan}) == 1
    assert copy.deepcopy(plan) == pickle.loads(pickle.dumps(plan)) == plan
    assert plan != str(plan)
    assert Plan.of(plan) is plan
    assert Plan.of(str(plan)) == plan


def test_a_plan_cannot_be_changed() -> None:
    plan = Plan.parse(EXAMPLE)
    with pytest.raises(AttributeError):
        plan.stages = ()  # type: ignore[misc]
    with pytest.raises(AttributeError):
        plan.stages[0].keep = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("  256:binary@200>1536:float32\n", "256:binary@200 > 1536:float32"),
        ("256:binary@200\t>\n\n 1536:float32", "256:binary@200 > 1536:float32"),
        ("0256:binary@0200 > 1536:float32", "256:binary@200 > 1536:float32"),
        ("256:binary@20.0x > 1536:float32", "256:binary@20x > 1536:float32"),
        ("256:binary@1.50x > 1536:float32", "256:binary@1.5x > 1536:float32"),
        ("64:float16", "64:float16"),
        ("64:pq4", "64:pq4"),
        ("64:pq4/032@0200>64:float32", "64:pq4/32@200 > 64:float32"),
        ("64:pq4/8@2.50x>64:float32", "64:pq4/8@2.5x > 64:float32"),
        ("64:binary@1000000000000x > 64:int8", "64:binary@1000000000000x > 64:int8"),
    ],
)
def test_whitespace_and_zeros_do_not_matter(text: str, printed: str) -> None:
    assert str(Plan.parse(text)) == printed


def test_oversampling_is_printed_as_it_is() -> None:
    for value in (1.1, 1 + 2**-52, 123456.78901234567, 1e11 / 3, 1e12):
        stage = Stage(8, Precision.BINARY, oversampling=value)
        assert "e" not in str(stage).removeprefix("8:binary")
        assert Stage.parse(str(stage)).oversampling == value


# What cannot be parsed


UNREADABLE = r"a stage is DIM:PRECISION@KEEP, for instance 256:binary@200 or 256:int8@20x"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", rf"cannot read the stage ''; {UNREADABLE}"),
        ("256", "cannot read the stage '256'"),
        ("256:", "cannot read the stage '256:'"),
        (":float32", "cannot read the stage ':float32'"),
        ("x:float32", "cannot read the stage 'x:float32'"),
        ("-8:float32", "cannot read the stage '-8:float32'"),
        ("8.5:float32", r"cannot read the stage '8\.5:float32'"),
        ("٣:float32", "cannot read the stage"),
        ("256 : float32", "cannot read the stage '256 : float32'"),
        ("256:binary@ > 1536:float32", "cannot read the stage '256:binary@'"),
        ("256:binary@x > 1536:float32", "cannot read the stage '256:binary@x'"),
        ("256:binary@-5 > 1536:float32", "cannot read the stage '256:binary@-5'"),
        ("256:binary@1e3 > 1536:float32", "cannot read the stage '256:binary@1e3'"),
        ("256:binary@2%", "cannot read the stage '256:binary@2%'"),
        ("256:binary@200 >", "cannot read the stage ''"),
        ("256:binary@200 > > 1536:float32", "cannot read the stage ''"),
        ("9" * 5000 + ":float32", "cannot read the stage '999"),
        ("256:binary@2.5 > 1536:float32", r"@2\.5 in '256:binary@2\.5' must be a whole number, or end in x"),
        ("256:int4", "unknown precision 'int4'; allowed: float32, float16, int8, binary"),
        ("256:pq4/@9 > 256:float32", "cannot read the stage '256:pq4/@9'"),
        ("256:pq4/x@9 > 256:float32", "cannot read the stage '256:pq4/x@9'"),
        ("256:pq4/-1@9 > 256:float32", "cannot read the stage '256:pq4/-1@9'"),
        ("256:pq4@9/4 > 256:float32", "cannot read the stage '256:pq4@9/4'"),
        ("256:pq4/1.5@9 > 256:float32", r"cannot read the stage '256:pq4/1\.5@9'"),
        ("256:pq4/0@9 > 256:float32", "probes must be an integer from 1 to 1000000000000, got 0"),
        ("256:pq4/9999999999999", "probes must be an integer from 1 to .*, got 9999999999999"),
        ("256:int8/4@9 > 256:float32", "only pq4 stages look into lists; int8 has no probes, got 4"),
        ("8:int8@9 > 256:pq4", "stage 256:pq4 of 8:int8@9 > 256:pq4: only a first stage can look into lists"),
        ("256:pq4/4 > 256:float32", "stage 256:pq4/4 of .* must say how many it keeps"),
        ("256:Binary", "unknown precision 'Binary'"),
        ("0:float32", "the dim of a stage must be an integer from 1 to 65536, got 0"),
        ("70000:float32", "the dim of a stage must be an integer from 1 to 65536, got 70000"),
        ("256:binary@0 > 1536:float32", "keep must be an integer from 1 to 1000000000000, got 0"),
        (
            "256:binary@9999999999999 > 1536:float32",
            "keep must be an integer from 1 to .*, got 9999999999999",
        ),
        ("256:binary@0.5x > 1536:float32", r"oversampling must be a number from 1 to .*, got 0\.5"),
        (
            "256:binary > 1536:float32",
            "stage 256:binary of 256:binary > 1536:float32 must say how many it keeps",
        ),
        ("1536:float32@10", "the last stage of 1536:float32@10 keeps k results and takes no @KEEP"),
        ("64:binary@9 > 64:int8@9x", "the last stage of .* takes no @KEEP"),
        (
            "8:int8@9 > 64:binary",
            "stage 64:binary of .* looks at 64 bits per vector, not more than the 64 of",
        ),
        (
            "64:int8@9 > 64:binary",
            "looks at 64 bits per vector, not more than the 512 of the stage before it",
        ),
        ("8:binary@9 > 8:binary", "looks at 8 bits per vector, not more than the 8 of the stage before it"),
        (
            "8:binary@20 > 16:binary@30 > 16:float32",
            "stage 16:binary@30 of .* keeps more than the stage before it hands over",
        ),
        ("8:binary@2x > 16:binary@2.5x > 16:float32", r"stage 16:binary@2\.5x of .* keeps more"),
    ],
)
def test_every_mistake_has_its_message(text: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        Plan.parse(text)


@FIXED
@given(st.text() | st.text(alphabet="0123456789:@x.>/ binarytfloinpq", max_size=40))
def test_junk_never_raises_anything_else(text: str) -> None:
    try:
        plan = Plan.parse(text)
    except PlanError:
        return
    assert Plan.parse(str(plan)) == plan


@pytest.mark.parametrize("value", [None, 5, b"64:float32", ["64:float32"]])
def test_only_strings_are_parsed(value: Any) -> None:
    for parse in (Plan.parse, Plan.of, Stage.parse):
        with pytest.raises(PlanError, match="text form is a string, got "):
            parse(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "64:float32",
        {},
        {"stages": None},
        {"stages": 5},
        {"stages": []},
        {"stages": "64:float32"},
        {"stages": ["64:float32"]},
        {"stages": {"dim": 64}},
        {"stages": [{}]},
        {"stages": [{"dim": 64}]},
        {"stages": [{"dim": "64", "precision": "float32"}]},
        {"stages": [{"dim": 64, "precision": "float32", "ef": 3}]},
        {"stages": [{"dim": 64, "precision": []}]},
        {"stages": [{"dim": 64, "precision": "float32", "keep": 1.5}]},
        {"stages": [{"dim": 64, "precision": "float32", "oversampling": "2"}]},
        {"stages": [{"dim": 64, "precision": "float32", "probes": 2}]},
        {"stages": [{"dim": 64, "precision": "pq4", "probes": 0}]},
        {"stages": [{"dim": 64, "precision": "pq4", "probes": True}]},
    ],
)
def test_dictionaries_that_are_no_plan(value: Any) -> None:
    with pytest.raises(PlanError):
        Plan.from_dict(value)


@pytest.mark.parametrize("stages", ["64:float32", ["64:float32"], 5, None, [None]])
def test_a_plan_is_made_of_stages(stages: Any) -> None:
    with pytest.raises(PlanError, match=r"a plan is made of stages, got .*; Plan\.parse reads its text form"):
        Plan(stages)


def test_a_plan_has_a_stage() -> None:
    with pytest.raises(PlanError, match="a plan needs at least one stage, got none"):
        Plan([])


# Stages


@pytest.mark.parametrize("keep", [True, 2.0, "2", 0, -1, MOST_KEPT + 1])
def test_keep_is_a_count(keep: Any) -> None:
    with pytest.raises(PlanError, match="keep must be an integer from 1 to"):
        Stage(8, Precision.BINARY, keep=keep)


@pytest.mark.parametrize("value", [True, "2", 0.99, -3, math.nan, math.inf, 1e13, None.__class__])
def test_oversampling_is_a_number(value: Any) -> None:
    with pytest.raises(PlanError, match="oversampling must be a number from 1 to"):
        Stage(8, Precision.BINARY, oversampling=value)


@pytest.mark.parametrize("value", [3, np.int64(3), np.float32(3), np.float64(3)])
def test_every_kind_of_number_is_one(value: Any) -> None:
    stage = Stage(np.int64(8), "binary", oversampling=value)  # type: ignore[arg-type]
    assert stage == Stage(8, Precision.BINARY, oversampling=3.0)
    assert repr(stage) == "8:binary@3x"


def test_a_stage_keeps_a_count_or_a_multiple() -> None:
    with pytest.raises(PlanError, match=r"a stage has keep or oversampling, got 5 and 2\.0"):
        Stage(8, Precision.BINARY, keep=5, oversampling=2.0)


@FIXED
@given(st.none() | counts, st.none() | times, st.integers(1, 1000))
def test_a_stage_never_keeps_fewer_than_k(keep: int | None, multiple: float | None, k: int) -> None:
    stage = Stage(8, Precision.BINARY, keep=keep, oversampling=None if keep is not None else multiple)
    assert stage.kept(k) >= k


@pytest.mark.parametrize(
    ("text", "k", "kept"),
    [
        ("8:binary@200", 10, 200),
        ("8:binary@5", 10, 10),
        ("8:binary@20x", 10, 200),
        ("8:binary@1.5x", 3, 5),
        ("8:binary@1.1x", 100, 110),  # not 111, though 1.1 * 100 is above 110 in binary
        ("8:binary@1x", 7, 7),
        ("8:binary", 7, 7),
    ],
)
def test_how_many_a_stage_keeps(text: str, k: int, kept: int) -> None:
    assert Stage.parse(text).kept(k) == kept


def test_a_stage_that_looks_into_lists() -> None:
    stage = Stage.parse("512:pq4/64@200")
    assert stage == Stage(512, Precision.PQ4, keep=200, probes=64)
    assert stage != Stage(512, Precision.PQ4, keep=200)
    assert Plan.parse("512:pq4/64@200 > 512:float32").to_dict()["stages"][0] == {
        "dim": 512, "precision": "pq4", "keep": 200, "probes": 64,
    }  # fmt: skip
    with pytest.raises(PlanError, match="probes must be an integer from 1"):
        Stage(8, Precision.PQ4, probes=2.0)  # type: ignore[arg-type]


# What an index can run


def test_a_plan_is_checked_against_an_index() -> None:
    nesting = Nesting([64, 256, 1536])
    Plan.parse(EXAMPLE).check(nesting, ALL)
    with pytest.raises(
        PlanError, match="stage 128:binary@9: dim 128 is not in the nesting; allowed: 64, 256, 1536"
    ):
        Plan.parse("128:binary@9 > 1536:float32").check(nesting, ALL)
    with pytest.raises(
        PlanError, match="stage 1536:int8@20: the index keeps no int8; it keeps: binary, float32"
    ):
        Plan.parse(EXAMPLE).check(nesting, (Precision.BINARY, Precision.FLOAT32))
    looks = Plan.parse("1536:pq4/9@20 > 1536:float32")
    looks.check(nesting, [*ALL, Precision.PQ4])
    with pytest.raises(
        PlanError, match=r"stage 1536:pq4/9@20: the index has no lists; make them with its partition\(\)"
    ):
        looks.check(nesting, ALL)
    with pytest.raises(PlanError, match="stage 64:pq4@20: pq4 codes are of all dims, 1536"):
        Plan.parse("64:pq4@20 > 1536:float32").check(nesting, [*ALL, Precision.PQ4])


@pytest.mark.parametrize(
    ("precisions", "text"),
    [
        ("binary int8 float32", "1536:int8@4x > 1536:float32"),
        ("float32 int8 binary float16", "1536:int8@4x > 1536:float32"),
        ("int8 float16", "1536:int8@4x > 1536:float16"),
        ("binary float32", "1536:binary@100x > 1536:float32"),
        ("float16 float32", "1536:float32"),
        ("binary int8", "1536:binary@100x > 1536:int8"),
        ("binary", "1536:binary"),
    ],
)
def test_default_plans(precisions: str, text: str) -> None:
    nesting, kept = Nesting([64, 1536]), [Precision(name) for name in precisions.split()]
    plan = Plan.default(nesting, kept)
    assert str(plan) == text
    plan.check(nesting, kept)


def test_no_precision_has_no_default_plan() -> None:
    with pytest.raises(PlanError, match="at least one precision"):
        Plan.default(Nesting([8]), [])


# adjust


@pytest.mark.parametrize(
    ("text", "changes", "adjusted"),
    [
        (EXAMPLE, {}, EXAMPLE),
        (EXAMPLE, {"dims": 64}, "64:binary@800 > 1536:int8@20 > 1536:float32"),
        (EXAMPLE, {"dims": 512}, "512:binary@200 > 1536:int8@20 > 1536:float32"),
        ("64:int8@4x > 64:float32", {"dims": 16}, "16:int8@16x > 64:float32"),
        (EXAMPLE, {"shortlist": 500}, "256:binary@500 > 1536:int8@20 > 1536:float32"),
        (EXAMPLE, {"shortlist": 5}, "256:binary@5 > 1536:int8@5 > 1536:float32"),
        (EXAMPLE, {"oversampling": 3}, "256:binary@3x > 1536:int8@20 > 1536:float32"),
        (EXAMPLE, {"dims": 64, "shortlist": 9}, "64:binary@9 > 1536:int8@9 > 1536:float32"),
        (
            "8:binary@20x > 8:int8@4x > 8:float32",
            {"oversampling": 2.5},
            "8:binary@2.5x > 8:int8@2.5x > 8:float32",
        ),
        ("8:binary@20x > 8:int8@4x > 8:float32", {"shortlist": 9}, "8:binary@9 > 8:int8@4x > 8:float32"),
        ("64:float32@9 > 128:float32@5 > 512:float32", {"dims": 128}, "128:float32@9 > 512:float32"),
        ("64:float32@9 > 512:float32", {"dims": 512}, "512:float32"),
        ("64:float32@9 > 512:float32", {"dims": 1024}, "1024:float32"),
        ("512:float32", {"dims": 64}, "64:float32"),
        ("512:pq4/8@20x > 512:float32", {"shortlist": 50}, "512:pq4/8@50 > 512:float32"),
        ("512:pq4/8@50 > 512:float32", {"oversampling": 3}, "512:pq4/8@3x > 512:float32"),
    ],
)
def test_adjust_changes_the_first_stage(text: str, changes: dict[str, Any], adjusted: str) -> None:
    assert str(Plan.parse(text).adjust(**changes)) == adjusted


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        (EXAMPLE, {"shortlist": 5, "oversampling": 2}, "give shortlist or oversampling, got 5 and 2"),
        ("8:float32", {"shortlist": 5}, "8:float32 has one stage and so no shortlist to change"),
        ("8:float32", {"oversampling": 5}, "8:float32 has one stage and so no shortlist to change"),
        (
            "8:float32@9 > 16:float32",
            {"dims": 16, "shortlist": 5},
            "8:float32@9 > 16:float32 with dims=16 has one stage",
        ),
        (EXAMPLE, {"dims": 0}, "the dim of a stage must be"),
        (EXAMPLE, {"dims": "64"}, "the dim of a stage must be"),
        (EXAMPLE, {"shortlist": 0}, "keep must be"),
        (EXAMPLE, {"shortlist": True}, "keep must be"),
        (EXAMPLE, {"oversampling": 0.5}, "oversampling must be"),
    ],
)
def test_adjust_refuses(text: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        Plan.parse(text).adjust(**changes)


@FIXED
@given(plans(), st.none() | st.integers(1, 65_536), st.none() | counts, st.booleans())
def test_adjusting_gives_a_valid_plan(
    plan: Plan, dims: int | None, shortlist: int | None, multiple: bool
) -> None:
    try:
        adjusted = plan.adjust(
            dims=dims,
            shortlist=None if multiple else shortlist,
            oversampling=shortlist if multiple else None,
        )
    except PlanError as error:
        assert "has one stage" in str(error)  # noqa: PT017 - the only reason there is
        return
    if dims is not None:
        assert adjusted.stages[0].dim == dims
    assert all(a.bits_per_vector < b.bits_per_vector for a, b in pairwise(adjusted.stages))
    assert Plan.parse(str(adjusted)) == adjusted
