"""What the makers of embedding models say about them: a table to start from, not to trust.

The table lives in ``known_models.toml``; every entry names the pages it was read from, and facts that no page
confirmed are named too. That a model "is Matryoshka" is its maker's claim. How good its prefixes are on your
data is a measurement, and Kukla makes it: measure before cutting.

``python -m kukla.known_models`` prints the table as Markdown; ``docs/known-models.md`` is its output.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

from kukla.errors import InputError
from kukla.space import Space

__all__ = ["KnownModel", "find_known_model", "known_models", "markdown"]


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """What the maker of one model says about it.

    Parameters
    ----------
    provider, model : str
        As the maker spells them; open models use their organisation on Hugging Face.
    aliases : tuple of str
        Other names that mean exactly this model.
    dim : int
        The largest output. A hosted API may return a smaller one by default; ``note`` says so.
    trained_dims : tuple of int
        Prefix lengths the maker names, ascending; empty when it names none.
    any_dim_from : int or None
        The smallest output length when the maker allows every length from there to ``dim``.
    matryoshka : bool
        Whether the maker claims that prefixes are good embeddings. A claim: measure it.
    query_prompt, document_prompt : str
        What is put before a query and before a document; empty means nothing, or not confirmed.
    provider_adds_prompt : bool
        Whether the API or the model's own code adds the prompts, so that a caller must not.
    pooling : str
        ``"mean"``, ``"cls"`` or ``"last"``; empty when not confirmed.
    layer_norm : bool
        Whether a layer norm without weights comes between pooling and truncation.
    normalised : str
        Which outputs have L2 norm 1: ``"all"``, ``"full"`` (only at ``dim``), ``"none"``, or empty when not
        confirmed.
    dimension_parameter : str
        What the maker's API or library calls the output length; empty when there is no such parameter.
    max_tokens : int or None
        Longest input; None when there is no limit or it is not confirmed.
    licence : str
        Licence of the weights; empty for a hosted model.
    unconfirmed : tuple of str
        Fields of this record that no page confirmed.
    sources : tuple of str
        Public URLs that state the facts.
    note : str
        What the fields cannot say.
    """

    provider: str
    model: str
    aliases: tuple[str, ...] = ()
    dim: int
    trained_dims: tuple[int, ...] = ()
    any_dim_from: int | None = None
    matryoshka: bool
    query_prompt: str = ""
    document_prompt: str = ""
    provider_adds_prompt: bool = False
    pooling: str = ""
    layer_norm: bool = False
    normalised: str = ""
    dimension_parameter: str = ""
    max_tokens: int | None = None
    licence: str = ""
    unconfirmed: tuple[str, ...] = ()
    sources: tuple[str, ...]
    note: str = ""

    @property
    def name(self) -> str:
        """``provider/model``."""
        return f"{self.provider}/{self.model}"

    def space(self, dim: int | None = None) -> Space:
        """The space of this model's vectors when it is asked for ``dim`` coordinates.

        Parameters
        ----------
        dim : int, optional
            Output length; the largest by default.

        Returns
        -------
        Space
            Without revision and canaries; ``trained_dims`` are those up to ``dim``. ``normalised`` is False
            where the table does not confirm it, which is the safe side: the index then normalises itself.

        Raises
        ------
        InputError
            The maker does not offer this length; the message lists those it does.

        Example
        -------
        >>> find_known_model("text-embedding-3-large").space(1024)
        Space(provider='openai', model='text-embedding-3-large', dim=1024)
        """
        wanted = self.dim if dim is None else dim
        continuous = self.any_dim_from is not None and wanted in range(self.any_dim_from, self.dim)
        if wanted != self.dim and wanted not in self.trained_dims and not continuous:
            raise InputError(f"{self.name}, dim: received {wanted!r}; allowed: {self._offered_dims()}")
        return Space(
            provider=self.provider,
            model=self.model,
            dim=wanted,
            trained_dims=tuple(d for d in self.trained_dims if d <= wanted),
            query_prompt=self.query_prompt,
            document_prompt=self.document_prompt,
            pooling=self.pooling,
            layer_norm=self.layer_norm,
            normalised=self.normalised == "all" or (self.normalised == "full" and wanted == self.dim),
        )

    def _offered_dims(self) -> str:
        if self.any_dim_from is not None:
            return f"{self.any_dim_from} to {self.dim}"
        if self.trained_dims:
            return ", ".join(map(str, self.trained_dims))
        return f"{self.dim} (its maker names no shorter prefix; take whole vectors and fit a projection)"


@cache
def known_models() -> tuple[KnownModel, ...]:
    """Every model of the table, in the order of the file."""
    table = tomllib.loads((files("kukla") / "known_models.toml").read_text(encoding="utf-8"))
    return tuple(_record(entry) for entry in table["model"])


def find_known_model(name: str) -> KnownModel:
    """The model called ``name``, whatever the case, with or without its organisation.

    A name under another organisation is not found: a copy may have other weights.

    Parameters
    ----------
    name : str
        ``"text-embedding-3-small"``, ``"openai/text-embedding-3-small"``, or an alias.

    Raises
    ------
    InputError
        No model has this name; the message lists the closest ones.
    """
    by_name = {known.casefold(): model for model in known_models() for known in _names(model)}
    found = by_name.get(name.strip().casefold())
    if found is not None:
        return found
    near = get_close_matches(name.strip().casefold(), by_name, n=5, cutoff=0.5)
    close = list(dict.fromkeys(by_name[key].name for key in near))
    allowed = f"one of the closest, {', '.join(close)}" if close else "a name from docs/known-models.md"
    raise InputError(f"known model: received {name!r}; allowed: {allowed}")


def markdown() -> str:
    """The table as Markdown: an overview, then for each model its prompts, its doubts and its sources."""
    lines = [
        "# Known models",
        "",
        "What the makers of these models say about them. Generated from `src/kukla/known_models.toml` by",
        "`python -m kukla.known_models`; edit the TOML, not this page.",
        "",
        "*Matryoshka* is the maker's claim, not a measurement: measure it on your own data.",
        "*Unit norm*: `all` = at every length, `full` = only whole vectors (renormalise every shorter one),",
        "`none` = never. `?` marks what no page confirmed.",
        "",
        "| model | dim | shorter lengths | Matryoshka | unit norm | pooling | layer norm | max tokens |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(model) for model in known_models()]
    for model in known_models():
        lines += ["", f"## {model.name}", "", *_details(model)]
    return "\n".join(lines) + "\n"


def _record(entry: dict[str, Any]) -> KnownModel:
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()
    }
    return KnownModel(**values)


def _names(model: KnownModel) -> tuple[str, ...]:
    return (model.name, model.model, *model.aliases, *(f"{model.provider}/{a}" for a in model.aliases))


def _row(model: KnownModel) -> str:
    shorter = ", ".join(str(d) for d in model.trained_dims if d < model.dim) or "-"
    if model.any_dim_from is not None:
        named = f" ({shorter})" if shorter != "-" else ""
        shorter = f"any from {model.any_dim_from}{named}"
    doubt = "?" if {"trained_dims", "any_dim_from"} & set(model.unconfirmed) else ""
    claims = ("yes" if model.matryoshka else "no") + ("?" if "matryoshka" in model.unconfirmed else "")
    cells = [
        f"[{model.name}](#{_anchor(model.name)})",
        str(model.dim),
        shorter + doubt,
        claims,
        model.normalised or "?",
        model.pooling or "?",
        "yes" if model.layer_norm else "no",
        str(model.max_tokens or "-"),
    ]
    return f"| {' | '.join(cells)} |"


def _anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading: lower case, no punctuation but hyphen and underscore."""
    return "".join(c for c in heading.lower().replace(" ", "-") if c.isalnum() or c in "-_")


def _details(model: KnownModel) -> list[str]:
    facts = {
        "Also called": ", ".join(f"`{alias}`" for alias in model.aliases),
        "Query prompt": _code(model.query_prompt),
        "Document prompt": _code(model.document_prompt),
        "Prompts": "added by the API or the model's own code: do not add them"
        if model.provider_adds_prompt
        else "",
        "Length parameter": _code(model.dimension_parameter),
        "Licence": model.licence,
        "Note": model.note,
        "Not confirmed": ", ".join(f"`{field}`" for field in model.unconfirmed),
    }
    lines = [f"- {title}: {text}" for title, text in facts.items() if text]
    return [*lines, "- Sources: " + ", ".join(f"<{url}>" for url in model.sources)]


def _code(text: str) -> str:
    escaped = text.replace("\n", "\\n")
    return f"`{escaped}`" if text else ""


if __name__ == "__main__":
    print(markdown(), end="")
