"""What a place's power supply holds: battery, panel, and what radio and devices draw, exact between events.

Pure: `now` is an argument, nothing ticks. Between two changes of a draw, the charge follows a closed form:
the sun's curve is a sine, all else constant. `when_empty` and `when_back` tell the world when to look again. Knows no
radio, no node and no world.

What radios draw: the LoRa chip SX1262 takes 5.3 mA to receive (boosted, DC-DC) and 118 mA to send at +22 dBm (Semtech's
SX1261/2 datasheet 2.1, section 3.4), at 3.3 V 0.02 W and 0.39 W. The rest is the processor: owners measure about 95 mA
at 3.7 V on ESP32-S3 boards with Bluetooth on, 8 to 12 mA at 3.3 V on nRF52840 boards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import asin, cos, inf, pi, sin
from random import Random

from protocol.errors import LocalError

__all__ = ["ESP32", "NRF52", "RadioDraw", "Sky", "Supply"]

_DAY_S = 86_400.0
_SUNRISE_S, _SUNSET_S = 6 * 3600.0, 18 * 3600.0
_LIGHT_S = _SUNSET_S - _SUNRISE_S
_CLOUD_SHARE = 0.2
"""What a panel gives under thick cloud."""
_BACK_SHARE = 0.10
"""What was empty comes back with so much in its battery."""
_START_SHARE = 0.8
"""How full a battery begins: people start with charged ones, a panel's is somewhere below full in the morning."""
_LOOK_AHEAD_S = 14 * _DAY_S
"""Predictions end here; whoever waits longer looks again then."""
_ROUNDING_WH = 1e-9
_STEPS = 60
"""Halvings of an interval in which a moment is sought: finer than a microsecond."""


@dataclass(frozen=True, slots=True)
class RadioDraw:
    """What a board with its radio takes."""

    receive_w: float
    """While it listens, which is always unless it sends."""
    send_w: float
    """While it sends, all included."""


ESP32 = RadioDraw(0.35, 0.74)
"""Such as a Heltec V3: the default."""
NRF52 = RadioDraw(0.03, 0.42)
"""Such as a RAK4631, as solar relays use it."""


@dataclass(frozen=True, slots=True)
class Sky:
    """The sun over a run: clear days and cloudy ones."""

    start_hour: float
    """Time of the day at which the run's second 0 is."""
    cloudy: tuple[bool, ...]
    """By day of the run, the one that second 0 is in first; the days after those are as the last one."""

    @classmethod
    def drawn(cls, start_hour: float, days: int, cloudy_share: float, rng: Random) -> Sky:
        """Draw which of `days` days are cloudy. Raises LocalError when the share is not in 0 to 1."""
        if not 0 <= cloudy_share <= 1:
            raise LocalError(f"a share of {cloudy_share:g} cloudy days is impossible", "", "use 0 to 1")
        return cls(start_hour % 24, tuple(rng.random() < cloudy_share for _ in range(max(1, days))))

    def share(self, now: float) -> float:
        """What a panel gives at that moment, as a share of its power in full sun."""
        day, second = self._day(now)
        if not _SUNRISE_S < second < _SUNSET_S:
            return 0.0
        return self._strength(day) * sin(pi * (second - _SUNRISE_S) / _LIGHT_S)

    def sun_s(self, begin: float, end: float) -> float:
        """Seconds of full sun that the time from `begin` to `end` is worth: the exact integral of `share`."""
        return self._since_first_midnight(end) - self._since_first_midnight(begin)

    def turns(self, begin: float, end: float, share: float) -> Iterator[float]:
        """Moments between, in order, at which a panel's output may pass `share` of its power; midnights too."""
        day, _ = self._day(begin)
        while (midnight := day * _DAY_S - self.start_hour * 3600) < end:
            moments = [midnight, midnight + _SUNRISE_S, midnight + _SUNSET_S]
            height = share / self._strength(day)
            if 0 < height < 1:
                after_s = asin(height) / pi * _LIGHT_S
                moments[2:2] = [midnight + _SUNRISE_S + after_s, midnight + _SUNSET_S - after_s]
            yield from (moment for moment in moments if begin < moment < end)
            day += 1

    def _day(self, now: float) -> tuple[int, float]:
        day, second = divmod(now + self.start_hour * 3600, _DAY_S)
        return int(day), second

    def _strength(self, day: int) -> float:
        return _CLOUD_SHARE if self.cloudy[min(max(day, 0), len(self.cloudy) - 1)] else 1.0

    def _since_first_midnight(self, now: float) -> float:
        day, second = self._day(now)
        whole_s = 2 / pi * _LIGHT_S
        before_s = sum(map(self._strength, range(day))) * whole_s if day > 0 else self._strength(0) * whole_s * day
        lit_s = min(max(second - _SUNRISE_S, 0.0), _LIGHT_S)
        return before_s + self._strength(day) * whole_s / 2 * (1 - cos(pi * lit_s / _LIGHT_S))


