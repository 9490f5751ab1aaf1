"""Calibrate: the cheapest plan that reaches a target, proven on queries that did not choose it."""
