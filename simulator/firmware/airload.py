"""How busy a radio finds the air: the share of the last minute in use, and of the last hour that it sent itself.

Source: firmware `airtime.cpp`: six periods of ten seconds, sixty of a minute.
"""

from __future__ import annotations

__all__ = ["AirLoad"]


class _Share:
    """Seconds of the last so many periods, as a share of them."""

    __slots__ = ("_newest", "_period_s", "_seconds")

    def __init__(self, periods: int, period_s: float) -> None:
        self._period_s = period_s
        self._seconds = [0.0] * periods
        """By number of the period, modulo how many there are."""
        self._newest = 0

    def add(self, now_s: float, airtime_s: float) -> None:
        self._move_to(int(now_s / self._period_s))
        self._seconds[self._newest % len(self._seconds)] += airtime_s

    def percent(self, now_s: float) -> float:
        self._move_to(int(now_s / self._period_s))
        return 100.0 * sum(self._seconds) / (len(self._seconds) * self._period_s)

    def _move_to(self, period: int) -> None:
        if period > self._newest:
            periods = len(self._seconds)
            for number in range(max(self._newest + 1, period - periods + 1), period + 1):
                self._seconds[number % periods] = 0.0
            self._newest = period


class AirLoad:
    """What one radio counts."""

    def __init__(self) -> None:
        self._busy = _Share(6, 10.0)
        self._sent = _Share(60, 60.0)

    def sent(self, now_s: float, airtime_s: float) -> None:
        """We transmitted."""
        self._busy.add(now_s, airtime_s)
        self._sent.add(now_s, airtime_s)

    def sensed(self, now_s: float, airtime_s: float) -> None:
        """Somebody else's transmission occupied the channel here, readable or not."""
        self._busy.add(now_s, airtime_s)

    def channel_percent(self, now_s: float) -> float:
        """Channel utilisation: the share of the last minute in use, 0 to 100."""
        return min(self._busy.percent(now_s), 100.0)

    def sending_percent(self, now_s: float) -> float:
        """Share of the last hour in which we sent, 0 to 100."""
        return self._sent.percent(now_s)
