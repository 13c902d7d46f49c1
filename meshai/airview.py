"""The air of virtual radios in the terminal: a line for each transmission, and how much of it each radio finds in use.

Shows what the medium tells; sends nothing. On a terminal the load stands below the lines and moves; elsewhere it is a
line a minute.
"""

from __future__ import annotations

import sys
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import trio

from meshai.air import transmission_form
from meshai.run import tell, tell_json
from nodes.bearers.radio import address_of
from nodes.interfaces import BROADCAST
from simulator.frame_names import FrameNames

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.live import Live

    from simulator.medium import Transmission
    from simulator.neighbourhood import Neighbourhood

__all__ = ["AirView"]

_WINDOW_S = 60.0
_PLAIN_EVERY_S = 60.0
_LIVE_EVERY_S = 1.0


class AirView:
    """Shows one neighbourhood's air until its task is cancelled."""

    def __init__(self, neighbourhood: Neighbourhood, *, as_json: bool) -> None:
        self._radios = neighbourhood.radios
        self._as_json = as_json
        self._names = FrameNames()
        self._started_s = 0.0
        self._lately: deque[tuple[float, float]] = deque()
        """(start, seconds of air) of the transmissions of the last minute."""
        self._print: Callable[[str], None] = tell
        neighbourhood.medium.observe(self._take)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the load up to date until cancelled."""
        self._started_s = trio.current_time()
        live_view = not self._as_json and sys.stdout.isatty()
        with self._live() if live_view else nullcontext() as live:
            task_status.started()
            while True:
                await trio.sleep(_PLAIN_EVERY_S if live is None else _LIVE_EVERY_S)
                if live is not None:
                    live.update(self._load_line(), refresh=True)
                elif self._as_json:
                    tell_json({"load": self._load()})
                elif self._load()["transmissions"]:
                    tell(self._load_line())

    def _live(self) -> AbstractContextManager[Live]:
        """A line that stays below all others; refreshed by us, so without rich's thread."""
        from rich.console import Console
        from rich.live import Live

        console = Console(highlight=False, soft_wrap=True)
        self._print = lambda line: console.print(line, markup=False)
        return Live(self._load_line(), console=console, auto_refresh=False)

    def _take(self, sent: Transmission) -> None:
        if self._as_json:
            tell_json({"transmission": transmission_form(sent)})
        elif sent.ended:
            self._print(self.line(sent))
        if sent.ended:
            self._lately.append((sent.time_s, sent.airtime_s))

    def line(self, sent: Transmission) -> str:
        """One transmission that ended, for people."""
        numbers = {radio.node_number: name for name, radio in self._radios.items()}
        to = "all" if sent.to == BROADCAST else numbers.get(sent.to, address_of(sent.to))
        way = f"{numbers.get(sent.sender, address_of(sent.sender))} → {to}"
        what = self._names.name(sent) + (", sealed" if sent.pkc else "")
        lost = f", lost at {' '.join(sent.lost_at)}" if sent.lost_at else ""
        heard = f"heard by {' '.join(sent.heard_by)}" if sent.heard_by else "heard by nobody"
        return (
            f"{sent.time_s - self._started_s:8.2f} s  {sent.radio} {'relays' if sent.relayed else 'sends '} {way}: "
            f"{what}, {sent.phy_bytes} bytes, {sent.airtime_s:.2f} s of air, {heard}{lost}"
        )

    def _load(self) -> dict[str, Any]:
        now_s = trio.current_time()
        while self._lately and self._lately[0][0] < now_s - _WINDOW_S:
            self._lately.popleft()
        used = {name: round(radio.utilisation_percent, 1) for name, radio in self._radios.items() if radio.is_on}
        return {
            "channel_utilisation_percent": used,
            "transmissions": len(self._lately),
            "airtime_s": round(sum(airtime_s for _, airtime_s in self._lately), 3),
        }

    def _load_line(self) -> str:
        load = self._load()
        used = ", ".join(f"{name} {percent:.0f} %" for name, percent in load["channel_utilisation_percent"].items())
        sums = f"{load['transmissions']} transmissions, {load['airtime_s']:.1f} s of air"
        return f"last minute: channel in use {used}; {sums}"
