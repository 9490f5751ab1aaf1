"""The ann-benchmarks module, where its runner would find it: beside `base/module.py`, called as it calls."""

from __future__ import annotations

import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SOURCE = Path(__file__).resolve().parents[2] / "benchmarks" / "ann_benchmarks" / "kukla"
BASE = """
class BaseANN(object):
    def done(self): pass
    def get_additional(self): return {}
    def __str__(self): return self.name
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Our module.py in ann-benchmarks' own layout of packages."""
    algorithms = tmp_path / "ann_benchmarks" / "algorithms"
    (algorithms / "base").mkdir(parents=True)
    for folder in (algorithms.parent, algorithms, algorithms / "base"):
        (folder / "__init__.py").touch()
    (algorithms / "base" / "module.py").write_text(BASE)
    shutil.copytree(SOURCE, algorithms / "kukla")
    (algorithms / "kukla" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    yield import_module("ann_benchmarks.algorithms.kukla.module")
    for name in [name for name in sys.modules if name.split(".")[0] == "ann_benchmarks"]:
        del sys.modules[name]


@pytest.mark.parametrize("projection", ["none", "pca"])
def test_the_runners_calls_find_the_nearest(module: Any, small_set: Path, projection: str) -> None:
    base, queries = np.load(small_set / "base.npy"), np.load(small_set / "queries.npy")
    exact = np.argsort(-(queries @ base.T), axis=1)[:, :10]
    algorithm = module.Kukla("angular", {"projection": projection})

    algorithm.fit(base)
    algorithm.set_query_arguments("{full}:int8@40 > {full}:float32")
    alone = np.array([algorithm.query(query, 10) for query in queries])
    algorithm.batch_query(queries, 10)

    np.testing.assert_array_equal(alone, algorithm.get_batch_results())
    shared = [len(set(a) & set(b)) for a, b in zip(alone.tolist(), exact.tolist(), strict=True)]
    assert np.mean(shared) > 9.9
    assert "512:int8@40" in str(algorithm)
    assert algorithm.get_additional()["bytes_read"] > 2000 * 512
    algorithm.done()
    assert not algorithm._folder.exists()


def test_a_metric_that_kukla_has_not_is_refused(module: Any) -> None:
    with pytest.raises(NotImplementedError, match="not by euclidean"):
        module.Kukla("euclidean", {})


def test_every_plan_of_the_config_runs(module: Any, small_set: Path) -> None:
    plans = [
        line.split("'")[1] for line in (SOURCE / "config.yml").read_text().splitlines() if "{full}" in line
    ]
    base = np.load(small_set / "base.npy")
    algorithm = module.Kukla("angular", {})
    algorithm.fit(base)

    assert len(plans) >= 4
    for plan in plans:
        algorithm.set_query_arguments(plan)
        assert algorithm.query(base[3], 10)[0] == 3
    algorithm.done()
