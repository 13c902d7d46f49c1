"""What a radio's firmware does by the clock: its figures to the client each minute, its own announcement now and then.

Source: firmware `DeviceTelemetry` (a minute), `NodeInfoModule` (half a minute after the start, then three hours). What
is told or announced is the firmware's; only when is decided here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from simulator.firmware.host import Host
from simulator.firmware.settings import RadioSettings

if TYPE_CHECKING:
    from random import Random

__all__ = ["Housekeeping"]

_METRICS_S = 60.0
_ANNOUNCED_S, _ANNOUNCED_AGAIN_S = 30.0, 3 * 3600.0


class Housekeeping:
    """One radio's clockwork, from its start."""

    def __init__(
        self,
        host: Host,
        settings: RadioSettings,
        rng: Random,
        tell_metrics: Callable[[], None],
        announce: Callable[[], None],
    ) -> None:
        self._host = host
        self._announces = settings.chatter and settings.role != "CLIENT_HIDDEN"
        self._rng = rng
        self._tell_metrics = tell_metrics
        self._announce = announce
        self._started_s = 0.0
        self._timers = {"start": host.call_at(host.now_s, self._start)}

    @property
    def uptime_s(self) -> int:
        """Whole seconds since the start."""
        return int(self._host.now_s - self._started_s)

    def stop(self) -> None:
        """Forget every timer."""
        for timer in self._timers.values():
            timer.cancel()

    def _start(self) -> None:
        self._started_s = self._host.now_s
        self._every("metrics", _METRICS_S, _METRICS_S, self._tell_metrics)
        if self._announces:
            self._every("announce", _ANNOUNCED_S * (1 + self._rng.random()), _ANNOUNCED_AGAIN_S, self._announce)

    def _every(self, name: str, first_s: float, then_s: float, act: Callable[[], None]) -> None:
        def due() -> None:
            self._every(name, then_s, then_s, act)
            act()

        self._timers[name] = self._host.call_at(self._host.now_s + first_s, due)
