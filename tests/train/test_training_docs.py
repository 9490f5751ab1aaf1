"""docs/training.md names every key with its default, and its example is one that runs."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from kukla.train.config import LOSSES, TrainConfig, read_config

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
KEYS = PAGE[PAGE.index("## Keys") : PAGE.index("## Losses")]
NAMED = [
    (key, default.strip().split(", "))
    for keys, default in re.findall(r"^\| (`[^|]*`) \|([^|]*)\|", KEYS, flags=re.MULTILINE)
    for key in [re.findall(r"`(\w+)`", keys)]
]


def test_every_key_is_there() -> None:
    found = [key for keys, _ in NAMED for key in keys]
    assert sorted(found) == sorted(field.name for field in fields(TrainConfig))


def test_defaults_are_the_real_ones() -> None:
    defaults = {field.name: field.default for field in fields(TrainConfig) if field.default is not MISSING}
    for keys, stated in NAMED:
        for key, value in zip(keys, stated, strict=len(stated) > 1):
            default = defaults.get(key)
            if isinstance(default, bool):
                assert value == str(default).lower(), key
            elif isinstance(default, int | float):
                assert float(value) == default, key
            elif isinstance(default, str):
                assert value == default, key


def test_the_example_is_a_run(tmp_path: Path) -> None:
    example, several = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    (tmp_path / "config.yaml").write_text(example)
    config = TrainConfig.of(read_config(tmp_path / "config.yaml"))
    assert (config.dims, config.learning_rate, config.patience) == ((384, 192, 96, 48, 24), 2e-5, 3)
    (tmp_path / "several.yaml").write_text("base: b\nout: o\ndims: [8]\n" + several)
    files = TrainConfig.of(read_config(tmp_path / "several.yaml")).parts
    assert [one.loss for one in files] == ["contrastive", "cosent", "classification"]
    assert files[1].path == str(tmp_path / "sts.tsv")


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_is_told(loss: str) -> None:
    assert f"\n| {loss} | " in PAGE[PAGE.index("## Losses") :]
