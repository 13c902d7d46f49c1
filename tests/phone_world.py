"""Phones with the ordinary Meshtastic app beside a node, on virtual radios in virtual time. Holds no test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

import trio

from meshai.api import unwrapped
from nodes.bearers.radio import TEXT_PORT, RadioBearer, address_of
from nodes.cache import AnswerCache
from nodes.emergency_plan import EmergencyPlan
from nodes.engines.scripted import ScriptedEngine
from nodes.interfaces import BROADCAST, RadioAck, RadioEvent, RadioPacket
from nodes.node import Node, NodeSettings
from nodes.phone_text import PhoneSettings
from nodes.trace import Trace
from protocol.airtime import PRESETS
from simulator.channels import Channel
from simulator.firmware.settings import RadioSettings
from simulator.neighbourhood import Neighbourhood
from simulator.radio import VirtualRadioPort
from simulator.topology import Topology, full

STREET = Channel("street", bytes(range(16)))
ANSWERS = {
    "Why is the sky blue?": "Because air scatters blue light more than red light.",
    "Tell me a story": " ".join(f"word{number}" for number in range(150)),
}


class RememberingEngine(ScriptedEngine):
    """A scripted engine that keeps what it was asked."""

    def __init__(self, *how, **more):
        super().__init__(*how, **more)
        self.prompts = []

    async def answer(self, prompt, emit):
        self.prompts.append(prompt)
        return await super().answer(prompt, emit)


@dataclass(frozen=True)
class Text:
    """A text that arrived at a phone."""

    at_s: float
    packet: RadioPacket

    @property
    def text(self) -> str:
        return self.packet.payload.decode()


class Phone:
    """A phone with the ordinary app."""

    def __init__(self, port: VirtualRadioPort) -> None:
        self.port = port
        self.texts: list[Text] = []
        self.acks: list[RadioAck] = []
        self._changed = trio.Event()
        self._sent_at = float("-inf")

    @property
    def number(self) -> int:
        return self.port.info.node_number

    @property
    def address(self) -> str:
        return address_of(self.number)

    @property
    def said(self) -> list[str]:
        return [text.text for text in self.texts]

    async def run(self) -> None:
        await self.port.run(self._take)

    def _take(self, event: RadioEvent) -> None:
        if isinstance(event, RadioPacket) and event.port == TEXT_PORT:
            self.texts.append(Text(trio.current_time(), event))
        elif isinstance(event, RadioAck):
            self.acks.append(event)
        self._changed.set()
        self._changed = trio.Event()

    async def send(self, text: str, to: int = BROADCAST, *, channel: int = 0) -> int:
        await trio.sleep_until(self._sent_at + 2.1)  # its radio drops a text that follows another within 2 s
        self._sent_at = trio.current_time()
        payload = text if isinstance(text, bytes) else text.encode()
        return await self.port.transmit(payload, to=to, port=TEXT_PORT, channel=channel, want_ack=to != BROADCAST)

    async def until(self, count: int, seconds: float = 600) -> list[str]:
        """Wait for so many texts, and return them all."""
        with trio.fail_after(seconds):
            while len(self.texts) < count:
                await self._changed.wait()
        return self.said

    async def ask(self, text: str, to: int, *, expect: int = 1, seconds: float = 600) -> list[str]:
        """Send a text and wait for so many more texts than came before; returns them."""
        had = len(self.texts)
        await self.send(text, to)
        return (await self.until(had + expect, seconds))[had:]


class RecordingPort(VirtualRadioPort):
    """A radio that notes when it was handed texts to send."""

    def __init__(self, radio) -> None:
        super().__init__(radio)
        self.handed_at: list[float] = []

    async def transmit(self, payload, *, to, port, **how):
        if port == TEXT_PORT:
            self.handed_at.append(trio.current_time())
        return await super().transmit(payload, to=to, port=port, **how)


class Street:
    """A node on radio A, and phones on the others."""

    def __init__(self, air: Neighbourhood, port: RecordingPort, node: Node, phones: dict[str, Phone]) -> None:
        self.air = air
        self.port = port
        self.node = node
        self.phones = phones
        self.number = air.radio("A").node_number

    @property
    def trace(self):
        return self.node.trace

    @asynccontextmanager
    async def neighbour(self, radio: str, engine: ScriptedEngine) -> AsyncIterator[Node]:
        """Another node, which answers this one."""
        trace = Trace()
        node = Node(
            NodeSettings("neighbour", frozenset({address_of(self.number)}), 1.0),
            engine=engine,
            bearers=[RadioBearer(VirtualRadioPort(self.air.radio(radio)), trace)],
            cache=AnswerCache(None, trace),
            rng=Random(radio),
            trace=trace,
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(node.run)
            yield node
            nursery.cancel_scope.cancel()

    def why_ignored(self) -> list[str]:
        return [fact.fields["why"] for fact in self.trace.facts if fact.name == "phone.ignored"]


@asynccontextmanager
async def street(
    topology: Topology | None = None,
    *,
    preset: str = "SHORT_FAST",
    loss: float = 0.0,
    seed: int = 1,
    engine: ScriptedEngine | str | None = "usual",
    allowed: str = "BCD",
    channels: tuple[Channel, ...] = (Channel(), STREET),
    share: float = 0.5,
    emergency: EmergencyPlan | None = None,
    channels_on: tuple[str, ...] = (),
    has_pkc: bool = True,
    phones: str = "BCD",
    wall=lambda: 1.8e9,
    **settings: object,
) -> AsyncIterator[Street]:
    """By default everybody hears everybody, the radio is dedicated, and the phones of B, C and D are allowed."""
    air = Neighbourhood(
        topology or full(4),
        PRESETS[preset],
        seed=seed,
        loss=loss,
        settings=RadioSettings(channels=channels, has_pkc=has_pkc),
    )
    numbers = {name: address_of(radio.node_number) for name, radio in air.radios.items()}
    if "blocked" in settings:
        settings["blocked"] = frozenset(numbers[name] for name in settings["blocked"])
    phone_settings = PhoneSettings(
        **{"personal": False, "owner": "Ann", "channels": frozenset(channels_on), **settings}
    )
    trace = Trace()
    port = RecordingPort(air.radio("A"))
    node = Node(
        NodeSettings(
            "house",
            frozenset(numbers[name] for name in allowed if name in numbers),
            share,
            phones=phone_settings,
            emergency=emergency or EmergencyPlan(),
        ),
        engine=ScriptedEngine(ANSWERS, name="tiny", tokens_per_s=50) if engine == "usual" else engine,
        bearers=[RadioBearer(port, trace)],
        cache=AnswerCache(None, trace),
        rng=Random(f"street {seed}"),
        trace=trace,
        wall=wall,
    )
    with unwrapped():
        async with trio.open_nursery() as nursery:
            await nursery.start(air.run)
            others = {name: Phone(VirtualRadioPort(radio)) for name, radio in air.radios.items() if name in phones}
            for phone in others.values():
                nursery.start_soon(phone.run)
            await nursery.start(node.run)
            await trio.sleep(20)  # the first beacon is out
            yield Street(air, port, node, others)
            nursery.cancel_scope.cancel()