class Supply:
    """One battery with its panel, or the mains, and what hangs on it.

    Whoever changes a draw says so with `draw`; in between nothing needs to be told. When it runs dry, everything on it
    is off, and stays so until the battery holds a tenth again: then `is_on` is true again.
    """

    def __init__(
        self,
        sky: Sky,
        *,
        battery_wh: float = 0.0,
        solar_w: float = 0.0,
        now: float = 0.0,
        start_share: float = _START_SHARE,
    ) -> None:
        """`battery_wh` 0 is mains. Raises LocalError on impossible values."""
        if battery_wh < 0 or solar_w < 0:
            raise LocalError("a battery or a panel below 0 is impossible", "", "use 0 for none")
        if solar_w and not battery_wh:
            raise LocalError("a panel needs a battery", f"it gives {solar_w:g} W, and nothing holds it", "give both")
        if not 0 <= start_share <= 1:
            raise LocalError(f"a battery that is {100 * start_share:g} % full is impossible", "", "use 0 to 1")
        self._sky = sky
        self._battery_wh = battery_wh
        self._solar_w = solar_w
        self._charge_wh = start_share * battery_wh
        self._at = now
        self._draws_w: dict[str, float] = {}
        self._is_on = not battery_wh or self._charge_wh > 0
        self._used_wh = 0.0
        self._off_s = 0.0

    @property
    def is_mains(self) -> bool:
        """Whether it never runs dry."""
        return not self._battery_wh

    def draw(self, what: str, watts: float, now: float) -> None:
        """From `now` on, `what` draws so much. Raises LocalError when that is below 0."""
        if watts < 0:
            raise LocalError(f"{what} can't draw {watts:g} W", "", "use 0 or more")
        self._move_to(now)
        self._draws_w[what] = watts

    def take(self, watt_hours: float, now: float) -> None:
        """Take so much at once: for what is too short to be worth two calls of `draw`, such as a transmission."""
        self._move_to(now)
        if self._is_on:
            taken_wh = watt_hours if self.is_mains else min(watt_hours, self._charge_wh)
            self._used_wh += taken_wh
            if not self.is_mains:
                self._charge_wh -= taken_wh
                self._is_on = self._charge_wh > 0

    def percent(self, now: float) -> float | None:
        """How full the battery is; None with mains."""
        self._move_to(now)
        return None if self.is_mains else 100 * self._charge_wh / self._battery_wh

    def surplus_w(self, now: float) -> float:
        """What the panel gives more than is drawn; below 0 when it gives less. 0 with mains."""
        self._move_to(now)
        return 0.0 if self.is_mains else self._solar_w * self._sky.share(now) - (self._drawn_w if self._is_on else 0.0)

    def is_on(self, now: float) -> bool:
        """Whether it gives power."""
        self._move_to(now)
        return self._is_on

    def used_wh(self, now: float) -> float:
        """What was taken from it so far."""
        self._move_to(now)
        return self._used_wh

    def off_s(self, now: float) -> float:
        """How long it gave nothing so far."""
        self._move_to(now)
        return self._off_s

    def when_empty(self, now: float) -> float | None:
        """When it runs dry if the draws stay as they are; None for not within two weeks, or while it is."""
        self._move_to(now)
        return None if self.is_mains or not self._is_on else self._crossing(0.0, falling=True)

    def when_back(self, now: float) -> float | None:
        """When it gives power again; None for not within two weeks, or while it does."""
        self._move_to(now)
        return None if self._is_on else self._crossing(self._back_wh, falling=False)

    def when_below(self, percent: float, now: float) -> float | None:
        """When the battery falls to so much if all stays as it is; None for not in two weeks, or while it has less."""
        self._move_to(now)
        wanted_wh = percent / 100 * self._battery_wh
        return None if self.is_mains or self._charge_wh <= wanted_wh else self._crossing(wanted_wh, falling=True)

    def when_above(self, percent: float, now: float) -> float | None:
        """When the battery rises to so much if all stays as it is; None for not in two weeks, or while it has more."""
        self._move_to(now)
        wanted_wh = percent / 100 * self._battery_wh
        return None if self.is_mains or self._charge_wh >= wanted_wh else self._crossing(wanted_wh, falling=False)

    @property
    def _drawn_w(self) -> float:
        return sum(self._draws_w.values())

    @property
    def _back_wh(self) -> float:
        return _BACK_SHARE * self._battery_wh

    def _move_to(self, now: float) -> None:
        """Bring everything forward to `now`, over moments at which it ran dry or came back meanwhile."""
        while self._at < now:
            if self.is_mains:
                self._used_wh += self._drawn_w * (now - self._at) / 3600
                self._at = now
                return
            wanted_wh = 0.0 if self._is_on else self._back_wh
            turn = self._crossing(wanted_wh, falling=self._is_on, until=now)
            until = now if turn is None else turn
            length_s = until - self._at
            if self._is_on:
                self._used_wh += self._drawn_w * length_s / 3600
            else:
                self._off_s += length_s
            self._charge_wh = wanted_wh if turn is not None else self._charge_at(until)
            self._at = until
            if turn is not None:
                self._is_on = not self._is_on

    def _charge_at(self, now: float) -> float:
        *_, (_, charge_wh) = self._walk(self._at, self._charge_wh, now)
        return charge_wh

    def _crossing(self, wanted_wh: float, *, falling: bool, until: float = inf) -> float | None:
        """The first moment after now at which the charge gets there; None when it does not until then."""
        end = min(until, self._at + _LOOK_AHEAD_S)
        sign = -1 if falling else 1
        before = (self._at, self._charge_wh)
        for after in self._walk(*before, end):
            if sign * (after[1] - wanted_wh) >= -_ROUNDING_WH and after[0] > self._at:
                return self._within(before, after, wanted_wh, sign)
            before = after
        return None

    def _within(self, before: tuple[float, float], after: tuple[float, float], wanted_wh: float, sign: int) -> float:
        """The moment within a stretch in which the charge only rises or only falls."""
        low, high = before[0], after[0]
        for _ in range(_STEPS):
            middle = (low + high) / 2
            if sign * (self._grown(before, middle) - wanted_wh) >= 0:
                high = middle
            else:
                low = middle
        return high

    def _walk(self, begin: float, charge_wh: float, end: float) -> Iterator[tuple[float, float]]:
        """Moments up to `end` with the charge then; in between it only rises or only falls.

        A full battery takes no more, and an empty one gives no more.
        """
        at = (begin, charge_wh)
        balance = self._drawn_w / self._solar_w if self._is_on and self._solar_w else 0.0
        for moment in self._sky.turns(begin, end, balance):
            at = (moment, self._grown(at, moment))
            yield at
        yield end, self._grown(at, end)

    def _grown(self, before: tuple[float, float], now: float) -> float:
        begin, charge_wh = before
        drawn_w = self._drawn_w if self._is_on else 0.0
        gained_wh = (self._solar_w * self._sky.sun_s(begin, now) - drawn_w * (now - begin)) / 3600
        return min(max(charge_wh + gained_wh, 0.0), self._battery_wh)
