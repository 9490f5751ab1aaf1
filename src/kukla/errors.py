"""The error tree.

::

    KuklaError
    ├── InputError (ValueError)          a bad argument, file or request
    │   ├── VectorError                  NaN, zero, wrong dim, wrong dtype
    │   ├── PlanError                    a plan that cannot be parsed or run
    │   ├── FilterError                  a metadata filter that cannot be parsed
    │   ├── ReadError                    a data file that cannot be read
    │   └── SpaceError                   vectors of two embedding spaces would meet
    ├── NotFoundError (KeyError)         an id that is not in the index
    ├── StorageError                     the index on disk
    │   ├── IndexMissingError            nothing there
    │   ├── IndexExistsError             something there already
    │   ├── ForeignFileError             a file that is not ours
    │   ├── NewerFormatError             written by a later version of Kukla
    │   ├── TruncatedFileError           shorter (or longer) than its header says
    │   ├── ChecksumError                the bytes changed
    │   ├── LockedError                  another writer holds the index
    │   └── WriteError                   disk full, no permission, read-only
    ├── ServiceError                     a service outside refused, answered wrongly, or not at all
    └── MissingExtraError (ImportError)  an optional dependency is not installed

Every message says what was wrong, where, what was received and what is allowed.
"""

from __future__ import annotations

__all__ = [
    "ChecksumError",
    "FilterError",
    "ForeignFileError",
    "IndexExistsError",
    "IndexMissingError",
    "InputError",
    "KuklaError",
    "LockedError",
    "MissingExtraError",
    "NewerFormatError",
    "NotFoundError",
    "PlanError",
    "ReadError",
    "ServiceError",
    "SpaceError",
    "StorageError",
    "TruncatedFileError",
    "VectorError",
    "WriteError",
]


class KuklaError(Exception):
    """Base class of every error that Kukla raises on purpose."""


class InputError(KuklaError, ValueError):
    """A bad argument, file or request."""


class VectorError(InputError):
    """Vectors that cannot be used: NaN, zero length, wrong dim or dtype."""


class PlanError(InputError):
    """A plan that cannot be parsed, or that the index cannot run."""


class FilterError(InputError):
    """A metadata filter that cannot be parsed."""


class ReadError(InputError):
    """A data file that cannot be read."""


class SpaceError(InputError):
    """Vectors of two embedding spaces would meet."""


class NotFoundError(KuklaError, KeyError):
    """An id that is not in the index."""

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return Exception.__str__(self)


class StorageError(KuklaError):
    """The index on disk cannot be used."""


class IndexMissingError(StorageError):
    """There is no index at this path."""


class IndexExistsError(StorageError):
    """There is something at this path already."""


class ForeignFileError(StorageError):
    """A file that Kukla did not write."""


class NewerFormatError(StorageError):
    """A file written by a later version of Kukla."""


class TruncatedFileError(StorageError):
    """A file whose size is not the one its header states."""


class ChecksumError(StorageError):
    """A file whose bytes are not the ones that were written."""


class LockedError(StorageError):
    """Another writer holds the index."""


class WriteError(StorageError):
    """The index could not be written: disk full, no permission, read-only."""


class ServiceError(KuklaError):
    """A service outside (an embedding API) refused, answered wrongly, or did not answer."""


class MissingExtraError(KuklaError, ImportError):
    """An optional dependency is not installed.

    Parameters
    ----------
    what : str
        What was asked for, in the user's words.
    extra : str
        The extra that brings it: ``pip install 'kukla[extra]'``.
    """

    def __init__(self, what: str, extra: str) -> None:
        self.what, self.extra = what, extra
        super().__init__(f"{what} needs an optional dependency: pip install 'kukla[{extra}]'")

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        # Pickling would pass the message as the only argument; process pools pickle errors.
        return type(self), (self.what, self.extra)
