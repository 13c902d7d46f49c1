"""Airtime is money: a token bucket, in seconds of air, that refuses what the neighbourhood can't spare.

Pure: `now` comes in, decisions go out. The share is of an hour; a region's legal duty cycle caps it.
"""

from __future__ import annotations

from protocol.errors import LocalError

__all__ = ["DEFAULT_SHARE", "DUTY_CYCLE", "AirtimeBudget"]

DEFAULT_SHARE = 0.02
"""Our sends, as a share of the time."""
DUTY_CYCLE = {"EU_868": 0.10, "EU_866": 0.025, "EU_433": 0.10, "UA_433": 0.10, "UA_868": 0.01}
"""Region -> the share of an hour that the law, and so the firmware, lets one radio send."""

_HOUR_S = 3600.0
_ROUNDING_S = 1e-9
_START_S = 10.0
"""What the bucket holds at every start: enough for one answer, never an hour's."""


class AirtimeBudget:
    """How much this node may send."""

    def __init__(self, now: float, *, share: float = DEFAULT_SHARE, region: str = "") -> None:
        """Raises LocalError when `share` is not in 0 to 1."""
        if not 0 <= share <= 1:
            raise LocalError(f"the airtime share {share} is impossible", "it is a part of the hour", "use 0 to 1")
        self.region = region
        self.share = min(share, DUTY_CYCLE.get(region, 1.0))
        self.hour_s = self.share * _HOUR_S
        """Seconds of air per hour."""
        self._level_s = min(_START_S, self.hour_s)
        self._at = now

    def left_s(self, now: float) -> float:
        """Seconds of air that may be sent now."""
        return min(self.hour_s, self._level_s + (now - self._at) * self.share)

    def wait_s(self, airtime_s: float, now: float) -> float:
        """Seconds until `airtime_s` may be sent: 0 for now, infinity for never."""
        lacking_s = airtime_s - self.left_s(now)
        if lacking_s <= _ROUNDING_S:
            return 0.0
        if airtime_s > self.hour_s:
            return float("inf")
        return lacking_s / self.share

    def spend(self, airtime_s: float, now: float) -> None:
        """Note that `airtime_s` was sent, allowed or not."""
        self._level_s = self.left_s(now) - airtime_s
        self._at = now
