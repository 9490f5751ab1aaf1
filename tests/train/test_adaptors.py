"""Adaptors on frozen vectors: better prefixes, changed whole vectors, seeds and freezing, refusals."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from kukla import Index
from kukla.cli import cli
from kukla.errors import InputError, MissingExtraError
from kukla.projection import Adaptor, Identity, Linear, Projection, Rotation, fit_pca
from kukla.projection.measure import prefix_recalls
from kukla.train import fit_adaptor, fit_smec
from kukla.train.adapting import prepare
from kukla.train.halving import Halving
from kukla.train.neighbours import ANCHORS, OTHERS, draw_neighbours
from kukla.train.similarity import difference, ranking, reconstruction, similarities
from kukla.train.steps import take_steps

from .conftest import DIM, Docstrings

DIMS = (8, 16, 32, 64)
SHORT: dict[str, Any] = {"start": "identity", "dims": DIMS, "steps": 40, "learning_rate": 1e-2}


@pytest.fixture(scope="module")
def backwards(docstrings: Docstrings) -> Docstrings:
    """Real texts, their principal directions in the wrong order: prefixes are as bad as they can be."""
    turn = fit_pca(docstrings.documents).matrix[:, ::-1]
    sides = {
        name: np.ascontiguousarray(getattr(docstrings, name) @ turn)
        for name in ("documents", "known", "untouched")
    }
    return replace(docstrings, **sides)


@pytest.fixture(scope="module")
def adaptor(backwards: Docstrings) -> Projection:
    return fit_adaptor(backwards.documents, backwards.known, **SHORT)


@pytest.fixture(scope="module")
def smec(backwards: Docstrings) -> Linear:
    return fit_smec(backwards.documents, backwards.known, **SHORT)


def recall(projection: Projection, rows: Docstrings) -> np.ndarray:
    """Mean recall@10 at each dim and at full, on queries that nothing was fitted on."""
    dims = (*DIMS, DIM)
    found = prefix_recalls({"": projection}, rows.documents, rows.untouched, dims, 10, "cosine")
    return found[""].mean(axis=1)


# What is learned


@pytest.mark.parametrize("kind", ["adaptor", "smec"])
def test_prefixes_find_more_for_queries_that_were_not_seen(
    kind: str, request: pytest.FixtureRequest, backwards: Docstrings
) -> None:
    projection: Any = request.getfixturevalue(kind)
    plain, learned = recall(Identity(DIM), backwards), recall(projection, backwards)
    assert (learned[:-1] > plain[:-1] + {"adaptor": 0.02, "smec": 0.1}[kind]).all()
    assert projection.about["fit"] == kind
    assert projection.about["step"] > 0
    assert projection.about["recall"] > projection.about["start_recall"]
    assert not projection.keeps_scores
    assert 0.5 < learned[-1] < 1  # whole vectors no longer say what they said


def test_what_training_computes_is_what_numpy_computes(adaptor: Projection, backwards: Docstrings) -> None:
    import torch

    assert isinstance(adaptor, Adaptor)
    rows = backwards.untouched[:50]
    turned = torch.from_numpy(rows) @ torch.from_numpy(adaptor.matrix.copy())
    network = torch.nn.Sequential(
        torch.nn.Linear(DIM, adaptor.hidden, bias=False),
        torch.nn.ReLU(),
        torch.nn.Linear(adaptor.hidden, DIM, bias=False),
    )
    with torch.no_grad():
        network[0].weight.copy_(torch.from_numpy(adaptor.inner.T.copy()))
        network[2].weight.copy_(torch.from_numpy(adaptor.outer.T.copy()))
        expected = (turned + network(turned)).numpy()
    np.testing.assert_allclose(adaptor.transform(rows), expected, atol=1e-6)


@pytest.mark.parametrize("fit", [fit_adaptor, fit_smec])
def test_the_seed_decides(fit: Any, backwards: Docstrings) -> None:
    options = SHORT | {"steps": 20}
    once, again, other = (fit(backwards.documents[:400], **options, seed=seed) for seed in (0, 0, 1))
    assert once.about["step"] > 0
    assert once == again
    assert once != other


def test_training_starts_at_the_best_closed_form(docstrings: Docstrings) -> None:
    found = fit_adaptor(docstrings.documents, docstrings.known, dims=DIMS, steps=20)
    assert found.about["start"] in ("pca", "query-aware")
    assert found.about["recall"] >= found.about["start_recall"]
    assert recall(found, docstrings).mean() > recall(Identity(DIM), docstrings).mean() + 0.1


@pytest.mark.parametrize("fit", [fit_adaptor, fit_smec])
def test_where_training_does_not_help_it_is_the_start(fit: Any) -> None:
    # All there is lies in 8 dims, so a PCA finds everything from there on and nothing can be gained.
    rows = np.zeros((300, 32), dtype=np.float32)
    rows[:, 24:] = np.random.default_rng(0).standard_normal((300, 8))
    found = fit(rows, dims=(8, 16), steps=20)
    assert isinstance(found, Rotation)
    assert (found.about["start"], found.about["step"], found.about["recall"]) == ("pca", 0, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("fit", [fit_adaptor, fit_smec])
def test_pairs_add_a_ranking_loss(fit: Any, backwards: Docstrings) -> None:
    found = fit(backwards.documents, backwards.known, pairs=backwards.pairs, **SHORT)
    assert found.about["pairs"] > 300
    assert found.about["recall"] > found.about["start_recall"]


def test_inner_products_are_learned_as_they_are(docstrings: Docstrings) -> None:
    lengths = np.linspace(0.5, 2, 400, dtype=np.float32)[:, None]
    for fit in (fit_adaptor, fit_smec):
        found = fit(docstrings.documents[:400] * lengths, metric="ip", **(SHORT | {"steps": 20}))
        assert found.about["metric"] == "ip"
        assert not found.renormalises_prefixes or type(found) is not Linear


def test_progress_counts_every_step_and_ends(docstrings: Docstrings) -> None:
    for fit in (fit_adaptor, fit_smec):
        seen: list[tuple[int, int | None]] = []
        fit(
            docstrings.documents[:300],
            **(SHORT | {"steps": 40}),
            progress=lambda done, total, seen=seen: seen.append((done, total)),
        )
        assert seen[0] == (1, 40)
        assert seen[-1] == (40, 40)
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)


# SMEC


def test_a_stage_changes_only_the_coordinates_of_its_dim(docstrings: Docstrings) -> None:
    import torch

    found = prepare(
        docstrings.documents,
        None,
        None,
        dims=DIMS,
        start="identity",
        metric="cosine",
        k=10,
        sample=500,
        seed=0,
    )
    matrix = np.linalg.qr(np.random.default_rng(0).standard_normal((DIM, DIM)))[0].astype(np.float32)
    stage = Halving(found, matrix, 32, 16, memory=200, ranking_weight=1.0)
    change, logits = stage.parameters
    with torch.no_grad():
        change.copy_(0.1 * torch.randn(32, 32, generator=torch.Generator().manual_seed(0)))
        logits.copy_(torch.arange(32.0))
    after = stage.matrix()
    np.testing.assert_array_equal(after[:, 32:], matrix[:, 32:])  # frozen
    layered = matrix[:, :32] + matrix[:, :32] @ change.detach().numpy()
    # The larger half of the logits moved to the front, both halves in their order.
    np.testing.assert_allclose(after[:, :32], layered[:, [*range(16, 32), *range(16)]], atol=1e-6)


def test_the_logits_learn_which_coordinates_to_keep() -> None:
    """All information is in the last coordinates, which have less energy than noise that repeats."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((400, 16)).astype(np.float32)
    rows[:, :8] *= 0.05
    found = fit_smec(rows, dims=(8,), start="identity", steps=60, k=5)
    kept = np.abs(found.matrix[:, :8]).argmax(axis=0)
    assert set(kept) == set(range(8, 16))


