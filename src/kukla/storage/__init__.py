"""The index on disk: a SQLite catalog and immutable, memory-mapped segment files.

``docs/format.md`` is the normative description.
"""
