"""docs/distill.md names every key with its default, and its example is one that runs."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from pathlib import Path

from kukla.train.static.config import DistillConfig, read_distill_config

PAGE = (Path(__file__).parents[2] / "docs" / "distill.md").read_text(encoding="utf-8")
KEYS = PAGE[PAGE.index("## Keys") : PAGE.index("## Measured")]
NAMED = [
    (re.findall(r"`(\w+)`", keys), default.strip().split(", "))
    for keys, default in re.findall(r"^\| (`[^|]*`) \|([^|]*)\|", KEYS, flags=re.MULTILINE)
]


def test_every_key_is_there() -> None:
    assert sorted(key for keys, _ in NAMED for key in keys) == sorted(f.name for f in fields(DistillConfig))


def test_defaults_are_the_real_ones() -> None:
    defaults = {field.name: field.default for field in fields(DistillConfig) if field.default is not MISSING}
    for keys, stated in NAMED:
        for key, value in zip(keys, stated, strict=False):
            if isinstance(default := defaults.get(key), int | float):
                assert float(value) == default, key
    assert [int(value) for keys, stated in NAMED if keys == ["dims"] for value in stated] == list(
        defaults["dims"]  # type: ignore[arg-type]
    )


def test_the_example_is_a_run(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    (tmp_path / "distill.yaml").write_text(example)
    config = DistillConfig.of(read_distill_config(tmp_path / "distill.yaml"))
    assert config.corpus == (str(tmp_path / "docs"), str(tmp_path / "texts.jsonl"))
    assert config.dims == (256, 128, 64, 32)
