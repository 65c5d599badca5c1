"""Time zones: IANA names and fixed offsets, and local times that never fail.

Only times in UTC are stored, with the offset of the speaker's clock. So a local time is always made
from UTC, and neither a gap nor a repeated hour of daylight saving time leaves a choice.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from onionskin.memory.errors import InvalidInputError

_FIXED = re.compile(r"(?:UTC|GMT)?([+-])(\d\d):?([0-5]\d)?", re.IGNORECASE)
_EAST, _WEST = timedelta(hours=14), timedelta(hours=-12)
_DAY_SECONDS, _EPOCH = 86_400, date(1970, 1, 1).toordinal()
_FIRST, _LAST = -62_135_596_800, 253_402_300_799
"""Unix seconds at the begin of year 1 and at the end of year 9999."""
EARLIEST, LATEST = _FIRST + _DAY_SECONDS, _LAST - _DAY_SECONDS
"""Unix seconds of the earliest and the latest time that is accepted: in any zone, its year is from
1 to 9999."""
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class InvalidTimeZoneError(InvalidInputError):
    """A text is not the name of a time zone."""


@dataclass(frozen=True, slots=True)
class TimeZone:
    """A time zone, or the absence of one: times are then shown in UTC.

    Attributes:
        name: An IANA name, `UTC`, or an offset such as `+05:45`; empty if unknown.
    """

    name: str = ""

    @staticmethod
    def parse(text: str) -> "TimeZone":
        """The zone of a name such as `Europe/Berlin`, or of an offset such as `+05:45`.

        Raises:
            InvalidTimeZoneError: There is no such zone; the message has examples.
        """
        return TimeZone(_canonical_name(text))

    @staticmethod
    def stored(text: str) -> "TimeZone":
        """The zone of a stored name; an unknown one if this machine's database lacks it."""
        try:
            return TimeZone(_canonical_name(text)) if text else UNKNOWN_ZONE
        except InvalidTimeZoneError:
            return UNKNOWN_ZONE

    def __bool__(self) -> bool:
        return bool(self.name)

    def offset_at(self, at: float) -> int | None:
        """The offset from UTC at a Unix time, in seconds; None if the zone is unknown."""
        if not self.name:
            return None
        try:
            offset = datetime.fromtimestamp(at, UTC).astimezone(_zone(self.name)).utcoffset()
        except (ValueError, OverflowError, OSError):  # near year 1 and year 9999
            return 0
        return round(offset.total_seconds()) if offset is not None else 0


UNKNOWN_ZONE = TimeZone()


@dataclass(frozen=True, slots=True)
class ZoneChoice:
    """The zones that a request names, around the stored one of the user.

    Attributes:
        requested: The zone of this request; comes before the stored one.
        claimed: The zone in the user's token; comes after the stored one.
    """

    requested: TimeZone = UNKNOWN_ZONE
    claimed: TimeZone = UNKNOWN_ZONE

    def zone(self, stored: str, default: TimeZone) -> TimeZone:
        """The first that is known: requested, stored, claimed, default."""
        return self.requested or TimeZone.stored(stored) or self.claimed or default


NO_ZONES = ZoneChoice()


def local_time(at: float, offset: int | None) -> datetime:
    """The local time of a Unix time, without a zone; the nearest valid one if out of range.

    Args:
        at: Unix seconds.
        offset: Seconds from UTC; None for UTC.
    """
    seconds = min(max(at + (offset or 0), _FIRST), _LAST)
    return datetime(1970, 1, 1) + timedelta(seconds=seconds)  # noqa: DTZ001 - local time


def local_day(at: float, offset: int | None = None) -> date:
    """The day of a Unix time at an offset from UTC; the nearest valid one if out of range."""
    try:
        return date.fromordinal(int((at + (offset or 0)) // _DAY_SECONDS) + _EPOCH)
    except (ValueError, OverflowError):
        return date.min if at < 0 else date.max


def aware_time(at: float, offset: int | None) -> datetime:
    """The time at its offset, for ISO 8601; in UTC if the offset is unknown or out of range."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=min(max(at, _FIRST), _LAST))
    if not offset or abs(offset) >= _DAY_SECONDS:
        return moment
    try:
        return moment.astimezone(timezone(timedelta(seconds=offset)))
    except OverflowError:
        return moment


def weekday_of(day: date) -> str:
    """The English name of a day's weekday, in any locale."""
    return _WEEKDAYS[day.weekday()]


def offset_text(offset: int) -> str:
    """An offset in seconds as `+09:00`."""
    hours, minutes = divmod(abs(offset) // 60, 60)
    return f"{'-' if offset < 0 else '+'}{hours:02d}:{minutes:02d}"


def check_time(at: float) -> float:
    """The same Unix time.

    Raises:
        ValueError: It is not from 0001-01-02 to 9999-12-30 (UTC), or not a number.
    """
    if not EARLIEST <= at <= LATEST:
        raise ValueError("a time must be from 0001-01-02 to 9999-12-30 in UTC")
    return at


def parse_time(text: str) -> tuple[float, int | None]:
    """The Unix time of an ISO 8601 text, and the offset that it states.

    `Z` and a time without a zone are UTC, and state no offset of a clock (RFC 9557, 2.2).

    Raises:
        ValueError: The text is not a time, or the time is out of range.
    """
    moment = datetime.fromisoformat(text)
    offset = moment.utcoffset()
    at = check_time((moment if offset is not None else moment.replace(tzinfo=UTC)).timestamp())
    if offset is None or text.strip().endswith(("z", "Z", "-00:00")):
        return at, None
    return at, round(offset.total_seconds())


@lru_cache(1024)
def _canonical_name(text: str) -> str:
    name = text.strip()
    fixed = _FIXED.fullmatch(name)
    if fixed:
        sign, hours, minutes = fixed.groups(default="00")
        size = timedelta(hours=int(hours), minutes=int(minutes))
        offset = -size if sign == "-" else size
        if _WEST <= offset <= _EAST:
            return offset_text(int(offset.total_seconds()))
    elif known := _names().get(name.casefold()):
        return known
    raise InvalidTimeZoneError(
        f"{text[:64]!r} is not a time zone. Use a name of the IANA database such as "
        "'Europe/Berlin', or an offset from '-12:00' to '+14:00' such as '+05:45'."
    )


@lru_cache(1)
def _names() -> dict[str, str]:
    """The canonical spelling of each name of the database."""
    names = available_timezones() - {"Factory", "localtime"}
    return {name.casefold(): name for name in names} | {"z": "UTC", "utc": "UTC"}


@lru_cache(1024)
def _zone(name: str) -> tzinfo:
    fixed = _FIXED.fullmatch(name)
    if fixed is None:
        return ZoneInfo(name)
    sign, hours, minutes = fixed.groups(default="00")
    size = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-size if sign == "-" else size)
