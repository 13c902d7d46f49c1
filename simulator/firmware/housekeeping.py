"""What a radio's firmware does by the clock: its figures to the client each minute, its own chatter now and then.

Source: firmware `DeviceTelemetry`, `PositionModule`, `NodeInfoModule` and `Default.h`. What is told or announced is the
firmware's, and whether the air is too busy for it; only when is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING

from protocol.airtime import Preset
from simulator.firmware.host import Host
from simulator.firmware.settings import KnownNode, RadioSettings

if TYPE_CHECKING:
    from random import Random

__all__ = ["ONLINE_S", "Chatter", "Housekeeping", "interval_s", "nodes_online"]

ONLINE_S = 7200.0
"""A node not heard for so long does not count as online (`NUM_ONLINE_SECS`)."""

_METRICS_S = 60.0
_FIRST_INTRODUCTION_S = 30.0
_ROUTERS = ("ROUTER", "ROUTER_LATE")
_UNSTRETCHED_ROLES = (*_ROUTERS, "TRACKER", "TAK_TRACKER", "SENSOR")
_CROWD = 40
"""Nodes online up to which nothing is stretched."""


class Chatter(Enum):
    """What a radio says by itself."""

    INTRODUCTION = auto()
    """Its NodeInfo: name, role, key."""
    POSITION = auto()
    TELEMETRY = auto()
    """Battery, uptime, and how busy it finds the channel."""


_USUAL_S = {Chatter.INTRODUCTION: 3 * 3600.0, Chatter.POSITION: 3600.0, Chatter.TELEMETRY: 3600.0}
_OF_ROUTERS_S = _USUAL_S | {Chatter.POSITION: 12 * 3600.0, Chatter.TELEMETRY: 12 * 3600.0}
_AGAIN_S = {Chatter.POSITION: 10.0, Chatter.TELEMETRY: 60.0}
"""How long a busy channel puts it off: the firmware looks every 5 s for a position, but the channel's utilisation falls
only every ten. An introduction is left out till the next one."""


def interval_s(kind: Chatter, settings: RadioSettings, preset: Preset, online: int) -> float:
    """Seconds between two utterances of a kind, with so many nodes online.

    More than 40 stretch those of clients, by more where packets are long; introductions are never stretched.
    """
    usual_s = (_OF_ROUTERS_S if settings.role in _ROUTERS else _USUAL_S)[kind]
    if kind is Chatter.INTRODUCTION or settings.role in _UNSTRETCHED_ROLES or online <= _CROWD:
        return usual_s
    return usual_s * (1 + (online - _CROWD) * (1 << preset.spreading_factor) / (preset.bandwidth_hz / 10))


def nodes_online(nodes: Mapping[int, KnownNode], now_s: float) -> int:
    """Nodes that a radio counts as online, itself among them: heard of late, or known from before the run."""
    return 1 + sum(node.heard_s is None or now_s - node.heard_s < ONLINE_S for node in nodes.values())


class Housekeeping:
    """One radio's clockwork, from its start."""

    def __init__(
        self,
        host: Host,
        settings: RadioSettings,
        preset: Preset,
        nodes: Mapping[int, KnownNode],
        rng: Random,
        tell_metrics: Callable[[], None],
        say: Callable[[Chatter], bool],
    ) -> None:
        """`tell_metrics` gives the client the radio's figures; `say` sends, or returns False on a busy channel."""
        self._host = host
        self._settings = settings
        self._preset = preset
        self._nodes = nodes
        self._rng = rng
        self._tell_metrics = tell_metrics
        self._say = say
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
        self._plan("metrics", _METRICS_S, self._metrics_are_due)
        if self._settings.chatter and self._settings.role != "CLIENT_HIDDEN":
            for kind in Chatter:
                self._plan(kind.name, self._first_s(kind), partial(self._is_due, kind))

    def _first_s(self, kind: Chatter) -> float:
        """A radio just switched on introduces itself soon; all else comes at any time of its interval."""
        if kind is Chatter.INTRODUCTION and not self._settings.long_on:
            return _FIRST_INTRODUCTION_S * (1 + self._rng.random())
        return self._rng.random() * self._interval_s(kind)

    def _interval_s(self, kind: Chatter) -> float:
        return interval_s(kind, self._settings, self._preset, nodes_online(self._nodes, self._host.now_s))

    def _metrics_are_due(self) -> None:
        self._plan("metrics", _METRICS_S, self._metrics_are_due)
        self._tell_metrics()

    def _is_due(self, kind: Chatter) -> None:
        said = self._say(kind)
        wait_s = self._interval_s(kind) if said else _AGAIN_S.get(kind, self._interval_s(kind))
        self._plan(kind.name, wait_s, partial(self._is_due, kind))

    def _plan(self, name: str, wait_s: float, act: Callable[[], None]) -> None:
        self._timers[name] = self._host.call_at(self._host.now_s + wait_s, act)
