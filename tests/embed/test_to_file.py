"""Texts to a file: whole or not there, the same bytes however often the run was cut off."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.embed.embedding_server import builtin

from kukla.document import Document
from kukla.embed import TruncatedEmbedder
from kukla.embed.journal import npy_header
from kukla.embed.to_file import embed_to_file
from kukla.embed.windows import windows
from kukla.errors import InputError, LockedError, SpaceError, WriteError
from kukla.readers import read_vectors

COUNT = 100
ROWS = 16  # a window


class Recorder:
    """An embedder that passes on to the built-in model, counts, and can break down at a text."""

    def __init__(self, *, dim: int = 64, breaks_at: str | None = None) -> None:
        self._inner = builtin(dim)
        self.space = self._inner.space
        self.breaks_at = breaks_at
        self.texts: list[str] = []

    def encode_documents(self, texts: Sequence[str], **options: Any) -> Any:
        if self.breaks_at in texts:
            raise KeyboardInterrupt
        self.texts += texts
        return self._inner.encode_documents(texts, **options)

    encode_queries = encode_documents


def documents(count: int = COUNT) -> Iterator[Document]:
    for i in range(count):
        yield Document(f"d{i}", f"text {i} " + "about dolls " * (i * 7 % 11))


def run(path: Path, embedder: Any = None, source: Any = None, **options: Any) -> Any:
    given = {"batch_size": 4, "window_rows": ROWS, **options}
    return embed_to_file(source or documents(), path, embedder or Recorder(), **given)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    return tmp_path / "a", tmp_path / "b"


class TestResult:
    @pytest.mark.parametrize("precision", ["float32", "float16"])
    def test_npy_with_ids_and_space_beside(self, tmp_path: Path, precision: str) -> None:
        path = tmp_path / "v.npy"
        written = run(path, precision=precision)
        assert (written.rows, written.embedded) == (COUNT, COUNT)
        found = np.load(path)
        expected = Recorder().encode_documents([d.text or "" for d in documents()])
        assert found.dtype == precision
        np.testing.assert_array_equal(found, expected.astype(precision))
        ids = [json.loads(line)["id"] for line in (tmp_path / "v.npy.ids.jsonl").read_text().splitlines()]
        assert ids == [f"d{i}" for i in range(COUNT)]
        assert json.loads((tmp_path / "v.npy.space.json").read_text()) == json.loads(
            json.dumps(Recorder().space.to_dict())
        )
        assert sorted(files(tmp_path)) == ["v.npy", "v.npy.ids.jsonl", "v.npy.space.json"]

    def test_the_npy_is_byte_for_byte_what_numpy_saves(self, tmp_path: Path) -> None:
        run(tmp_path / "v.npy")
        np.save(tmp_path / "w.npy", np.load(tmp_path / "v.npy"))
        assert (tmp_path / "v.npy").read_bytes() == (tmp_path / "w.npy").read_bytes()

    def test_a_header_has_one_length_for_any_number_of_rows(self) -> None:
        lengths = {len(npy_header(rows, 1536, np.dtype("<f4"))) for rows in (0, 1, 10**6, 2**62)}
        assert len(lengths) == 1

    @pytest.mark.parametrize("precision", ["float32", "float16"])
    def test_parquet_has_ids_texts_and_vectors(self, tmp_path: Path, precision: str) -> None:
        from pyarrow import parquet

        path = tmp_path / "v.parquet"
        run(path, precision=precision)
        file = read_vectors(path)
        assert file.shape == (COUNT, 64)
        assert file.dtype == precision
        assert list(file.ids()) == [f"d{i}" for i in range(COUNT)]
        table = parquet.read_table(path)
        assert table["text"].to_pylist() == [d.text for d in documents()]
        assert json.loads(table.schema.metadata[b"kukla.space"])["dim"] == 64
        assert sorted(files(tmp_path)) == ["v.parquet", "v.parquet.space.json"]

    def test_integer_ids_stay_integers(self, tmp_path: Path) -> None:
        run(tmp_path / "v.parquet", source=[Document(i, f"text {i}") for i in range(20)])
        assert list(read_vectors(tmp_path / "v.parquet").ids()) == list(range(20))

    def test_memory_is_a_window_not_the_source(self, tmp_path: Path) -> None:
        def peak(count: int, path: Path) -> int:
            tracemalloc.start()
            run(path, builtin(64), source=documents(count), batch_size=50, window_rows=50)
            found = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return found

        run(tmp_path / "warm.npy", builtin(64))
        small = peak(200, tmp_path / "small.npy")
        # 2,000 vectors more are 512 kB, their texts half of that.
        assert peak(2200, tmp_path / "large.npy") < small + 200_000


class TestGoingOn:
    @pytest.mark.parametrize("suffix", [".npy", ".parquet"])
    @pytest.mark.parametrize("at", [0, ROWS, 3 * ROWS + 5, COUNT - 1])
    def test_a_run_that_broke_off_goes_on_to_the_same_bytes(
        self, two: tuple[Path, Path], suffix: str, at: int
    ) -> None:
        straight, broken = two
        run(straight / f"v{suffix}")
        text = next(d.text for d in documents() if d.id == f"d{at}")
        with pytest.raises(KeyboardInterrupt):
            run(broken / f"v{suffix}", Recorder(breaks_at=text))
        assert not (broken / f"v{suffix}").exists()
        embedder = Recorder()
        written = run(broken / f"v{suffix}", embedder)
        assert written.embedded == len(embedder.texts) == COUNT - at // ROWS * ROWS
        assert written.rows == COUNT
        assert files(broken) == files(straight)

    @pytest.mark.parametrize(
        ("name", "tail"),
        [("vectors", b"\0" * 77), ("documents.jsonl", b'{"id": "d9'), ("journal.jsonl", b'{"rows": 9')],
    )
    def test_what_was_being_written_is_cut_off(self, two: tuple[Path, Path], name: str, tail: bytes) -> None:
        straight, broken = two
        run(straight / "v.npy")
        self._break(broken / "v.npy")
        with (broken / "v.npy.partial" / name).open("ab") as stream:
            stream.write(tail)
        assert run(broken / "v.npy").embedded == COUNT - 3 * ROWS
        assert files(broken) == files(straight)

    def test_a_window_counts_once_its_line_is_in_the_journal(self, two: tuple[Path, Path]) -> None:
        straight, broken = two
        run(straight / "v.npy")
        self._break(broken / "v.npy")
        journal = broken / "v.npy.partial" / "journal.jsonl"
        journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
        assert run(broken / "v.npy").embedded == COUNT - 2 * ROWS
        assert files(broken) == files(straight)

    @pytest.mark.parametrize("restart", [False, True])
    def test_another_source_is_refused_unless_one_begins_again(self, tmp_path: Path, restart: bool) -> None:
        path = tmp_path / "v.npy"
        self._break(path)
        other = [Document(d.id, "changed" if d.id == "d20" else d.text) for d in documents()]
        if restart:
            assert run(path, source=other, restart=True).embedded == COUNT
            return
        with pytest.raises(InputError, match=r"48 rows .* not the same up to there \(row 32 or before"):
            run(path, source=other)
        with pytest.raises(InputError, match=r"not the same up to there \(row 20"):
            run(path, source=documents(20))
        assert run(path).embedded == COUNT - 3 * ROWS  # nothing was lost by asking

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"batch_size": 8}, r"batch_size 4 \(now 8\)"),
            ({"window_rows": 8}, r"window 16 \(now 8\)"),
            ({"precision": "float16"}, r"precision float32 \(now float16\)"),
            ({"queries": True}, r"queries False \(now True\)"),
        ],
    )
    def test_other_settings_are_refused(self, tmp_path: Path, options: Any, message: str) -> None:
        self._break(tmp_path / "v.npy")
        with pytest.raises(InputError, match=message):
            run(tmp_path / "v.npy", **options)

    def test_another_model_is_refused(self, tmp_path: Path) -> None:
        self._break(tmp_path / "v.npy")
        with pytest.raises(SpaceError, match="continuing the run"):
            run(tmp_path / "v.npy", Recorder(dim=32))

    def test_two_at_once_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "v.npy"

        def meanwhile() -> Iterator[Document]:
            with pytest.raises(LockedError, match="another process"):
                run(path)
            yield from documents()

        assert run(path, source=meanwhile()).rows == COUNT

    @staticmethod
    def _break(path: Path) -> None:
        """Three windows are done."""
        text = next(d.text for d in documents() if d.id == f"d{3 * ROWS}")
        with pytest.raises(KeyboardInterrupt):
            run(path, Recorder(breaks_at=text))


class TestRefused:
    def test_a_file_that_exists(self, tmp_path: Path) -> None:
        path = tmp_path / "v.npy"
        run(path)
        with pytest.raises(InputError, match="--force replaces it"):
            run(path)
        run(path, source=documents(10), force=True)
        assert np.load(path).shape == (10, 64)

    def test_another_suffix(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"'.csv'; allowed: .npy, .parquet"):
            run(tmp_path / "v.csv")

    def test_no_such_folder(self, tmp_path: Path) -> None:
        with pytest.raises(WriteError, match="No such file or directory"):
            run(tmp_path / "absent" / "v.npy")

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ([], "no texts to embed"),
            ([Document("a", None)], "row 0 has no text"),
            ([Document("a", "b"), Document(None, "c")], "row 1: an id must be"),
            ([Document("a", "b"), Document(1, "c")], "row 1: ids must be all integers or all strings"),
            ([Document("a", "\ud800")], "row 0: the text holds a lone surrogate"),
            ([Document("a", "b", {}, np.ones(64))], "row 0 has a vector already"),
        ],
    )
    def test_what_cannot_be_embedded(self, tmp_path: Path, source: Any, message: str) -> None:
        with pytest.raises(InputError, match=message):
            run(tmp_path / "v.npy", source=iter(source))
        assert files(tmp_path) == {}  # not even a folder for what was begun


class TestParts:
    def test_windows_end_by_rows_or_characters(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("kukla.embed.windows.MOST_CHARACTERS", 10)
        source = [Document(i, "x" * length) for i, length in enumerate((1, 2, 3, 12, 5, 5, 1))]
        assert [[d.id for d in w.documents] for w in windows(source, 3)] == [[0, 1, 2], [3], [4, 5], [6]]

    def test_a_truncated_embedder_cuts_canaries_too(self) -> None:
        short = TruncatedEmbedder(builtin(), 64)
        assert short.space.trained_dims == (32, 64)
        assert short.space.check_canaries(short.encode_documents)
        with pytest.raises(InputError, match="truncate_dim must be an integer from 1 to 512"):
            TruncatedEmbedder(builtin(), 513)
