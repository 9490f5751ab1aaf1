"""An index with an adaptor, as the first version that knew adaptors wrote it, opens and answers as it did."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from kukla import Index
from kukla.errors import NewerFormatError
from kukla.projection import Adaptor, Projection

DATA = Path(__file__).parents[1] / "data"
GOLDEN = DATA / "golden-v1-adaptor"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_golden_adaptor", DATA / "make_golden_adaptor.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_answers_as_it_did(maker: ModuleType) -> None:
    expected = json.loads((DATA / "golden-v1-adaptor.json").read_text(encoding="utf-8"))
    with Index.open(GOLDEN, read_only=True) as index:
        index.verify()
        said = maker.answers(index)
        vector = index.get("doc-07")[0].vector
    assert said.keys() == expected.keys()
    for plan, found in said.items():
        assert found["ids"] == expected[plan]["ids"], plan
        np.testing.assert_allclose(found["scores"], expected[plan]["scores"], rtol=0, atol=1e-6)
    assert vector is not None
    given = maker.numbers(maker.COUNT, maker.DIM, 3)[7]
    np.testing.assert_allclose(vector, given / np.linalg.norm(given), atol=1e-4)


def test_it_was_written_by_the_adaptor_of_today(maker: ModuleType) -> None:
    with Index.open(GOLDEN, read_only=True) as index:
        stored = index._opened.settings.projection
    assert isinstance(stored, Adaptor)
    today = maker.adaptor()
    for name, array in today.arrays().items():
        np.testing.assert_allclose(stored.arrays()[name], array, atol=1e-7, err_msg=name)
    assert (stored.renormalises_prefixes, stored.about) == (today.renormalises_prefixes, today.about)


def test_a_reader_from_before_adaptors_refuses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(Projection._kinds, "adaptor")
    with pytest.raises(NewerFormatError, match="unknown projection 'adaptor'"):
        Index.open(GOLDEN, read_only=True)
