"""The static model: piece vectors and a mean. NumPy and SentencePiece are all it needs.

A text is cut into pieces, each piece has one int8 row and one float32 scale, and the text is the weighted
mean of its rows (the weights are folded into the scales). There is no attention and no word order, hence the
speed. The rows are trained so that every prefix is an embedding (Kusupati et al. 2022, arXiv:2205.13147).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from kukla import kernels
from kukla.checks import BLOCK_ROWS, check_count, check_dim
from kukla.errors import InputError, ReadError
from kukla.progress import Progress
from kukla.space import Space

__all__ = ["MODEL_FILES", "StaticEmbedder", "model_revision"]

MODEL_FILES = ("pieces.model", "vectors.npy", "scales.npy")
"""The files whose bytes decide the vectors; `model_revision` covers them in this order."""

_SEGMENT_CHARS = 1 << 14
_FLUSH_CHARS = 1 << 20
# Not text: SentencePiece refuses lone surrogates, and NUL would become a byte piece with an arbitrary vector.
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")


class StaticEmbedder:
    """Encode texts with a folder of piece vectors.

    Queries and documents are encoded alike. Any string has a vector: characters outside the vocabulary
    become the pieces of their UTF-8 bytes; NUL and lone surrogates count as spaces; a text without any piece
    (empty, blank, only control characters) gets a fixed vector, the direction of the mean of all pieces.
    Case and Unicode compatibility forms do not matter (NFKC with case folding).

    Parameters
    ----------
    processor : SentencePieceProcessor
        Cuts text into ids 0..V-1.
    vectors : int8 array, shape (V, D)
        Rows; kept, not copied.
    scales : float32 array, shape (V,)
        Finite; kept, not copied.
    space : Space
        With ``dim`` D.

    Raises
    ------
    InputError
        The four do not fit together.

    Example
    -------
    >>> from kukla.embed import load_embedder
    >>> load_embedder().encode_queries(["a doll inside a doll"], dim=64).shape
    (1, 64)
    """

    def __init__(
        self,
        processor: sentencepiece.SentencePieceProcessor,
        vectors: NDArray[np.int8],
        scales: NDArray[np.float32],
        space: Space,
    ) -> None:
        expected = (processor.get_piece_size(), space.dim)
        if vectors.dtype != np.int8 or vectors.shape != expected:
            raise InputError(f"vectors: received {vectors.dtype} {vectors.shape}; allowed: int8 {expected}")
        if scales.dtype != np.float32 or scales.shape != expected[:1]:
            raise InputError(
                f"scales: received {scales.dtype} {scales.shape}; allowed: float32 {expected[:1]}"
            )
        if not np.isfinite(scales).all():
            raise InputError("scales: received NaN or infinity; allowed: finite values")
        self._processor = processor
        self._vectors = vectors
        self._scales = scales
        self._space = space
        self._blank = _mean_row(vectors, scales)

    @classmethod
    def load(cls, path: str | Path) -> StaticEmbedder:
        """Load a model folder: ``pieces.model``, ``vectors.npy``, ``scales.npy``, ``space.json``.

        Raises
        ------
        ReadError
            A file is missing, truncated, of another type or shape, or not the one that ``space.json`` names
            by its revision; the message names the file.
        """
        folder = Path(path)
        for name in (*MODEL_FILES, "space.json"):
            if not (folder / name).is_file():
                raise ReadError(
                    f"model folder {folder}: no file {name}; needed: {', '.join(MODEL_FILES)}, space.json"
                )
        try:
            space = Space.from_dict(json.loads((folder / "space.json").read_bytes()))
        except (ValueError, InputError) as error:
            raise ReadError(f"{folder / 'space.json'}: {error}") from None
        processor = sentencepiece.SentencePieceProcessor()
        try:
            processor.LoadFromSerializedProto((folder / "pieces.model").read_bytes())
        except (RuntimeError, OSError) as error:
            raise ReadError(f"{folder / 'pieces.model'}: not a SentencePiece model ({error})") from None
        vectors, scales = _load_array(folder / "vectors.npy"), _load_array(folder / "scales.npy")
        try:
            embedder = cls(processor, vectors, scales, space)
        except InputError as error:
            raise ReadError(f"model folder {folder}: {error}") from None
        if (found := model_revision(folder)) != space.revision:
            raise ReadError(
                f"model folder {folder}: the bytes of {', '.join(MODEL_FILES)} have revision {found}, "
                f"space.json states {space.revision!r}; a file was changed or belongs to another model"
            )
        return embedder

    @property
    def space(self) -> Space:
        """The space that the vectors live in, with canaries."""
        return self._space

    def encode_documents(
        self,
        texts: Sequence[str],
        *,
        dim: int | None = None,
        batch_size: int = 1024,
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:
        """Encode texts, however long: every piece of a text counts, none is cut off.

        Parameters
        ----------
        texts : sequence of str
            n texts, in any script.
        dim : int, optional
            Prefix length, 1..D; the whole vector by default. Trained dims are in ``space.trained_dims``.
        batch_size : int
            Texts between two calls of ``progress``. Does not change the vectors beyond rounding.
        progress : callable, optional
            ``progress(done, total)`` after every batch.

        Returns
        -------
        float32 array, shape (n, dim)
            New; each row has L2 norm 1.

        Raises
        ------
        InputError
            A text is not a str (the message names its row), or ``dim`` or ``batch_size`` is out of range.
        """
        if isinstance(texts, str):
            raise InputError("texts: received one str; allowed: a sequence of texts, e.g. [text]")
        width = self._space.dim if dim is None else check_dim(dim, what="dim", most=self._space.dim)
        size = check_count(batch_size, what="batch_size")
        encoded = np.empty((len(texts), width), dtype=np.float32)
        for start in range(0, len(texts), size):
            batch = texts[start : start + size]
            for row, text in enumerate(batch, start):
                if not isinstance(text, str):
                    raise InputError(f"texts, row {row}: received {type(text).__name__}; allowed: str")
            encoded[start : start + len(batch)] = self._normalised(self._pooled(batch, width))
            if progress is not None:
                progress(start + len(batch), len(texts))
        return encoded

    def encode_queries(
        self,
        texts: Sequence[str],
        *,
        dim: int | None = None,
        batch_size: int = 1024,
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:
        """Encode queries: the same as :meth:`encode_documents`, this model has no prompts."""
        return self.encode_documents(texts, dim=dim, batch_size=batch_size, progress=progress)

    def _pooled(self, texts: Sequence[str], dim: int) -> NDArray[np.float32]:
        """Sums of scaled rows (n, dim); texts are tokenised about a million characters at a time."""
        pooled = np.zeros((len(texts), dim), dtype=np.float32)
        owners: list[int] = []
        segments: list[str] = []
        chars = 0
        for owner, text in enumerate(texts):
            for segment in _segments(text):
                owners.append(owner)
                segments.append(segment)
                chars += len(segment)
                if chars >= _FLUSH_CHARS:
                    self._add(pooled, owners, segments)
                    owners, segments, chars = [], [], 0
        self._add(pooled, owners, segments)
        return pooled

    def _add(self, pooled: NDArray[np.float32], owners: list[int], segments: list[str]) -> None:
        """Add the sum of each segment's rows to the row of its owner."""
        if not segments:
            return
        rows = self._processor.encode(segments, num_threads=1)
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        ids = np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=int(offsets[-1]))
        sums = kernels.pool_rows(self._vectors, self._scales, ids, offsets, pooled.shape[1])
        if len(set(owners)) == len(owners):
            pooled[owners] += sums
        else:  # several segments of one long text
            np.add.at(pooled, owners, sums)

    def _normalised(self, pooled: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows of norm 1; a row of zeros becomes the direction of the mean of all pieces."""
        zero = ~pooled.any(axis=1)
        pooled[zero] = self._blank[: pooled.shape[1]]
        # Scaled by the largest coordinate first: the squares of a tiny sum would vanish in float32.
        pooled /= np.abs(pooled).max(axis=1, keepdims=True)
        pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
        return pooled


def model_revision(folder: Path) -> str:
    """The first 16 hex digits of the SHA-256 of `MODEL_FILES`: a new training run is a new revision."""
    digest = hashlib.sha256()
    for name in MODEL_FILES:
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:16]


def _segments(text: str) -> Iterator[str]:
    """Cut a long text at whitespace into segments of at most 16,384 characters.

    No piece crosses whitespace, so this does not change the pieces (it keeps them right: the scores of a path
    are added up in float32). A longer run without whitespace is cut where it must be.
    """
    if _NOT_TEXT.search(text):
        text = _NOT_TEXT.sub(" ", text)
    start = 0
    while len(text) - start > _SEGMENT_CHARS:
        limit = start + _SEGMENT_CHARS
        cut = max(text.rfind(" ", start + 1, limit), text.rfind("\n", start + 1, limit))
        cut = limit if cut < 0 else cut
        yield text[start:cut]
        start = cut
    yield text[start:]


def _mean_row(vectors: NDArray[np.int8], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of all scaled rows, float32 (D,); its first coordinate is never 0: a prefix needs one."""
    total = np.zeros(vectors.shape[1])
    for start in range(0, len(vectors), BLOCK_ROWS):
        block = vectors[start : start + BLOCK_ROWS].astype(np.float32)
        total += np.einsum("t,td->d", scales[start : start + BLOCK_ROWS], block)
    row = (total / max(1, len(vectors))).astype(np.float32)
    if row[0] == 0:
        row[0] = 1
    return row


def _load_array(path: Path) -> NDArray[Any]:
    try:
        loaded: Any = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ReadError(f"{path}: not a whole .npy file ({error})") from None
    if not isinstance(loaded, np.ndarray):
        raise ReadError(f"{path}: received an archive; allowed: a .npy file")
    return loaded
