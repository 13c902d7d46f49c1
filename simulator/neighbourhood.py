"""A neighbourhood of virtual radios on one medium: built from a topology and a seed, run by one task.

Everything random in it follows from the seed. It serves its radios over TCP to real Meshtastic programs when asked to;
what they say there is the business of `simulator.clients.streamapi`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random

import trio

from protocol.airtime import DEFAULT_PRESET, Preset
from protocol.errors import LocalError
from simulator.acquaintance import introduce
from simulator.device import VirtualRadio
from simulator.firmware.settings import RadioSettings
from simulator.medium import Link, Medium
from simulator.topology import Topology, node_numbers

__all__ = ["Neighbourhood", "RadioAddress"]


@dataclass(frozen=True, slots=True)
class RadioAddress:
    """Where a radio is served."""

    host: str
    port: int
    node_number: int


class Neighbourhood:
    """Radios on one medium; `radios` maps each name to its radio."""

    def __init__(
        self,
        topology: Topology,
        preset: Preset = DEFAULT_PRESET,
        *,
        seed: int,
        loss: float = 0.0,
        settings: RadioSettings | None = None,
        special: Mapping[str, RadioSettings] | None = None,
    ) -> None:
        """`settings` are those of every radio but the `special` ones, given by name.

        Raises LocalError for the name of a radio that is not there.
        """
        special = special or {}
        if strangers := special.keys() - set(topology.names):
            raise LocalError(f"settings for radios that are not there: {', '.join(sorted(strangers))}")
        self.topology = topology
        self.medium = Medium(preset, Random(f"medium {seed}"))
        numbers = node_numbers(topology.names, seed)
        self.radios = {
            name: VirtualRadio(
                name, numbers[name], self.medium, Random(f"radio {name} {seed}"), special.get(name, settings)
            )
            for name in topology.names
        }
        for sender, receiver in topology.links:
            self.medium.connect(sender, receiver, Link(loss=loss))
        heard: dict[str, dict[str, float]] = {}
        for sender, receiver in topology.links:
            heard.setdefault(receiver, {})[sender] = Link().snr_db
        introduce(self.radios.values(), heard)

    def radio(self, name: str) -> VirtualRadio:
        """Return the radio called `name`; raises LocalError when there is none."""
        try:
            return self.radios[name]
        except KeyError:
            raise LocalError(f"no radio {name!r}", "", f"use one of {', '.join(self.radios)}") from None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Drive the medium until cancelled."""
        task_status.started()
        await self.medium.run()

    async def serve(
        self,
        host: str = "127.0.0.1",
        ports: dict[str, int] | None = None,
        *,
        task_status: trio.TaskStatus[dict[str, RadioAddress]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve every radio over TCP until cancelled; `started` gives each name's address once all listen.

        `ports` fixes a radio's port; the others get free ones. Raises LocalError when a port is taken.
        """
        from simulator.clients.streamapi import listen, serve_radio

        async with AsyncExitStack() as stack:
            listeners = {
                name: await stack.enter_async_context(await listen(host, (ports or {}).get(name, 0)))
                for name in self.radios
            }
            async with trio.open_nursery() as nursery:
                for name, radio in self.radios.items():
                    nursery.start_soon(serve_radio, radio, listeners[name])
                task_status.started(
                    {
                        name: RadioAddress(host, listeners[name].socket.getsockname()[1], radio.node_number)
                        for name, radio in self.radios.items()
                    }
                )
