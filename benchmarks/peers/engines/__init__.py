"""One file a peer. `names` lists them; `load` imports one (its library only when it is used)."""

from __future__ import annotations

from importlib import import_module

from benchmarks.peers.engines.base import Engine

__all__ = ["NAMES", "load"]

NAMES = (
    "kukla_index",
    "numpy_exact",
    "faiss_flat",
    "faiss_ivfpq",
    "faiss_ivfrabitq",
    "faiss_hnsw",
    "hnswlib_prefix",
    "usearch_prefix",
    "svs_vamana",
    "scann_tree",
    "zvec_hnsw",
    "zvec_ivfrabitq",
    "turbovec_flat",
    "rabitqlib_ivf",
)


def load(name: str) -> Engine:
    """A new engine by its name."""
    if name not in NAMES:
        raise SystemExit(f"no engine {name!r}; there are: {', '.join(NAMES)}")
    engine: Engine = import_module(f"benchmarks.peers.engines.{name}").ENGINE()
    return engine
