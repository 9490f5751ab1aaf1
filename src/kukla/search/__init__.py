"""Running a plan: stages over the segments of one view."""

from kukla.search.result import SearchResult, StageReport

__all__ = ["SearchResult", "StageReport"]
