"""Quantisation in the forward pass, nothing in the backward: so that precision nests as dims do."""

from __future__ import annotations

from typing import Any

from kukla.precision import CODE_MAX, Precision
from kukla.train.extra import import_torch

torch = import_torch("training")

__all__ = ["straight_through"]

Tensor = Any


def straight_through(vectors: Tensor, precision: Precision | str) -> Tensor:
    """What ``kukla.quantize(vectors, precision).dequantize()`` gives, with the gradient of the identity.

    The straight-through estimator (Bengio et al. 2013, arXiv 1308.3432). int8 has one scale a row; binary is
    +-1/sqrt(dim), by the sign.

    Parameters
    ----------
    vectors : tensor of float (n, dim)
        Truncated and renormalised first.
    precision : Precision or str
    """
    kind = Precision.parse(precision)
    if kind is Precision.FLOAT32:
        return vectors
    found = vectors.detach()
    if kind is Precision.FLOAT16:
        codes = found.to(torch.float16).to(found.dtype)
    elif kind is Precision.BINARY:
        codes = torch.where(found > 0, 1.0, -1.0).to(found.dtype) / found.shape[1] ** 0.5
    else:
        scales = found.abs().amax(dim=1, keepdim=True) / CODE_MAX
        scales = torch.where(scales > 0, scales, torch.ones_like(scales))
        codes = (found / scales).round().clamp(-CODE_MAX, CODE_MAX) * scales
    return vectors + (codes - found)
