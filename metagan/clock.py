"""Times of day, for logs; durations are measured with `time.monotonic`."""

from datetime import UTC, datetime


def utc_now() -> str:
    """The time of day, ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
