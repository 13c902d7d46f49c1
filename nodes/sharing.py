"""When this device works for others: its owner's rules, and whether they let it now, with the reason in plain words.

Pure: what the device senses, the weekday and the hour come in. Knows no sensor, no node and no radio. Own questions are
never its business: those are answered always.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import floor

from protocol.errors import LocalError

__all__ = ["ALWAYS", "IDLE_S", "WEEKDAYS", "Hours", "SharingRules", "Situation", "Span", "Verdict", "always", "verdict"]

IDLE_S = 180.0
"""Without its owner's use for so long a device is idle, as BOINC counts it by default (3 minutes)."""
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""As hours name them; Monday is 0."""

_RECOVERY_PERCENT = 5.0
"""A battery that fell to its floor must rise so far above it: else a device would stop and start all evening."""
_WEEK_H = 7 * 24.0
_WEEK_MIN = 7 * 24 * 60
_HOURS_CHARS_MAX = 400
_DAY_WORDS = "|".join(WEEKDAYS)
_SPAN = re.compile(
    rf"(?:(?P<first>{_DAY_WORDS})(?:\s*-\s*(?P<last>{_DAY_WORDS}))?)?"
    r"(?:(?:^|\s+)(?P<from_h>\d{1,2})(?::(?P<from_min>\d\d))?\s*-\s*(?P<to_h>\d{1,2})(?::(?P<to_min>\d\d))?)?"
)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the day that comes on some days of the week."""

    days: frozenset[int]
    """Weekdays on which it begins; Monday is 0."""
    from_h: float
    """Hour of the day, 0 to below 24."""
    length_h: float
    """Above 0, at most 24: past midnight it goes on into the next day."""


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of the week; all of them when there is no span."""

    spans: tuple[Span, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Hours:
        """Read hours such as `18-23`, `mon-fri 18-23, sat 8-12:30`, `22-6` (over midnight) or `sun`; empty for always.

        Each part between commas stands for itself; hours over midnight belong to the day on which they begin. Raises
        LocalError when `text` is none of these.
        """
        parts = [part.strip().lower() for part in text[:_HOURS_CHARS_MAX].split(",")]
        if len(text) > _HOURS_CHARS_MAX:
            raise _unreadable(f"{text[:20]}…")
        return cls(tuple(_span(part) for part in parts)) if text.strip() else cls()

    def holds(self, weekday: int, hour: float) -> bool:
        """Whether that moment is one of these hours. `hour` is 0 to 24."""
        at_min = _minute(weekday, hour)
        return not self.spans or any(begin <= at_min < end for begin, end in self._stretches())

    def change_s(self, weekday: int, hour: float) -> float | None:
        """Seconds until these hours begin, or until they end; None when they never do."""
        at_min = _minute(weekday, hour)
        holds = self.holds(weekday, hour)
        for border in sorted({border for stretch in self._stretches() for border in stretch if border > at_min}):
            day, rest = divmod(border % _WEEK_MIN, 24 * 60)
            if self.holds(int(day), rest / 60) is not holds:
                return (border - at_min) * 60
        return None

    def _stretches(self) -> list[tuple[float, float]]:
        """Begins and ends in minutes since Monday 0 h, from the week before to the week after."""
        return [
            (begin, begin + 60 * span.length_h)
            for span in self.spans
            for day in span.days
            for week in (-1, 0, 1)
            for begin in [week * _WEEK_MIN + day * 24 * 60 + 60 * span.from_h]
        ]


@dataclass(frozen=True, slots=True)
class SharingRules:
    """What a device's owner decided; every rule has to agree."""

    hours: Hours = Hours()
    """It works for others only then."""
    idle_s: float = 0.0
    """Only after so long without its owner's use, such as `IDLE_S`; 0 for also meanwhile."""
    mains_only: bool = False
    """Only with mains."""
    battery_above_percent: float = 30.0
    """On battery, only with more than that in it."""
    surplus_above_w: float = 0.0
    """Only while the sun gives so much more than is used here; 0 for also without."""

    def __post_init__(self) -> None:
        """Raises LocalError on values that can't be meant."""
        if not 0 <= self.battery_above_percent < 100:
            raise LocalError(
                f"a battery floor of {self.battery_above_percent:g} % is impossible",
                "it is a part of a full battery",
                "use 0 to 99",
            )
        if self.idle_s < 0 or self.surplus_above_w < 0:
            raise LocalError("an idle time or solar surplus below 0 is impossible", "", "use 0 to leave it out")


