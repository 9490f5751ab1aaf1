"""Projections: what makes prefixes good, fitted on vectors and carried by an index.

``fit_pca`` and ``fit_query_aware`` make orthonormal rotations, which change no full-dim score;
:mod:`kukla.projection.choose` picks one by measuring on held-out queries. A kind with another way of fitting
(a trained linear head, an adaptor) subclasses :class:`Projection` and needs nothing else.
"""

from __future__ import annotations

from kukla.projection.adaptor import Adaptor
from kukla.projection.base import Identity, Projection
from kukla.projection.fit_pca import fit_pca
from kukla.projection.fit_query_aware import fit_query_aware
from kukla.projection.matrix_file import load_projection, read_matrix, save_projection
from kukla.projection.moments import Moments
from kukla.projection.random import random_rotation
from kukla.projection.rotation import Linear, Rotation

__all__ = [
    "Adaptor",
    "Identity",
    "Linear",
    "Moments",
    "Projection",
    "Rotation",
    "fit_pca",
    "fit_query_aware",
    "load_projection",
    "random_rotation",
    "read_matrix",
    "save_projection",
]