# Batches and losses


def test_a_batch_has_the_nearest_of_all_without_itself() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((500, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    queries = rng.standard_normal((300, 8)).astype(np.float32)
    batch = draw_neighbours(rows, queries, 3, rng)
    assert batch.asked.shape == (ANCHORS, 8)
    assert batch.others == OTHERS
    assert len(np.unique(batch.documents[OTHERS:])) == len(batch.documents) - OTHERS
    np.testing.assert_allclose(batch.target, batch.asked @ rows[batch.documents].T, atol=1e-6)
    for row, near in zip(batch.asked, batch.documents[batch.near], strict=True):
        scores = rows @ row
        scores[(rows == row).all(axis=1)] = -np.inf
        assert set(near) == set(np.argsort(-scores)[:3])
    within = np.arange(100, 120)
    inside = draw_neighbours(rows, queries[:0], 3, rng, within=within)
    assert set(inside.documents[inside.near].ravel()) <= set(within)


def test_losses_are_those_of_slow_loops() -> None:
    import torch

    rng = np.random.default_rng(0)
    queries, documents = rng.standard_normal((3, 8)), rng.standard_normal((5, 8))
    target, near = rng.standard_normal((3, 5)), np.array([[0, 4], [1, 2], [3, 0]])
    positives = np.array([4, 0, 2])
    others = np.ones((3, 5), dtype=bool)
    others[[0, 1, 2], positives] = False
    others[0, 1] = False  # relevant as well
    dims = (2, 8)
    for ranked in ("cosine", "unit", "plain"):
        pair, topk, rank, count = 0.0, 0.0, 0.0, 0
        for dim in dims:
            for i in range(3):
                scores = []
                for j in range(5):
                    q, d = queries[i, :dim], documents[j, :dim]
                    length = {
                        "cosine": np.linalg.norm(q) * np.linalg.norm(d),
                        "unit": np.linalg.norm(queries[i]) * np.linalg.norm(documents[j]),
                        "plain": 1.0,
                    }[ranked]
                    scores.append(q @ d / length)
                    pair += abs(scores[j] - target[i, j]) / 15
                    topk += abs(scores[j] - target[i, j]) / 6 * (j in near[i])
                for j in range(5):
                    if others[i, j]:
                        rank += np.log(1 + np.exp(scores[j] - scores[positives[i]]))
                        count += 1
        found = similarities(*map(torch.from_numpy, (queries, documents)), dims, ranked)  # type: ignore[arg-type]
        wanted = torch.from_numpy(target)
        assert float(difference(found, wanted)) == pytest.approx(pair / 2)
        assert float(difference(found, wanted, torch.from_numpy(near))) == pytest.approx(topk / 2)
        assert float(ranking(found, torch.from_numpy(positives), torch.from_numpy(others))) == pytest.approx(
            rank / count
        )
    moved = torch.from_numpy(documents)
    assert float(reconstruction(moved)) == pytest.approx(np.abs(documents).mean())


# Refusals


@pytest.mark.parametrize("fit", [fit_adaptor, fit_smec])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vectors": np.eye(99, 64, dtype=np.float32) + 1}, "at least 100 different vectors, got 65"),
        ({"queries": np.ones((19, 16), np.float32)}, "at least 20 queries, got 19"),
        ({"queries": np.ones((40, 8), np.float32)}, "queries have 8 dims, the vectors 16"),
        ({"pairs": np.array([[0, 1]])}, "they need queries, got none"),
        ({"dims": (16,)}, "needs a dim below the 16"),
        ({"dims": (8, 17)}, "a dim to train must be an integer from 1 to 16, got 17"),
        ({"start": "pca"}, "start must be best or identity, got 'pca'"),
        ({"k": 150}, "k = 150 needs at least 300 vectors"),
        ({"learning_rate": 0.0}, "learning rate must be a number above 0, at most 1, got 0.0"),
        ({"learning_rate": 1.5}, "learning rate must be a number above 0, at most 1, got 1.5"),
        ({"ranking_weight": -1.0}, "ranking_weight must be a number of 0 or more, got -1.0"),
        ({"vectors": np.full((200, 16), np.nan, np.float32)}, "row 0 holds nan"),
    ],
)
def test_what_cannot_be_learned(fit: Any, options: dict[str, Any], message: str) -> None:
    vectors = np.random.default_rng(0).standard_normal((200, 16)).astype(np.float32)
    with pytest.raises(InputError, match=message):
        fit(**({"vectors": vectors, "steps": 20} | options))


