"""How busy a radio finds the air: the share of the last minute in use, and of the last hour that it sent itself.

Source: firmware `airtime.cpp`: six periods of ten seconds, sixty of a minute.
"""

from __future__ import annotations

__all__ = ["AirLoad"]


class _Share:
    """Seconds of the last so many periods, as a share of them."""

    def __init__(self, periods: int, period_s: float) -> None:
        self._periods = periods
        self._period_s = period_s
        self._seconds: dict[int, float] = {}
        """Number of the period -> seconds."""

    def add(self, now_s: float, airtime_s: float) -> None:
        period = int(now_s // self._period_s)
        self._seconds[period] = self._seconds.get(period, 0.0) + airtime_s
        for old in [number for number in self._seconds if number <= period - self._periods]:
            del self._seconds[old]

    def percent(self, now_s: float) -> float:
        oldest = int(now_s // self._period_s) - self._periods
        seconds = sum(seconds for number, seconds in self._seconds.items() if number > oldest)
        return 100.0 * seconds / (self._periods * self._period_s)


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
