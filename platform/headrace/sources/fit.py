"""Files whose columns are those that the source has always had, by name, never by position."""

from collections import Counter
from collections.abc import Iterator, Sequence

from headrace.core.errors import FileRefused
from headrace.core.names import did_you_mean
from headrace.sources.declaration import Source
from headrace.sources.ingested import Ingested
from headrace.sources.read import DIGEST, FILE, MALFORMED, ROW, FileText, Landed, read_text


def read_fitting(files: Sequence[Landed], source: Source, columns: list[str], found: Ingested) -> list[FileText]:
    """Return the rows of the files that can be read, with the columns that files have had so far, or most have."""
    texts = list(_read(files, source, found))
    return list(_fitting(texts, columns or usual_columns(texts), found))


def usual_columns(texts: Sequence[FileText]) -> list[str]:
    """Return the columns that most files have, in the order of the first of them."""
    counts = Counter(frozenset(text.columns) for text in texts)
    most = counts.most_common(1)[0][0] if counts else frozenset()
    return next((text.columns for text in texts if set(text.columns) == most), [])


def _read(files: Sequence[Landed], source: Source, found: Ingested) -> Iterator[FileText]:
    for file in files:
        try:
            yield read_text(file, source)
        except FileRefused as error:
            found.refused[file.name] = str(error)


def _fitting(texts: list[FileText], expected: list[str], found: Ingested) -> Iterator[FileText]:
    for text in texts:
        missing = [c for c in expected if c not in text.columns]
        added = [c for c in text.columns if c not in expected]
        if missing:
            found.refused[text.name] = _lacks(text, missing, added)
        elif not text.rows.num_rows:
            found.notes.append(f"{text.name} has a header and no rows")
        else:
            if added:
                found.notes.append(f"{text.name} has columns that nobody knows: {', '.join(added)}; they are left out")
            found.files.append(text.name)
            yield FileText(text.name, text.digest, text.rows.select([*expected, FILE, DIGEST, ROW, MALFORMED]))


def _lacks(text: FileText, missing: list[str], added: list[str]) -> str:
    wanted = ", ".join(f"'{c}'" for c in missing)
    return (
        f"{text.name} lacks column{'s' if len(missing) > 1 else ''} {wanted}; it has {', '.join(text.columns)}."
        f"{did_you_mean(missing[0], added or text.columns)} Land it with the columns that the other files have."
    )
