"""``kukla train``: a Matryoshka model from pairs, triplets, scores or classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kukla.cli.common import json_option, split_names, split_numbers
from kukla.cli.output import make_console, print_json, print_table
from kukla.errors import InputError
from kukla.train.config import LOSSES, TrainConfig, read_config
from kukla.train.curves import Curves

__all__ = ["train"]


@click.command(
    short_help="Train a Matryoshka model.",
    epilog="\b\nExamples:\n  kukla train config.yaml\n  kukla train config.yaml --steps 200 --out tried\n"
    "  kukla train config.yaml --resume\n"
    "  kukla train --base all-MiniLM-L6-v2 --data pairs.jsonl.gz --dims 384,192,96,48,24 --out model\n\n"
    "Needs pip install 'kukla[train]'. All keys of the file: docs/training.md.",
)
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--base", metavar="MODEL", help="A folder, a name, all-MiniLM-L6-v2, static.")
@click.option("--data", metavar="FILE", help="jsonl(.gz), csv, tsv, parquet, or a folder of datasets.")
@click.option("--columns", callback=split_names, metavar="NAMES", help="Fields of texts: query,document,...")
@click.option("--label", metavar="NAME", help="The field of scores or classes.")
@click.option("--out", metavar="FOLDER", help="Where the model goes.")
@click.option("--loss", type=click.Choice(LOSSES), help="Default: contrastive.")
@click.option("--dims", callback=split_numbers, metavar="N,N,...", help="Prefixes to train, any order.")
@click.option("--weights", metavar="equal|small|N,N,...", help="Of the losses, in the order of dims.")
@click.option("--layers", is_flag=True, default=None, help="2D Matryoshka: train earlier layers as well.")
@click.option("--keep-layers", callback=split_numbers, metavar="N,N,...",
              help="With --layers: also write models of the first N layers.")  # fmt: skip
@click.option("--epochs", type=float)
@click.option("--steps", type=int, help="Instead of epochs.")
@click.option("--batch", type=int, help="Rows a step. Default: 64.")
@click.option("--mini-batch", type=int, help="Embed so many texts at a time: big batches in little memory.")
@click.option("--accumulate", type=int, help="Batches whose gradients are added up before a step.")
@click.option("--lr", "learning_rate", type=float, help="Default: 2e-5.")
@click.option("--mixed", type=click.Choice(["no", "bf16", "fp16"]), help="Mixed precision.")
@click.option("--seed", type=int)
@click.option("--max-tokens", type=int, help="Cut texts there. Default: the model's own limit.")
@click.option("--rows", type=int, help="Read only the first rows of the data.")
@click.option("--dev", metavar="BEIR_FOLDER", help="Measured while training; its best step is kept.")
@click.option("--test", multiple=True, metavar="BEIR_FOLDER", help="Measured before and after; repeatable.")
@click.option("--every", type=int, help="Steps between checkpoints and measurements. Default: 50.")
@click.option("--patience", type=int, help="Stop after so many measurements without a better one.")
@click.option("--resume", is_flag=True, help="Go on with the run at --out.")
@click.option("--force", is_flag=True, help="Replace a run at --out.")
@json_option
def train(config: Path | None, resume: bool, force: bool, as_json: bool, **options: Any) -> None:
    """Train a model whose prefixes are embeddings, as the file CONFIG and the options say.

    Options replace keys of the file. SentenceTransformer(folder, truncate_dim=...) loads the result, which
    has its trained dims, space.json, curves.png and a card with the quality at every dim in it.
    """
    if resume and force:
        raise click.UsageError("--resume goes on with a run, --force replaces it: give one of them")
    told = {} if config is None else read_config(config)
    told |= {key: value for key, value in options.items() if value is not None and value != ()}
    if isinstance(options["weights"], str) and "," in options["weights"]:
        told["weights"] = _numbers(options["weights"])
    ready = TrainConfig.of(told)
    from kukla.train.run import train_model

    with _Watch(enabled=not as_json) as watch:
        trained = train_model(ready, resume=resume, force=force, watch=watch, say=watch.say)
    if as_json:
        print_json({"model": str(trained.folder), "step": trained.step, "quality": trained.quality})
        return
    for name, found in trained.quality.items():
        rows = []
        for old, new in zip(found["before"]["rows"], found["after"]["rows"], strict=True):
            cells = [one["qualities"]["nDCG@10"]["mean"]["mean"] for one in (old, new)]
            rows.append([str(new["dim"]), *(f"{cell:.3f}" for cell in cells), f"{cells[1] - cells[0]:+.3f}"])
        click.echo(f"\nnDCG@10 on {name}, {found['after']['queries']:,} queries (intervals: the card)")
        print_table(["dims", "base", "trained", "change"], rows)
    for count in sorted(ready.keep_layers):
        click.echo(f"\n{trained.folder / f'layers-{count}'}: the first {count} of its layers as a model")
    click.echo(f"\n{trained.folder}: the model of step {trained.step:,}, its card README.md, curves.png")


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"weights must be equal, small or numbers, got {text!r}") from None


class _Watch:
    """The curves on stderr: a live table in a terminal, else a line for each measurement."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._console = make_console(stderr=True)
        self._live: Any = None
        self._last = ""

    def __enter__(self) -> _Watch:
        if self._enabled and self._console.is_terminal:
            from rich.live import Live

            self._live = Live(console=self._console, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, line: str) -> None:
        """A line about the run."""
        if self._enabled:
            self._console.print(line, soft_wrap=True)

    def __call__(self, curves: Curves) -> None:
        """Show the curves."""
        if self._live is not None:
            self._live.update(_table(curves))
        elif self._enabled and (line := _line(curves)) != self._last:  # a checkpoint has no new point
            self._last = line
            self.say(line)


def _line(curves: Curves) -> str:
    step = curves.step
    parts = [f"step {step}/{curves.total_steps}"]
    for name, points in (("loss", curves.losses), ("nDCG@10", curves.quality)):
        if step in points:
            parts.append(f"{name} " + " ".join(f"{dim}:{value:.3f}" for dim, value in points[step].items()))
    return "  ".join(parts)


_BLOCKS = "▁▂▃▄▅▆▇█"


def _spark(values: list[float]) -> str:
    shown = values[-24:]
    low, span = min(shown), max(shown) - min(shown)
    return "".join(_BLOCKS[int(7 * (value - low) / span) if span else 3] for value in shown)


def _table(curves: Curves) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD, title=f"step {curves.step} of {curves.total_steps}", title_justify="left"
    )
    for name in ("dims", "loss", "", "nDCG@10", " "):
        table.add_column(name, justify="right" if name in ("dims", "loss", "nDCG@10") else "left")
    for dim in curves.dims:
        cells = [str(dim)]
        for points in (curves.losses, curves.quality):
            values = [points[step][dim] for step in sorted(points) if dim in points[step]]
            cells += [f"{values[-1]:.3f}", _spark(values)] if values else ["-", ""]
        table.add_row(*cells)
    return table
