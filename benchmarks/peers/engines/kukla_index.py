"""Kukla, as a user has it: `Index.create`, `add`, `search(plan=...)`. To try more, add plans to `plans`.

The search `certify` is the exact one: `search(certify=True)`, whose answers are proven. A build may say
`lists`: `Index.partition` with so many, or with its own choice for 0.
The version that keys results ends in a checksum of the installed package's files, because the engine changes
more often than its number. Whole vectors in its segments are left out of its memory page by page: the header
of a segment says where they are (docs/format.md).
"""

from __future__ import annotations

import json
import struct
import zlib
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.engines.base import Engine, Floats, Ids, Params, Shape

__all__ = ["ENGINE", "KuklaIndex", "float_ranges", "plans"]

CERTIFY = "certify"
FIT_ROWS = 100_000
PROBES = (16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072)
NAME = "set.kukla"


def list_plans(full: int, lists: int, precisions: list[str]) -> list[str]:
    """Plans that look into more and more lists, then rescore whole vectors, at once or after int8."""
    probes = [count for count in PROBES if 5 * count <= 4 * lists]
    found = []
    for count in probes:
        found += [f"{full}:pq4/{count}@{keep} > {full}:float32" for keep in (20, 30, 50, 100, 200, 400)]
        if "int8" in precisions:
            found += [f"{full}:pq4/{count}@{keep} > {full}:int8@30 > {full}:float32" for keep in (200, 400)]
    return found


def plans(dims: tuple[int, ...]) -> list[str]:
    """Plans over a nesting, cheapest first: sign bits or int8 of each prefix, then int8, then float32."""
    full = dims[-1]
    scan = [
        f"{dim}:binary@{wide} > {full}:int8@{keep} > {full}:float32"
        for dim, wide, keep in product(dims, (100, 400, 1600), (20, 60))
        if dim * 8 >= full
    ]
    short = [f"{dim}:int8@{keep} > {full}:float32" for dim, keep in product(dims, (20, 60, 200))]
    return [*scan, *short, f"{full}:float32"]


class KuklaIndex(Engine):
    """Nested prefixes, three precisions, one stored copy."""

    title = "Kukla"
    packages = ("kukla",)
    modules = ("kukla", "kukla.projection")
    guide = "this repository"

    @classmethod
    def version(cls) -> str:
        import kukla

        folder = Path(kukla.__file__).parent
        crc = 0
        for path in sorted(folder.rglob("*")):
            if path.suffix in {".py", ".so", ".pyd"}:
                crc = zlib.crc32(path.read_bytes(), crc)
        return f"{super().version()}+{crc:08x}"

    @staticmethod
    def builds(shape: Shape) -> list[Params]:
        lists = round(4 * shape.rows**0.5)
        nested = [dim for dim in (64, 128, 256, 512, 1024) if dim < shape.dim] + [shape.dim]
        in_lists = {"nesting": [shape.dim], "precisions": ["float32"], "lists": lists}
        flat = {"nesting": nested, "precisions": ["binary", "int8", "float32"], "lists": 0}
        return [
            {**in_lists, "code_bytes": 128, "projection": "none"},
            {**flat, "projection": "none"},
            {**in_lists, "code_bytes": 96, "projection": "none"},
            {**in_lists, "precisions": ["int8", "float32"], "code_bytes": 128, "projection": "none"},
            {**in_lists, "code_bytes": 128, "projection": "pca"},
            {**in_lists, "lists": lists // 2, "code_bytes": 128, "projection": "none"},
            {**flat, "projection": "pca"},
        ]

    @classmethod
    def quick_builds(cls, shape: Shape) -> list[Params]:
        """Lists, and flat."""
        return cls.builds(shape)[:2]

    @staticmethod
    def searches(shape: Shape, build: Params) -> list[Params]:
        flat = [*plans(tuple(build["nesting"])), CERTIFY]
        chosen = list_plans(shape.dim, build["lists"], build["precisions"]) if build["lists"] else flat
        return [{"plan": plan} for plan in chosen]

    def build(self, base: Floats, folder: Path, build: Params, threads: int) -> None:
        from kukla import Index
        from kukla.projection import fit_pca

        projection = None
        if build["projection"] == "pca":
            projection = fit_pca(np.ascontiguousarray(base[:: max(1, len(base) // FIT_ROWS)]))
        with Index.create(
            folder / NAME,
            dim=base.shape[1],
            nesting=build["nesting"],
            precisions=build["precisions"],
            projection=projection,
        ) as index:
            index.add(base, ids=range(len(base)), batch_rows=len(base))
            if build["lists"]:
                index.partition(build["lists"], code_bytes=build["code_bytes"], threads=threads)

    def open(self, base: Floats, folder: Path, build: Params, threads: int) -> None:
        from kukla import Index, Plan

        self._folder = folder
        self._index = Index.open(folder / NAME, read_only=True)
        self._threads = threads
        self._parse = Plan.parse

    def configure(self, search: Params) -> None:
        self._certify = search["plan"] == CERTIFY
        self._plan = None if self._certify else self._parse(search["plan"])

    def one(self, query: Floats, k: int) -> Ids:
        found: Ids = self._index.search(query, k, plan=self._plan, certify=self._certify).ids[0]
        return found

    def batch(self, queries: Floats, k: int) -> Ids:
        found: Ids = self._index.search(
            queries, k, plan=self._plan, certify=self._certify, threads=self._threads
        ).ids
        return found

    def full_vector_ranges(self) -> list[tuple[Path, int, int]]:
        return float_ranges(self._folder / NAME)

    def bytes_read(self) -> float | None:
        if self._certify:
            return None  # it depends on the query how far a proof has to go
        return float(self._index.explain(self._plan, k=10).bytes_read)


def float_ranges(index: Path) -> list[tuple[Path, int, int]]:
    """Where the segments of an index keep whole float32 vectors: (file, first byte, bytes)."""
    ranges: list[tuple[Path, int, int]] = []
    for path in sorted((index / "segments").glob("*.seg")):
        floats = [section for section in _sections(path) if section["name"] == "float32"]
        ranges += [(path, section["offset"], section["bytes"]) for section in floats]
    return ranges


def _sections(path: Path) -> list[dict[str, Any]]:
    with path.open("rb") as file:
        length = struct.unpack_from("<I", file.read(24), 12)[0]
        sections: list[dict[str, Any]] = json.loads(file.read(length))["sections"]
        return sections


ENGINE = KuklaIndex
