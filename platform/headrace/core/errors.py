"""Everything that Headrace says no to, as one tree.

HeadraceError
├── DeclarationError      what the user wrote is wrong: fix the YAML or SQL
├── DataError             what arrived is wrong: fix or repair the data
├── StoreError            a table, lock or disk is in the way: try again or mend it
└── Refused               a rule of the house said no: read the reason

A text says what is wrong with which value, where, and what to do.
"""


class HeadraceError(Exception):
    """Base of every error that a user may cause; its text is written for that user."""


class DeclarationError(HeadraceError):
    """The declaration (YAML, SQL, Python file) is wrong; `path` leads to the key that is."""

    def __init__(self, text: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.path = path


class DataError(HeadraceError):
    """The data are wrong."""


class StoreError(HeadraceError):
    """Storage is in the way."""


class Refused(HeadraceError):
    """A rule said no, and nothing was changed."""


class SqlError(DeclarationError):
    """SQL that does not parse, or names what does not exist."""


class UserCodeError(DeclarationError):
    """The user's own Python failed; the text names its file and line."""


class NotCarried(SqlError):
    """SQL that Spark would not understand as DuckDB does."""


class TypeUnknown(NotCarried):
    """SQL of which only the type of an operand, which nobody has declared, says whether Spark understands it."""


class NoRows(DataError):
    """Nothing to work on where at least one row is needed."""


class OneClassOnly(DataError):
    """A label with a single class: nothing can be learned or judged."""


class LeakFound(DataError):
    """A feature that knows the future."""


class FileRefused(DataError):
    """A landed file that cannot be read as declared."""


class DigestMismatch(StoreError):
    """Bytes that are not the bytes that were stored."""


class FenceLost(StoreError):
    """A later run has claimed what this one wanted to commit."""


class MlflowRefused(StoreError):
    """What MLflow was told is wrong in itself: telling it again does not help."""


class TableMissing(StoreError):
    """A table that nobody has written yet."""


class VersionRemoved(StoreError):
    """A version of a table whose rows are gone."""


class DiskFull(StoreError):
    """Nothing more can be written at a place."""
