"""``kukla distill``: a sentence transformer becomes token vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kukla.cli.common import json_option, split_names, split_numbers
from kukla.cli.output import make_console, print_json, print_table
from kukla.train.static.config import DistillConfig, read_distill_config

__all__ = ["distill"]


@click.command(
    short_help="Make a static model from a sentence transformer.",
    epilog="\b\nExamples:\n  kukla distill --teacher all-MiniLM-L6-v2 --corpus docs/ --out mine\n"
    "  kukla distill --teacher ./e5 --corpus texts.jsonl --pairs pairs.jsonl --dims 512,256,64 --out mine\n"
    "  kukla distill distill.yaml --seed 2\n"
    "  kukla index docs/ --model static:mine --to docs.kukla\n\n"
    "Needs pip install 'kukla[train]'. All keys of the file: docs/distill.md.",
)
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--teacher", metavar="MODEL", help="A folder, a name, all-MiniLM-L6-v2.")
@click.option("--corpus", multiple=True, metavar="PATH", help="Texts: what kukla index reads; repeatable.")
@click.option("--text-field", metavar="NAME", help="The field of texts in tables of the corpus.")
@click.option("--pairs", metavar="FILE", help="jsonl(.gz), csv, tsv, parquet of queries and documents.")
@click.option("--columns", callback=split_names, metavar="NAMES", help="Their fields: query,document.")
@click.option("--out", metavar="FOLDER", help="Where the model goes.")
@click.option("--dims", callback=split_numbers, metavar="N,N,...", help="Prefixes. Default: 256,128,64,32.")
@click.option("--pieces", type=int, help="Most pieces of a vocabulary made from the texts. Default: 32,000.")
@click.option("--vocabulary", metavar="FILE", help="A SentencePiece model instead, or builtin (English).")
@click.option("--texts", type=int, help="Texts that the teacher embeds, at most. Default: 100,000.")
@click.option("--max-tokens", type=int, help="Of a text that the teacher reads. Default: 64.")
@click.option("--steps", type=int, help="Of training on pairs. Default: 600.")
@click.option("--batch", type=int, help="Pairs a step. Default: 1,024.")
@click.option("--lr", "learning_rate", type=float, help="On pairs. Default: 0.006.")
@click.option("--seed", type=int)
@click.option("--threads", type=int, help="Default: 1.")
@click.option("--test", multiple=True, metavar="BEIR_FOLDER", help="Measured beside the teacher; repeatable.")
@click.option("--sentence-transformer", metavar="FOLDER", help="Also write what SentenceTransformer() loads.")
@click.option("--force", is_flag=True, help="Replace a distillation at --out.")
@json_option
def distill(config: Path | None, force: bool, as_json: bool, **options: Any) -> None:
    """Distil a sentence transformer into token vectors, as the file CONFIG and the options say.

    The result is a folder for --model static:FOLDER: no torch, no transformer, thousands of texts a second,
    and any prefix of a vector is a vector. Options replace keys of the file. The same command again goes on
    with a run that was cut short.
    """
    told = {} if config is None else read_distill_config(config)
    told |= {key: value for key, value in options.items() if value is not None and value != ()}
    ready = DistillConfig.of(told)
    from kukla.train.static.distil import distil

    console = make_console(stderr=True)
    done = distil(
        ready, force=force, say=lambda line: None if as_json else console.print(line, soft_wrap=True)
    )
    if as_json:
        print_json({
            "model": str(done.folder),
            "revision": done.model.space.revision,
            "texts": done.texts,
            "held_out": done.held_out,
            "neighbours": done.neighbours,
            "quality": done.quality,
            "seconds": done.seconds,
        })  # fmt: skip
        return
    if done.neighbours:
        click.echo(f"\nof the teacher's ten nearest, {done.held_out:,} texts that no step saw")
        print_table(["dims", "kept"], [[str(dim), f"{kept:.3f}"] for dim, kept in done.neighbours.items()])
    for name, found in done.quality.items():
        click.echo(f"\nnDCG@10 on {name}, {found['model']['queries']:,} queries (intervals: the card)")
        rows = [
            [label.format(row["dim"]), f"{row['qualities']['nDCG@10']['mean']['mean']:.3f}"]
            for label, part in (("teacher, {}", "teacher"), ("{}", "model"))
            for row in sorted(found[part]["rows"], key=lambda row: -row["dim"])
        ]
        print_table(["dims", "nDCG@10"], rows)
    click.echo(f"\n{done.folder}: the model, its card README.md; use it as static:{done.folder}")
