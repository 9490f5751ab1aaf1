"""A profile of ten million vectors: `python -m benchmarks.profile_size DATA [--count 10000000] [--dims 64]`.

Writes a temporary float16 npy of real vectors (the built-in model's, of Wikipedia passages, cut to `--dims`),
repeated as often as it takes, each copy moved by a little noise so that none is exact. Then `kukla profile`
runs in a process of its own: time and peak memory are those of that process, the profile's figures are of the
repeated vectors and mean nothing by themselves. With `--index` the same for an index of a tenth of them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.data import passages
from kukla import Index, load_embedder, truncate
from kukla.cost import format_bytes

SOURCES = 50_000
NOISE = 0.05  # of the length of a vector
BATCH = 200_000


def main() -> None:
    """Write, profile, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the data folder, with wikipedia/ in it")
    parser.add_argument("--count", type=int, default=10_000_000)
    parser.add_argument("--dims", type=int, default=64)
    parser.add_argument("--index", action="store_true", help="an index of a tenth of them, too")
    arguments = parser.parse_args()
    texts = [text for _, text in passages(arguments.data, SOURCES)]
    rows = truncate(load_embedder().encode_documents(texts), arguments.dims)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "many.npy"
        _write(path, rows, arguments.count)
        _profile(path, path.stat().st_size, arguments.count)
        if arguments.index:
            index = Path(folder) / "tenth.kukla"
            with Index.create(index, dim=arguments.dims) as made:
                mapped = np.load(path, mmap_mode="r")
                made.add(mapped[i : i + BATCH] for i in range(0, arguments.count // 10, BATCH))
                size = made.info().vector_bytes
            _profile(index, size, arguments.count // 10)


def _write(path: Path, rows: np.ndarray, count: int) -> None:
    rng = np.random.default_rng(0)
    many = np.lib.format.open_memmap(path, "w+", np.float16, (count, rows.shape[1]))
    for start in range(0, count, BATCH):
        source = rows[np.arange(start, min(start + BATCH, count)) % len(rows)]
        noise = rng.standard_normal(source.shape, dtype=np.float32) * (NOISE / rows.shape[1] ** 0.5)
        many[start : start + BATCH] = source + noise
    many.flush()


def _profile(path: Path, size: int, count: int) -> None:
    # A process that only starts the other: its peak is not this one's, which a child would begin with.
    script = (
        "import json, resource, subprocess, sys\n"
        "out = subprocess.run(sys.argv[1:], capture_output=True, text=True, check=True).stdout\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([used.ru_maxrss, used.ru_utime + used.ru_stime, json.loads(out)]))"
    )
    command = [sys.executable, "-c", script, sys.executable, "-m", "kukla", "profile", str(path), "--json"]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, cpu, found = json.loads(done.stdout)
    unit = 1 if sys.platform == "darwin" else 1024
    print(
        f"{path.name}: {count:,} vectors, {format_bytes(size)}: {time.perf_counter() - started:.0f} s, "
        f"{cpu:.0f} s of CPU, peak {format_bytes(peak * unit)}; {found['verdict']}; {found['notes'][0]}"
    )


if __name__ == "__main__":
    main()
