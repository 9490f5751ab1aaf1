"""Is this model nested? Measured on its vectors, never assumed.

:func:`profile` compares prefixes with what they must beat - as many random coordinates, the suffix - and with
the other ways to be short: PCA, random projection, sign codes; and says a verdict with its evidence.
"""

from __future__ import annotations

from kukla.profile.figure import draw_profile
from kukla.profile.measure import profile
from kukla.profile.report import Profile, Row
from kukla.profile.statistics import Contrast, Interval
from kukla.profile.structure import Density, Structure
from kukla.profile.verdict import Evidence, Nested, Verdict

__all__ = [
    "Contrast",
    "Density",
    "Evidence",
    "Interval",
    "Nested",
    "Profile",
    "Row",
    "Structure",
    "Verdict",
    "draw_profile",
    "profile",
]
