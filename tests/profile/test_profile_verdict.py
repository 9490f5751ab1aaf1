"""The verdict on vectors that were made nested, shallow, unordered, or of noise."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from tests.profile.conftest import make_clusters

from kukla.profile import Contrast, Density, Evidence, Nested, Structure, profile
from kukla.profile.structure import measure_structure
from kukla.profile.verdict import judge_nesting


def _turned(rows: np.ndarray, *, seed: int) -> np.ndarray:
    """The same neighbourhoods, and no order of the coordinates."""
    width = rows.shape[1]
    return rows @ np.linalg.qr(np.random.default_rng(seed).standard_normal((width, width)))[0]


def test_a_decaying_spectrum_is_nested_and_its_rotation_is_not() -> None:
    rows = make_clusters(300, 256, seed=1, decay=0.5)
    found = profile(rows)
    assert found.verdict.word is Nested.NESTED
    assert not found.verdict.leaning
    assert "serve prefixes as they are" in found.advice[0]
    turned = profile(_turned(rows, seed=2))
    assert turned.verdict.word is Nested.NOT
    assert "do not cut these vectors" in turned.advice[0]
    # A rotation changes no neighbourhood, so a fitted one brings the order back.
    assert turned.rows[0].pca.low > turned.rows[0].prefix.high
    assert "kukla fit" in turned.advice[1]


def test_rotations_are_hardly_ever_nested_for_sure() -> None:
    verdicts = [
        profile(_turned(make_clusters(120, 64, seed=seed, decay=0.5), seed=seed), seed=seed).verdict
        for seed in range(10)
    ]
    assert sum(verdict.word is Nested.NOT for verdict in verdicts) >= 8
    assert all(verdict.leaning for verdict in verdicts if verdict.word is not Nested.NOT)


def test_one_step_is_weakly_nested() -> None:
    rows = make_clusters(400, 128, seed=5, decay=0.3, upto=64)
    found = profile(rows)
    assert found.verdict.word is Nested.WEAKLY
    assert found.evidence.order.low > 0
    assert found.evidence.depth.mean < 0.02


def test_the_reverse_of_a_nested_model_is_not_nested(nested: np.ndarray) -> None:
    found = profile(nested[:, ::-1])
    assert found.verdict.word is Nested.NOT
    assert found.evidence.order.mean < 0
    assert found.evidence.over_suffix.high < 0


def test_shuffled_coordinates_are_not_nested(nested: np.ndarray) -> None:
    words = set()
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(64)
        words.add(profile(nested[:, order], seed=seed).verdict.word)
    assert words == {Nested.NOT}


@pytest.mark.parametrize("make", ["uniform", "gaussian", "positive", "spiky", "uneven", "float16"])
def test_noise_is_called_noise_whatever_its_marginals(make: str) -> None:
    rng = np.random.default_rng(7)
    rows = rng.standard_normal((97, 128))
    if make == "uniform":
        rows = rng.uniform(-1, 1, rows.shape)
    elif make == "positive":
        rows = rng.random(rows.shape)  # a large mean: every cosine is near .75
    elif make == "spiky":
        rows[:, 17] += 40
    elif make == "uneven":
        rows *= rng.uniform(0.5, 1.5, 128)
    found = profile(rows.astype(np.float16) if make == "float16" else rows)
    assert str(found.verdict) == "not embeddings at all"
    assert "noise" in found.advice[0]


@pytest.mark.parametrize("n", [20, 50, 300])
def test_noise_of_any_size_and_structure_under_as_much_noise(n: int) -> None:
    rng = np.random.default_rng(n)
    noise = rng.standard_normal((n, 48))
    assert profile(noise).verdict.word is Nested.NOT_EMBEDDINGS
    few_directions = rng.standard_normal((n, 6)) @ rng.standard_normal((6, 48)) / 6**0.5
    assert profile(few_directions + noise).verdict.word is not Nested.NOT_EMBEDDINGS


def test_independent_coordinates_of_uneven_spread_keep_neighbourhoods_and_are_noted() -> None:
    rows = np.random.default_rng(0).standard_normal((300, 64)) / np.sqrt(np.arange(1, 65))
    found = profile(rows)
    assert found.verdict.word is Nested.NESTED
    assert any("independent of each other" in note for note in found.notes)


def test_a_shuffled_real_structure_is_noise(rotated: np.ndarray) -> None:
    shuffled = np.random.default_rng(0).permuted(rotated, axis=0)
    assert profile(shuffled).verdict.word is Nested.NOT_EMBEDDINGS


def test_a_spike_is_reported_and_is_no_evidence() -> None:
    spiked = _turned(make_clusters(300, 256, seed=1, decay=0.5), seed=2)
    spiked[:, 5] += 2 * np.linalg.norm(spiked, axis=1).mean()  # in the first quarter, like ada-002's
    found = profile(spiked)
    (spike,) = found.structure.spikes
    assert spike.coordinate == 5
    assert spike.raw > 0.5
    assert spike.centred < 0.05
    assert found.verdict.word is Nested.NOT
    assert any(line.startswith("spike: coordinate 5 holds") for line in found.footnotes)


def test_few_vectors_lean_and_say_so() -> None:
    rows = make_clusters(50, 64, seed=3, decay=0.05)
    found = profile(rows)
    assert found.verdict.leaning
    assert "leaning: this sample cannot rule out" in str(found.verdict)
    assert any("too small a sample to be sure: 49 documents" in note for note in found.notes)
    assert any("recall alone cannot tell" in reason for reason in found.verdict.reasons)
    assert found.to_dict()["leaning"] is True


def _structure(rows: np.ndarray) -> Structure:
    return measure_structure(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("order", "depth", "densities", "expected"),
    [
        ((0.05, 0.03, 0.07), (0.05, 0.03, 0.07), (1.0, 1.0), "nested"),
        ((0.05, 0.03, 0.07), (0.01, -0.01, 0.03), (1.3, 1.3), "weakly nested"),
        ((0.00, -0.01, 0.01), (0.05, 0.03, 0.07), (1.3, 1.3), "not nested"),
        ((0.03, -0.01, 0.07), (0.01, -0.01, 0.03), (1.3, 1.0),
         "weakly nested (leaning: this sample cannot rule out not nested)"),
        ((0.03, -0.01, 0.07), (0.01, -0.01, 0.03), (1.0, 1.0),
         "not nested (leaning: this sample cannot rule out weakly nested)"),
        ((0.03, -0.01, 0.07), (0.03, -0.01, 0.07), (1.3, 1.3),
         "nested (leaning: this sample cannot rule out weakly nested or not nested)"),
        ((0.05, 0.03, 0.07), (0.03, -0.01, 0.07), (1.3, 1.0),
         "weakly nested (leaning: this sample cannot rule out nested)"),
    ],
)  # fmt: skip
def test_the_rule(
    order: tuple[float, ...], depth: tuple[float, ...], densities: tuple[float, float], expected: str,
    rotated: np.ndarray,
) -> None:  # fmt: skip
    evidence = Evidence(
        Contrast(*order, p=0.05),
        Contrast(*depth, p=0.05),
        Contrast(0.03, 0.01, 0.05, p=0.05),
        *(Density(ratio, chance=1.04) for ratio in densities),
    )
    assert str(judge_nesting(evidence, _structure(rotated))) == expected


def test_a_prefix_no_better_than_the_suffix_is_no_order(rotated: np.ndarray) -> None:
    clear, flat = Contrast(0.05, 0.03, 0.07, 0.05), Density(1.0, chance=1.04)
    both_ends = Evidence(clear, clear, Contrast(-0.01, -0.03, 0.01, 0.05), flat, flat)
    assert judge_nesting(both_ends, _structure(rotated)).word is Nested.NOT


def test_energy_that_chance_explains_decides_nothing(rotated: np.ndarray) -> None:
    unsure, fine = Contrast(0.03, -0.01, 0.07, 0.2), Contrast(0.03, 0.01, 0.05, 0.2)
    lucky = Evidence(unsure, unsure, fine, Density(1.3, chance=1.4), Density(1.3, chance=1.4))
    assert judge_nesting(lucky, _structure(rotated)).word is Nested.NOT


def test_the_report_reads_and_is_json(nested: np.ndarray) -> None:
    found = profile(nested, dims=[8, 16])
    text = str(found)
    assert text.startswith("verdict: nested\n  - prefix less random coordinates: +0.")
    assert text.index("recall@10 against exact full vectors (64 dims)") < text.index("what to do")
    data: dict[str, Any] = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["verdict"] == "nested"
    assert [row["dim"] for row in data["rows"]] == [8, 16, 64]
    assert data["rows"][0]["prefix"].keys() == {"mean", "low", "high"}
    assert data["knee"] == found.knee
