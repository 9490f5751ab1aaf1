"""Which model: the options that name one, and indexes opened with it."""

from __future__ import annotations

from pathlib import Path

import click

from kukla.embed import MODEL_VARIABLE, find_embedder
from kukla.index import Index

__all__ = ["base_url_option", "open_with_model", "search_model_option"]

base_url_option = click.option(
    "--base-url",
    metavar="URL",
    help="The address of the API of an openai: model.  [default: $OPENAI_BASE_URL, else OpenAI's own]",
)
search_model_option = click.option(
    "--model",
    metavar="NAME",
    help="The model that embeds texts, for an index whose model is not built in: st:FOLDER, openai:MODEL, "
    f"...  [default: ${MODEL_VARIABLE}]",
)


def open_with_model(
    path: Path, model: str | None, base_url: str | None = None, *, read_only: bool = True
) -> Index:
    """The index at ``path``, its embedder the model that was named, if one was.

    Raises
    ------
    SpaceError
        The model is not the one that made the index's vectors.
    """
    if model is None:
        return Index.open(path, read_only=read_only)
    with Index.open(path, read_only=True) as index:
        space = index.space
    return Index.open(path, embedder=find_embedder(space, model, base_url=base_url), read_only=read_only)
