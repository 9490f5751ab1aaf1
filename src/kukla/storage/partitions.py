"""The partition of an index on disk: a file of centroids and codebooks, and one of lists beside each segment.

The catalog says which partition is in use, by number; numbers are never used twice. Lists are derived from
the segments: where a file of lists is missing (a version without partitions wrote the segment, or it is
small) or has no means of blocks (the version before this one wrote it), the segment is scanned. A partition
that an earlier version wrote, without a codebook of means, is not used: the index opens, and searches without
lists.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from sqlite3 import Connection

from kukla.errors import ForeignFileError
from kukla.partition.lists import LEAST_ROWS, SegmentLists, lists_path, without_means, write_lists
from kukla.partition.model import Partition
from kukla.storage.catalog import put_setting
from kukla.storage.container import Section, open_container, verify_container, write_container
from kukla.storage.segment import Segment

__all__ = ["Partitions"]

SETTING = "partition"


class _Stored:
    """One partition and the lists made by it, as they are opened."""

    def __init__(self, number: int, path: Path, model: Partition, identity: str) -> None:
        self.number, self.path, self.model, self.identity = number, path, model, identity

    def lists_path(self, segment: Segment) -> Path:
        """Where a segment's lists are, if it has any."""
        return lists_path(segment.path, self.number)

    def lists(self, segment: Segment) -> SegmentLists | None:
        """A segment's lists."""
        if self.number not in segment.lists:
            path = self.lists_path(segment)
            there = path.is_file() and not without_means(path)
            found = SegmentLists(path, self.model, segment.rows) if there else None
            if found is not None:
                self._check_origin(found, segment)
            segment.lists[self.number] = found
        known: SegmentLists | None = segment.lists[self.number]
        return known

    def write_lists(self, segment: Segment, *, threads: int = 1) -> None:
        """Make a segment's lists, unless it is small."""
        if segment.rows >= LEAST_ROWS:
            path = self.lists_path(segment)
            path.unlink(missing_ok=True)  # of a change that failed
            write_lists(
                path,
                self.model,
                segment.vectors,
                cosine=segment.layout.cosine,
                origin=self._origin(segment),
                threads=threads,
            )

    def _origin(self, segment: Segment) -> dict[str, str]:
        return {"segment": segment.identity, "partition": self.identity}

    def _check_origin(self, lists: SegmentLists, segment: Segment) -> None:
        """Lists of another segment or partition may have the shape of ours: they say what made them."""
        for what, expected, path in (
            ("segment", segment.identity, segment.path),
            ("partition", self.identity, self.path),
        ):
            found = lists.origin.get(what, expected)  # the first lists did not say
            if found != expected:
                raise ForeignFileError(
                    f"{lists.path} holds the lists of another {what}, with the checksum {found}; that of "
                    f"{path} is {expected}. Remove the file, and partition the index again"
                )


class Partitions:
    """Reads and writes the partitions of one index.

    Parameters
    ----------
    folder : Path
        The index's.
    dim : int
        The full dim of its vectors.
    """

    def __init__(self, folder: Path, dim: int) -> None:
        self._folder, self._dim = folder, dim
        self._known: _Stored | None = None
        self._earlier: int | None = None

    def of(self, connection: Connection) -> _Stored | None:
        """The partition in use, as a connection sees it; ``None`` also where it is of an earlier version.

        Raises
        ------
        TruncatedFileError, ChecksumError, ForeignFileError
            Its file, every byte of which is checked.
        """
        number, in_use = _setting(connection)
        if not in_use or number == self._earlier:
            return None
        known = self._known
        if known is None or known.number != number:
            path = self._path(number)
            header, arrays = open_container(path)
            if "mean_order" not in arrays and ("order" in arrays or "short_order" in arrays):
                self._earlier = number
                return None
            verify_container(path)
            model = Partition.from_arrays(arrays, dim=self._dim, source=str(path))
            known = self._known = _Stored(number, path, model, header["identity"])
        return known

    def is_of_earlier_version(self, connection: Connection) -> bool:
        """Whether the catalog names a partition that only an earlier version can use."""
        return _setting(connection)[1] and self.of(connection) is None

    @property
    def path(self) -> Path | None:
        """The file of the partition that was opened last."""
        return None if self._known is None else self._known.path

    def replace(self, connection: Connection, made: Partition | None) -> _Stored | None:
        """Write the file of a partition and put it into use; ``None``: use none."""
        number = _setting(connection)[0] + 1
        put_setting(connection, SETTING, {"number": number, "in_use": made is not None})
        if made is None:
            return None
        path = self._path(number)
        path.unlink(missing_ok=True)
        sections = [
            Section(name, array.dtype.str, array.shape, lambda array=array: (array,))  # type: ignore[misc]
            for name, array in made.arrays().items()
        ]
        write_container(path, sections, {})
        return _Stored(number, path, made, open_container(path)[0]["identity"])

    def files(self, connection: Connection, segments: Iterable[Path]) -> set[Path]:
        """Files that the partition in use may have, given those of the segments."""
        number, in_use = _setting(connection)
        if not in_use:
            return set()
        return {self._path(number), *(lists_path(path, number) for path in segments)}

    def all_files(self) -> list[Path]:
        """Files of partitions in the index's folder, whether in use or not."""
        return [*self._folder.glob("partition.*.seg"), *self._folder.glob("partition.*.tmp")]

    def _path(self, number: int) -> Path:
        return self._folder / f"partition.{number}.seg"


def _setting(connection: Connection) -> tuple[int, bool]:
    """The number of the last partition, and whether it is in use."""
    found = connection.execute("SELECT value FROM settings WHERE name = ?", (SETTING,)).fetchone()
    if found is None:
        return 0, False
    value = json.loads(found[0])
    match value:
        case {"number": int(number), "in_use": bool(in_use)}:
            return number, in_use
    raise ForeignFileError(f"the setting {SETTING!r} of the catalog names no partition: {value!r}")