def test_a_loss_that_is_not_finite_ends_the_training() -> None:
    import torch

    weight = torch.ones(1, requires_grad=True)
    with pytest.raises(InputError, match=r"the loss became inf in step 1 at the learning rate 0\.5"):
        take_steps([weight], lambda: weight.sum() / 0, lambda: 0.0, steps=3, learning_rate=0.5, patience=3,
                   recall=0.0, report=lambda _: None)  # fmt: skip


def test_the_best_measured_step_is_taken_and_patience_ends() -> None:
    import torch

    weight = torch.ones(1, requires_grad=True)
    seen: list[int] = []
    found = iter([0.3, 0.9, 0.5, 0.4, 0.1])
    best = take_steps([weight], lambda: (weight - 5).square().sum(), lambda: next(found), steps=400,
                      learning_rate=0.1, patience=40, recall=0.2, report=seen.append)  # fmt: skip
    assert (best.step, best.recall) == (40, 0.9)
    assert seen[-2:] == [80, 400]
    assert weight.item() == best.values[0].item()
    nothing = take_steps([weight], lambda: weight.sum(), lambda: 0.1, steps=20, learning_rate=0.1,
                         patience=20, recall=0.9, report=seen.append)  # fmt: skip
    assert nothing.step == 0
    assert weight.item() == best.values[0].item()  # back where it was