ALWAYS = SharingRules(battery_above_percent=0.0)
"""The rules of a device that works for others whenever it has power."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What is so at a device now; None for what nothing tells."""

    paused: bool = False
    """Whether its owner paused it."""
    paused_for_s: float | None = None
    """Until the pause ends by itself; None when it does not."""
    own_work: bool = False
    """Whether it is busy for its owner."""
    unused_s: float | None = None
    """Since its owner last used it; None where nobody sits at it."""
    mains: bool = True
    battery_percent: float | None = None
    """Of a full battery; None where there is none."""
    surplus_w: float | None = None
    """What the sun gives more than is used here."""
    was_sharing: bool = True
    """Whether it worked for others until now."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a device works for others now."""

    shares: bool
    why: str
    """In plain words, to follow `because`."""
    until_s: float | None = None
    """Seconds until this may change, as far as is known; None for unknown."""


def verdict(rules: SharingRules, situation: Situation, *, weekday: int, hour: float) -> Verdict:
    """Judge `rules` in `situation` at that local weekday (Monday is 0) and hour of the day (0 to 24).

    Where several rules say no, the first is told, and the time at which the last of those that know theirs may say yes.
    """
    reasons = [
        reason
        for reason in (
            _pause(situation),
            _own_work(situation),
            _hours(rules, weekday, hour),
            _power(rules, situation),
            _surplus(rules, situation),
            _use(rules, situation),
        )
        if reason is not None
    ]
    if reasons:
        known_s = [reason.until_s for reason in reasons if reason.until_s is not None]
        return Verdict(False, reasons[0].why, max(known_s, default=None))
    return Verdict(True, "all its owner's rules allow it", rules.hours.change_s(weekday, hour))


def always() -> Verdict:
    """The verdict on a device without rules."""
    return Verdict(True, "nothing limits it")


def _pause(situation: Situation) -> Verdict | None:
    return Verdict(False, "its owner paused it", situation.paused_for_s) if situation.paused else None


def _own_work(situation: Situation) -> Verdict | None:
    return Verdict(False, "it works for its owner") if situation.own_work else None


def _hours(rules: SharingRules, weekday: int, hour: float) -> Verdict | None:
    if rules.hours.holds(weekday, hour):
        return None
    return Verdict(False, "it is outside the hours that its owner set", rules.hours.change_s(weekday, hour))


def _power(rules: SharingRules, situation: Situation) -> Verdict | None:
    if situation.mains:
        return None
    if rules.mains_only:
        return Verdict(False, "it runs on battery")
    if situation.battery_percent is None:
        return Verdict(False, "nothing tells how full its battery is") if rules.battery_above_percent else None
    floor_percent = rules.battery_above_percent
    wanted_percent = floor_percent if situation.was_sharing else min(floor_percent + _RECOVERY_PERCENT, 100.0)
    is_full_enough = situation.battery_percent >= 100 or situation.battery_percent > wanted_percent
    if is_full_enough or not floor_percent:
        return None
    words = (
        f"its battery is at {floor(situation.battery_percent)} %, and it works for others above {wanted_percent:g} %"
    )
    return Verdict(False, words)


def _surplus(rules: SharingRules, situation: Situation) -> Verdict | None:
    if not rules.surplus_above_w:
        return None
    if situation.surplus_w is None:
        return Verdict(False, "nothing tells how much the sun gives")
    if situation.surplus_w > rules.surplus_above_w:
        return None
    return Verdict(False, f"the sun gives {max(0.0, situation.surplus_w):.0f} W more than is used here, too little")


def _use(rules: SharingRules, situation: Situation) -> Verdict | None:
    if situation.unused_s is None or situation.unused_s >= rules.idle_s:
        return None
    return Verdict(False, "its owner is using it", rules.idle_s - situation.unused_s)


def _span(part: str) -> Span:
    match = _SPAN.fullmatch(part)
    if not part or match is None:
        raise _unreadable(part)
    days = _days(match["first"], match["last"])
    if match["from_h"] is None:
        return Span(days, 0.0, 24.0)
    from_h, to_h = (_hour(match[f"{end}_h"], match[f"{end}_min"], part) for end in ("from", "to"))
    if from_h == to_h or from_h == 24:
        raise _unreadable(part)
    return Span(days, from_h, to_h - from_h if to_h > from_h else to_h + 24 - from_h)


def _days(first: str | None, last: str | None) -> frozenset[int]:
    if first is None:
        return frozenset(range(7))
    begin = WEEKDAYS.index(first)
    count = (WEEKDAYS.index(last) - begin) % 7 if last else 0
    return frozenset((begin + day) % 7 for day in range(count + 1))


def _hour(hours: str, minutes: str | None, part: str) -> float:
    hour = int(hours) + int(minutes or 0) / 60
    if hour > 24 or int(minutes or 0) > 59:
        raise _unreadable(part)
    return hour


def _unreadable(part: str) -> LocalError:
    return LocalError(f"{part!r} are no hours", "", "write them such as `18-23`, `22-6` or `mon-fri 18-23, sat 8-12`")


def _minute(weekday: int, hour: float) -> float:
    return round((weekday % 7 * 24 + hour) % _WEEK_H * 60, 6)
