"""The demonstration: three virtual radios in a line, a node without a model at one end, one with a model at the other.

Each runs in a process of its own, as in life. What a question costs is counted by the air itself: every transmission
of its packets, the relay's included.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import trio

from meshai.air import Air, Flight
from meshai.api import Mesh
from meshai.children import Child, child
from nodes.wishes import Answer, Progress
from protocol.airtime import Preset

__all__ = ["ASKER", "HOUSE", "RADIOS", "RELAY", "Neighbourhood", "neighbourhood"]

RADIOS = ("A", "B", "C")
RELAY = "B"
ASKER, HOUSE = "cabin", "house"
_QUIET_S = 1.5
"""After the answer, relays may still repeat its last packet."""


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """The running demonstration."""

    mesh: Mesh
    """Asks through the node `cabin`."""
    air: Air
    numbers: dict[str, int]
    """Radio -> node number."""
    ports: dict[str, int]
    """Radio -> TCP port on 127.0.0.1, where any Meshtastic program can connect to a radio without a node."""
    pids: dict[str, int]
    """What runs -> its process number: `radios`, `cabin`, `house`."""

    async def ask(self, question: str, on_progress: Callable[[Progress], None]) -> tuple[Answer, list[Flight]]:
        """Ask; returns the answer and the transmissions that it took."""
        since = len(self.air.flights)
        answer = await self.mesh.answer(question, on_progress=on_progress)
        if answer.source == "model":
            await trio.sleep(_QUIET_S)
        return answer, self.air.between(self.numbers[RADIOS[0]], self.numbers[RADIOS[-1]], since=since)


@asynccontextmanager
async def neighbourhood(
    preset: Preset,
    model: str,
    *,
    without_relay: bool,
    tell: Callable[[str], None],
    hear: Callable[[Flight], None],
) -> AsyncIterator[Neighbourhood]:
    """Start the radios and both nodes, and end them with the block; raises LocalError when one can't start."""
    with tempfile.TemporaryDirectory(prefix="meshai-demo-") as name:
        folder = Path(name)
        air = Air(hear)
        off = ("--off", RELAY) if without_relay else ()
        radios = ("sim", "radios", "--nodes", str(len(RADIOS)), "--topology", "line", "--preset", preset.name, *off)
        async with child("radios", *radios, folder=folder, hear=air.take) as sim:
            lines = [await sim.line(partial(_is_about, radio)) for radio in RADIOS]
            numbers = {line["radio"]: int(line["number"][1:], 16) for line in lines}
            ports = {line["radio"]: line["port"] for line in lines}
            tell(f"three virtual radios in a line, {preset.name}: A - B - C; A and C don't hear each other")
            async with (
                _node(ASKER, ports["A"], "none", (), folder) as cabin,
                _node(HOUSE, ports["C"], model, (lines[0]["number"],), folder) as house,
            ):
                await cabin.line(lambda form: form.get("fact") == "radio.up")
                tell(f"{ASKER} is up on radio A, without a model")
                ready = await house.line(lambda form: "ready" in form)
                await house.line(lambda form: form.get("fact") == "radio.up")
                tell(f"{HOUSE} is up on radio C, with {', '.join(ready['ready']['models'])}")
                async with Mesh.connect(folder / ASKER) as mesh:
                    pids = {"radios": sim.pid, ASKER: cabin.pid, HOUSE: house.pid}
                    yield Neighbourhood(mesh, air, numbers, ports, pids)


@asynccontextmanager
async def _node(name: str, port: int, model: str, allow: tuple[str, ...], folder: Path) -> AsyncIterator[Child]:
    options = [option for number in allow for option in ("--allow", number)]
    async with child(
        name,
        "up",
        "--name",
        name,
        "--radio",
        f"tcp:127.0.0.1:{port}",
        "--model",
        model,
        *options,
        "--airtime-share",
        "0.5",
        "--state",
        str(folder / name),
        folder=folder,
    ) as running:
        yield running


def _is_about(radio: str, form: dict[str, Any]) -> bool:
    return form.get("radio") == radio
