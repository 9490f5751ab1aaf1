"""A random rotation: the control that every fit must beat."""

from __future__ import annotations

import numpy as np

from kukla.checks import check_count, check_dim
from kukla.projection.rotation import Rotation

__all__ = ["random_rotation"]


def random_rotation(dim: int, *, seed: int = 0) -> Rotation:
    """A rotation drawn uniformly (Haar), whose prefixes are Johnson-Lindenstrauss projections.

    The QR decomposition of a Gaussian matrix with the signs of R's diagonal moved into Q (Mezzadri 2007,
    arXiv math-ph/0609050): without that the distribution is not uniform. Its prefixes are renormalised, like
    those of vectors as models make them: no direction explains more than another.

    Parameters
    ----------
    dim : int
    seed : int
        The same on every machine, to rounding.
    """
    width = check_dim(dim, what="the dim of a rotation")
    rng = np.random.default_rng(check_count(seed, what="seed", least=0))
    q, r = np.linalg.qr(rng.standard_normal((width, width)))
    signed = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    about = {"fit": "random", "seed": seed}
    return Rotation(signed.astype(np.float32), renormalises_prefixes=True, about=about)
