"""What Retry-After says: seconds, a date, or, from bmcweb, the request's own URL (field guide 1.3). Pure."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after_s(value: str, *, date: str) -> float | None:
    """Seconds to wait, or None where the header holds nothing of use.

    Args:
        value: the header.
        date: the Date header of the same reply. A date is only a distance from the BMC's own now: its clock lies.
    """
    value = value.strip()
    if value.isascii() and value.isdecimal() and len(value) <= 9:  # noqa: PLR2004 (more digits are no wait)
        return float(value)
    until, now = _moment(value), _moment(date)
    return None if until is None or now is None else max(0.0, (until - now).total_seconds())


def _moment(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value.strip())
    except (TypeError, ValueError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
