"""A little air for tests: virtual radios in virtual time with a phone on each. Imported by tests, holds no test."""

from contextlib import asynccontextmanager

import trio

from protocol.airtime import PRESETS
from simulator.device import Client
from simulator.firmware.settings import RadioSettings
from simulator.neighbourhood import Neighbourhood
from simulator.packet import BROADCAST, ROUTING_PORT, TELEMETRY_PORT, Packet
from simulator.topology import Topology

LONG_FAST = PRESETS["LONG_FAST"]
PLAIN = RadioSettings(has_pkc=False)
"""Radios without key pairs, as the simulation mode of the native firmware: relays read direct messages."""


def diamond(relays):
    """A and Z with so many relays between, all of which hear one another."""
    between = tuple("BCDEFG"[:relays])
    ends = [(end, relay) for end in "AZ" for relay in between]
    among = [(one, other) for one in between for other in between if one < other]
    return Topology.both_ways(("A", *between, "Z"), (*ends, *among))


class Phone(Client):
    """A client that keeps what its radio says, with the time."""

    def __init__(self, radio):
        self.radio = radio
        self.packets, self.acks, self.statuses, self.learned, self.farewells = [], [], [], [], []
        radio.attach(self)

    def heard(self, packet, snr_db):
        if packet.port == ROUTING_PORT:
            kind = "implicit" if packet.sender == self.radio.node_number else "real"
            self.acks.append((packet.request_id, kind, packet.payload[-1], round(trio.current_time(), 3)))
        elif packet.port != TELEMETRY_PORT:
            self.packets.append(packet)

    def queued(self, status):
        self.statuses.append((status.packet_id, status.error, status.free))

    def learnt(self, node):
        self.learned.append(node.number)

    def gone(self, reason):
        self.farewells.append(reason)

    def send(self, to=BROADCAST, payload=b"hello", port=256, want_ack=False, hop_limit=0, **more):
        return self.radio.submit(Packet(0, to, 0, port, payload, want_ack, hop_limit, **more))


@asynccontextmanager
async def mesh(topology, settings=None, preset=LONG_FAST, seed=1, loss=0.0, **special):
    """A running neighbourhood, a phone on every radio, and the list of its finished transmissions.

    `special` gives single radios other settings: `B=RadioSettings(role="ROUTER")`.
    """
    neighbourhood = Neighbourhood(topology, preset, seed=seed, loss=loss, settings=settings, special=special)
    flown = []
    neighbourhood.medium.observe(lambda transmission: flown.append(transmission) if transmission.ended else None)
    phones = {name: Phone(radio) for name, radio in neighbourhood.radios.items()}
    async with trio.open_nursery() as nursery:
        await nursery.start(neighbourhood.run)
        yield neighbourhood, phones, flown
        nursery.cancel_scope.cancel()


def number(phones, name):
    return phones[name].radio.node_number
