"""Counts, lists, hours and lengths as a person would say them. Pure, and knows nothing of runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["counted", "duration", "hour_list", "listed", "metres_words", "seconds_words", "verb"]

_MANY_NAMES = 6
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def hour_list(hours: Iterable[int]) -> str:
    """Such as `from 18 to 22 h and from 23 to 1 h`."""
    wanted = set(hours)
    if len(wanted) == 24:
        return "all day"
    starts = sorted(hour for hour in wanted if (hour - 1) % 24 not in wanted)
    spans = []
    for start in starts:
        end = start
        while end % 24 in wanted:
            end += 1
        spans.append(f"from {start} to {end % 24 or 24} h")
    return listed(spans)


def listed(names: Sequence[str]) -> str:
    """Such as `A, B and C`; long lists are cut."""
    if len(names) > _MANY_NAMES:
        names = [*names[: _MANY_NAMES - 1], f"{len(names) - _MANY_NAMES + 1} more"]
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else "".join(names)


def counted(count: int, noun: str, *, low: bool = False) -> str:
    """Such as `Three houses`; `low` for within a sentence."""
    number = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
    return f"{number if low else number.capitalize()} {noun}{'' if count == 1 else 's'}"


def verb(count: int, one: str, many: str) -> str:
    """The form of a verb that fits `count`."""
    return one if count == 1 else many


def seconds_words(seconds: float) -> str:
    """Such as `40 s` or `3 min`."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def duration(seconds: float) -> str:
    """Such as `40 minutes` or `9 hours`."""
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.0f} hours"


def metres_words(metres: float) -> str:
    """Such as `350 m` or `1.2 km`."""
    return f"{round(metres, -1):.0f} m" if metres < 1000 else f"{metres / 1000:.1f} km"
