"""An embedding API on this machine, and a tiny model of sentence-transformers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.embed.embedding_server import EmbeddingServer, embedding_server


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, addresses and proxies of whoever runs the tests must not reach them."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "KUKLA_MODEL", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with embedding_server() as running:
        yield running


def save_tiny_bert(folder: Path, *, prompts: dict[str, str] | None = None, seed: int = 0) -> Path:
    """A SentenceTransformer of one layer and 32 dims, mean pooling, letters for tokens."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    bert = folder / "bert"
    bert.mkdir(parents=True)
    (bert / "vocab.txt").write_text("\n".join(vocabulary))
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(bert)
    BertTokenizerFast(vocab=str(bert / "vocab.txt")).save_pretrained(bert)
    model = SentenceTransformer(
        modules=[Transformer(str(bert)), Pooling(32, "mean")], prompts=prompts, device="cpu"
    )
    model.save(str(folder / "model"))
    return folder / "model"
