"""The teacher: any model that sentence-transformers runs, asked once for each text, block by block."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kukla.errors import InputError, ReadError
from kukla.train.base import load_model

__all__ = ["load_teacher", "teacher_vectors"]

BLOCK = 4096


def load_teacher(name: str, *, max_tokens: int | None = None, bfloat16: bool = False) -> Any:
    """A ``SentenceTransformer``: a folder, a name on the hub, or ``all-MiniLM-L6-v2`` from its package.

    Raises
    ------
    ReadError
        It cannot be loaded.
    MissingExtraError
        Without sentence-transformers.
    """
    model = load_model(name, what="teacher")
    if bfloat16:
        model = model.bfloat16()
    if max_tokens is not None:
        most = model.max_seq_length
        model.max_seq_length = max_tokens if most is None else min(max_tokens, most)
    return model


def teacher_vectors(
    teacher: Any,
    texts: Sequence[str],
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cache: Path | None = None,
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """Encode ``texts``: float32 (n, d), L2-normalised; in bfloat16 where the teacher is.

    Parameters
    ----------
    teacher : SentenceTransformer
    texts : sequence of str
    progress : callable
        ``progress(done, total)`` after every block.
    cache : Path, optional
        A folder that keeps each block under a hash of its texts, so that a run that was killed goes on. One
        folder a teacher.

    Raises
    ------
    InputError
        The teacher gives NaN, infinity or only zeros.
    """
    parts = []
    # Texts of one length share a batch; blocks are of texts as they come, so that a cache can be found again.
    for start in range(0, len(texts), BLOCK):
        block = list(texts[start : start + BLOCK])
        path = None if cache is None else cache / f"{_digest(block)}.npy"
        if path is not None and path.is_file():
            part = _read(path)
        else:
            found = teacher.encode(
                block,
                batch_size=batch_size,
                show_progress_bar=False,
                convert_to_tensor=True,
                normalize_embeddings=False,
            )
            part = found.float().cpu().numpy().astype(np.float32)
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                scratch = path.with_suffix(".tmp.npy")
                np.save(scratch, part)
                scratch.replace(path)
        parts.append(part)
        progress(start + len(block), len(texts))
    vectors = np.concatenate(parts)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.any():
        raise InputError("teacher: it gives NaN, infinity or zeros; allowed: finite vectors")
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)


def _digest(texts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()[:24]


def _read(path: Path) -> NDArray[np.float32]:
    try:
        found: NDArray[np.float32] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ReadError(f"{path}: not a whole .npy file ({error}); delete it and start again") from None
    return found