def test_what_only_one_of_them_refuses() -> None:
    rows = np.random.default_rng(0).standard_normal((200, 16)).astype(np.float32)
    with pytest.raises(InputError, match="hidden must be"):
        fit_adaptor(rows, hidden=0)
    with pytest.raises(InputError, match="memory must be"):
        fit_smec(rows, memory=19)
    with pytest.raises(InputError, match="3 stages need as many steps at least, got 2"):
        fit_smec(rows, dims=(2, 4, 8), steps=2)


@pytest.mark.parametrize(("fit", "what"), [(fit_adaptor, "an adaptor"), (fit_smec, "SMEC")])
def test_without_torch_it_says_what_to_install(fit: Any, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=rf"{what} needs .*pip install 'kukla\[train\]'"):
        fit(np.ones((200, 16), np.float32))


# On the command line


def kukla(*arguments: object) -> str:
    done = CliRunner().invoke(cli, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["adaptor", "smec"])
def test_fit_index_search_and_profile(kind: str, docstrings: Docstrings, tmp_path: Path) -> None:
    vectors, queries, target = (tmp_path / name for name in ("v.npy", "q.npy", "p.npz"))
    np.save(vectors, docstrings.documents)
    np.save(queries, docstrings.known[:200])
    folder = tmp_path / "i.kukla"
    said = kukla("fit", vectors, "--queries", queries, "--kind", kind, "--to", target, "--dims", "16,32")
    assert f"{kind} *" in said
    loaded = Projection.load(target)
    if not loaded.keeps_scores:
        assert "full-dim scores change with it. Whole vectors after it find 0." in said
    kukla("index", vectors, "--projection", target, "--to", folder)
    found = json.loads(kukla("search", folder, "--vector", queries, "-k", 3, "--json").splitlines()[0])
    assert found["keeps_scores"] == loaded.keeps_scores
    assert "verdict" in kukla("profile", folder, "--queries", queries)
    kukla("calibrate", folder, "--queries", queries, "--target", "recall@10>=0.8")
    with Index.open(folder) as index:
        assert index.info().projection == loaded.kind


@pytest.mark.slow
def test_auto_tries_them_when_asked(docstrings: Docstrings, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", docstrings.documents[:600])
    found = json.loads(kukla("fit", tmp_path / "v.npy", "--adaptors", "--json", "--dims", "16,32"))
    assert [row["kind"] for row in found["rows"]] == ["identity", "pca", "adaptor", "smec", "random"]
