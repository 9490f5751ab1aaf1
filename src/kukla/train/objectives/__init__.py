"""What a nested model is trained for, as functions of embeddings: of texts, images or any features.

A *core* turns embeddings and labels into one number; :class:`Nested` takes it at every dim, as Kusupati et
al. (2022, arXiv 2205.13147) do. Importing this package imports torch: ``pip install 'kukla[train]'``.
"""

from __future__ import annotations

from kukla.train.objectives.classify import Classification, NestedHeads
from kukla.train.objectives.cores import CoSent, CosineRegression, InBatch, Triplet
from kukla.train.objectives.distil import DIVERGENCES, Divergence
from kukla.train.objectives.nested import Core, Nested, nested_weights
from kukla.train.objectives.quantised import straight_through

__all__ = [
    "DIVERGENCES",
    "Classification",
    "CoSent",
    "Core",
    "CosineRegression",
    "Divergence",
    "InBatch",
    "Nested",
    "NestedHeads",
    "Triplet",
    "nested_weights",
    "straight_through",
]
