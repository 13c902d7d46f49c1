"""A neighbourhood of virtual radios on one medium: built from a topology and a seed, run by one task.

Everything random in it follows from the seed. It serves its radios over TCP to real Meshtastic programs when asked to;
what they say there is the business of `simulator.streamapi`.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random

import trio

from protocol.airtime import DEFAULT_PRESET, Preset
from protocol.errors import LocalError
from simulator.medium import Link, Medium
from simulator.radio import KnownNode, VirtualRadio
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
        region: str = "US",
    ) -> None:
        self.topology = topology
        self.medium = Medium(preset, Random(f"medium {seed}"))
        numbers = node_numbers(topology.names, seed)
        self.radios = {
            name: VirtualRadio(name, numbers[name], self.medium, Random(f"radio {name} {seed}"), region=region)
            for name in topology.names
        }
        for sender, receiver in topology.links:
            self.medium.connect(sender, receiver, Link(loss=loss))
        for radio in self.radios.values():
            self._introduce(radio)

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
        from simulator.streamapi import listen, serve_radio

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

    def _introduce(self, radio: VirtualRadio) -> None:
        """Fill a radio's node database with everybody it can hear from, as after a day of NodeInfo exchange."""
        for name, hops in self.topology.hops(radio.name).items():
            if name != radio.name:
                other = self.radios[name]
                radio.known_nodes[other.node_number] = KnownNode(
                    other.node_number,
                    other.long_name,
                    other.short_name,
                    hops_away=hops - 1,
                    snr_db=Link().snr_db if hops == 1 else 0.0,
                )
