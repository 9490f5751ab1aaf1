"""Learning projections by gradient descent: needs the extra ``train`` (torch); retrieval never imports it.

``pip install 'kukla[train]'``, or ``pip install torch==2.13.0`` for a build without CUDA where your index has
one. Importing this package does not import torch; calling one of its functions does.
"""

from __future__ import annotations

from kukla.train.adaptor import fit_adaptor
from kukla.train.linear_head import fit_linear_head
from kukla.train.schedule import halving_dims
from kukla.train.smec import fit_smec

__all__ = ["fit_adaptor", "fit_linear_head", "fit_smec", "halving_dims"]
