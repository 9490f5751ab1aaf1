"""Real texts that every machine has: docstrings of the standard library, embedded by the built-in model."""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kukla import kernels, load_embedder

MODULES = """
argparse ast asyncio base64 bisect calendar cmath codecs collections configparser contextlib copy csv
dataclasses datetime decimal difflib dis email.message enum fileinput fnmatch fractions functools gzip
hashlib heapq hmac html.parser http.client imaplib inspect io ipaddress itertools json locale logging
mailbox math mimetypes multiprocessing.pool operator os pathlib pickle platform plistlib poplib pprint queue
random re sched secrets select shelve shlex shutil signal smtplib socket sqlite3 ssl statistics string
struct subprocess tarfile tempfile textwrap threading time timeit tokenize traceback types unittest
urllib.parse urllib.request uuid wave weakref xml.dom.minidom xmlrpc.client zipfile zlib
"""
DIM = 128


@dataclass(frozen=True)
class Docstrings:
    """First lines as queries, half to learn from and half untouched; what follows them as documents."""

    documents: np.ndarray
    known: np.ndarray
    untouched: np.ndarray
    pairs: np.ndarray
    untouched_answers: np.ndarray


@pytest.fixture(autouse=True)
def kernels_without_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the native build is missing, ask for NumPy: the warning about it is tested elsewhere."""
    if kernels.available() == ("numpy",):
        monkeypatch.setenv("KUKLA_KERNELS", "numpy")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny matrices are slower with two threads, and much slower on a busy machine."""
    import torch

    torch.set_num_threads(1)


def _docstrings() -> list[tuple[str, str]]:
    """First line and the rest, of functions and classes whose docstring has both."""
    found: dict[str, str] = {}
    for name in MODULES.split():
        module = importlib.import_module(name)
        for label, member in sorted(vars(module).items()):
            if label.startswith("_") or not callable(member):
                continue
            owned = [member, *vars(member).values()] if inspect.isclass(member) else [member]
            for one in owned:
                text = getattr(one, "__doc__", None)
                head, _, rest = text.strip().partition("\n") if isinstance(text, str) else ("", "", "")
                if len(head) > 20 and len(rest.split()) > 8:
                    found.setdefault(head, " ".join(rest.split()))
    return sorted(found.items())


@pytest.fixture(scope="session")
def docstrings() -> Docstrings:
    rows = _docstrings()
    embedder = load_embedder()
    documents = embedder.encode_documents([rest for _, rest in rows], dim=DIM)
    queries = embedder.encode_queries([head for head, _ in rows], dim=DIM)
    order = np.random.default_rng(0).permutation(len(rows))
    known, untouched = order[::2], order[1::2]
    pairs = np.stack([np.arange(len(known)), known], axis=1)
    return Docstrings(documents, queries[known], queries[untouched], pairs, untouched)


# Models to train: tiny, with random weights, made here.

WORDS = re.findall(
    r"\w+",
    "red green blue yellow black white small large round square wooden metal glass paper doll box table "
    "chair lamp book house tree river stone opens closes falls stands shines burns sings runs sleeps in "
    "on under near a the",
)
WIDTH = 32


def sentences(count: int, *, seed: int = 0) -> list[str]:
    """Different sentences of known words."""
    rng = np.random.default_rng(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found[" ".join(rng.choice(WORDS, 6))] = None
    return list(found)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """A fast word-level tokenizer of WORDS."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: place for place, word in enumerate(dict.fromkeys([*special, *WORDS]))}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=32,
    )


@pytest.fixture(scope="session")
def transformer_folder(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence transformer of two layers and 32 dims, with dropout, as a folder."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    bert, folder = tmp_path_factory.mktemp("bert"), tmp_path_factory.mktemp("models") / "tiny"
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=34,
    )
    BertModel(config).save_pretrained(bert)
    tokenizer.save_pretrained(bert)
    transformer = Transformer(str(bert))
    SentenceTransformer(modules=[transformer, Pooling(WIDTH)], device="cpu").save(str(folder))
    return folder


@pytest.fixture
def transformer(transformer_folder: Path) -> Any:
    """The tiny transformer, loaded, with a seed set."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.manual_seed(0)
    return SentenceTransformer(str(transformer_folder), device="cpu")


@pytest.fixture
def static_model(tokenizer: Any) -> Any:
    """Random token vectors of 32 dims."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    torch.manual_seed(0)
    return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=WIDTH)], device="cpu")
