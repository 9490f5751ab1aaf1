"""Calibrate: the cheapest plan that reaches a target, proven on queries that did not choose it.

``docs/calibrate.md`` says how, and what the promise is.
"""

from __future__ import annotations

from kukla.calibrate.choose import calibrate
from kukla.calibrate.result import Calibration, PlanTest
from kukla.calibrate.state import CalibrationState, StaleCalibrationWarning

__all__ = ["Calibration", "CalibrationState", "PlanTest", "StaleCalibrationWarning", "calibrate"]
