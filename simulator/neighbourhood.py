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
from simulator.channels import shown_name
from simulator.device import VirtualRadio
from simulator.firmware.settings import KnownNode, RadioSettings
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

    def _introduce(self, radio: VirtualRadio) -> None:
        """Fill a radio's node database as after a day of NodeInfo exchange.

        It knows whom it can hear from: whoever transmits on the same frequency and whose primary channel it can read.
        """
        for name, hops in self.topology.hops(radio.name).items():
            other = self.radios[name]
            if other is radio or other.tuning != radio.tuning or not other.settings.transmits:
                continue
            channel = _shared_channel(other, radio)
            if channel is None or other.settings.licensed != radio.settings.licensed:
                continue
            radio.known_nodes[other.node_number] = KnownNode(
                other.node_number,
                other.long_name,
                other.short_name,
                hops_away=hops - 1,
                snr_db=Link().snr_db if hops == 1 else 0.0,
                role=other.settings.role,
                public_key=b"" if other.settings.licensed else other.public_key,
                licensed=other.settings.licensed,
                channel=channel,
            )


def _shared_channel(sender: VirtualRadio, receiver: VirtualRadio) -> int | None:
    """Index of the receiver's channel that is the sender's primary one; None when it has none."""
    primary = (shown_name(sender.settings.channels[0], sender.preset), sender.settings.key_of(0))
    for index, channel in enumerate(receiver.settings.channels):
        if channel.enabled and (shown_name(channel, receiver.preset), receiver.settings.key_of(index)) == primary:
            return index
    return None
