"""The abstract classes that everything plugs into: Engine, Bearer and RadioPort, with the data they exchange.

No behaviour lives here. A class that implements one of these is owned by a nursery of `nodes.node`: its `run` holds
what it needs and gives it back when cancelled.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import trio

from protocol.errors import RemoteError
from protocol.messages import ModelOffer, Turn

__all__ = [
    "BROADCAST",
    "DIAGNOSIS_BYTES",
    "Bearer",
    "ChannelKey",
    "Cost",
    "Engine",
    "Finished",
    "OutgoingPacket",
    "Prompt",
    "RadioAck",
    "RadioChannel",
    "RadioDown",
    "RadioEvent",
    "RadioInfo",
    "RadioLoad",
    "RadioNode",
    "RadioPacket",
    "RadioPort",
    "RadioRoute",
    "RadioUp",
    "Received",
]

DIAGNOSIS_BYTES = 60
"""What looking for a silent peer's reason takes of the shared medium, the answer not counted."""
BROADCAST = 0xFFFFFFFF
"""Meshtastic's broadcast node number."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What an engine is asked."""

    turns: tuple[Turn, ...]
    """The conversation, the question last."""
    max_tokens: int
    """Longest answer, in tokens, at least 1."""
    model: str = ""
    """Name of the wanted model; empty for the engine's own choice."""
    temperature: float = 0.0
    """0 takes the likeliest words: small models stay nearest to the facts, and the same question gets one answer."""
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """How an engine's answer ended."""

    model: str
    prompt_tokens: int
    answer_tokens: int
    truncated: bool
    """True when `max_tokens` or the context ended the answer, not the model."""
    first_token_s: float
    """Time to first token, from when the engine took the prompt."""
    seconds: float
    """From when the engine took the prompt to the end."""


class Engine(ABC):
    """Answers questions with one or more models."""

    @property
    @abstractmethod
    def models(self) -> tuple[ModelOffer, ...]:
        """The models this engine answers with now, with measured speed. Empty while none is ready."""

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many questions it works on at once."""

    @abstractmethod
    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the engine's process or connection until cancelled; `started()` once it can answer.

        Raises LocalError when the engine can't start at all.
        """

    @abstractmethod
    async def answer(self, prompt: Prompt, emit: Callable[[str], None]) -> Finished:
        """Answer `prompt`, calling `emit` with each piece of text as it is ready.

        Cancelling the task frees the slot within 1 s. Raises LocalError when this answer failed; the engine mends
        itself and the next answer can succeed.
        """


@dataclass(frozen=True, slots=True)
class Received:
    """A frame that a bearer brought."""

    frame: bytes
    peer: str
    """The sender's address on this bearer, such as `!1a2b3c4d`."""
    broadcast: bool
    hops: int
    """Transmissions along the path, at least 1; 0 when the bearer can't tell."""
    snr_db: float | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What frames cost the mesh, all transmitters along the path together."""

    packets: int = 0
    bytes_on_air: int = 0
    airtime_s: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.packets + other.packets,
            self.bytes_on_air + other.bytes_on_air,
            self.airtime_s + other.airtime_s,
        )

    def __sub__(self, other: Cost) -> Cost:
        return Cost(
            self.packets - other.packets,
            self.bytes_on_air - other.bytes_on_air,
            self.airtime_s - other.airtime_s,
        )

    def __mul__(self, times: int) -> Cost:
        return Cost(self.packets * times, self.bytes_on_air * times, self.airtime_s * times)


class Bearer(ABC):
    """Carries frames between nodes."""

    name: str
    """Short name for traces, such as `radio`."""

    @abstractmethod
    async def run(
        self,
        deliver: Callable[[Received], None],
        changed: Callable[[], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Own the link until cancelled, handing each frame to `deliver`; `started()` at once, link or not.

        `changed` is called whenever `problem`, `region` or `load` may differ from before.
        """

    @property
    @abstractmethod
    def problem(self) -> str:
        """Why nothing can be sent now, in plain words; empty when it can."""

    @property
    @abstractmethod
    def connected(self) -> bool:
        """Whether the link is there, be it that nothing may be sent by it: waiting mends only a link that is not."""

    @property
    @abstractmethod
    def region(self) -> str:
        """Whose radio law binds this bearer, such as `EU_868`; empty when none, or not yet known."""

    @property
    @abstractmethod
    def load(self) -> RadioLoad | None:
        """How busy the shared medium was when the link last told; None when it tells nothing of that kind."""

    @abstractmethod
    def cost(self, frame_bytes: int) -> Cost:
        """What one transmission of a frame takes of the shared medium, computed."""

    @abstractmethod
    def path_time_s(self, frame_bytes: int, hops: int) -> float:
        """Typical seconds for a frame to cross `hops` transmissions."""

    @abstractmethod
    async def send(self, frame: bytes, to: str | None, *, hops: int = 0) -> None:
        """Send one frame to a peer, or to all with `to=None`; returns when the next one may be sent.

        `hops` is the known length of the path in transmissions, 0 when unknown: a bearer on a shared medium waits
        until relays are done with this frame. Raises LocalError when the link is down.
        """

    @abstractmethod
    async def diagnose(self, to: str, *, hops: int = 0) -> RemoteError | None:
        """Look for the reason why a peer that should be there stays silent; None when there is none to be seen.

        Sends `DIAGNOSIS_BYTES` at most, for which the caller has waited its turn. Raises LocalError when the link is
        down.
        """


class ChannelKey(StrEnum):
    """What protects a channel."""

    NONE = "none"
    """Nothing: anyone reads along."""
    DEFAULT = "default"
    """Meshtastic's published key: anyone with such a radio reads along."""
    OWN = "own"
    """A key of its own: who was given it reads along."""


@dataclass(frozen=True, slots=True)
class RadioChannel:
    """One of a radio's channels."""

    index: int
    """0 is the primary one."""
    name: str
    """Empty for the preset's own name."""
    key: ChannelKey
    uplink: bool = False
    """Whether gateways carry it to the internet."""


@dataclass(frozen=True, slots=True)
class RadioInfo:
    """What a radio said about itself when the connection came up."""

    node_number: int
    long_name: str
    firmware: str
    region: str
    preset: str
    """Name of the modem preset, such as `LONG_FAST`; empty for a custom setting."""
    hop_limit: int
    role: str = "CLIENT"
    """Meshtastic's name, such as `ROUTER`."""
    rebroadcast_mode: str = "ALL"
    """Meshtastic's name, such as `CORE_PORTNUMS_ONLY`."""
    channels: tuple[RadioChannel, ...] = ()
    """Those in use, the primary one first."""
    licensed: bool = False
    """Amateur radio: more power, and no encryption."""
    ok_to_mqtt: bool = False
    """Whether the radio lets gateways carry its packets to the internet."""

    def channel(self, name: str) -> RadioChannel | None:
        """The channel with this name, if the radio has it."""
        return next((channel for channel in self.channels if channel.name == name), None)


@dataclass(frozen=True, slots=True)
class RadioUp:
    """The radio is connected and configured."""

    info: RadioInfo
    channel: int = 0
    """Index of the channel for our frames."""
    silence: str = ""
    """Why nothing may be sent by it all the same, in plain words; empty when it may."""


@dataclass(frozen=True, slots=True)
class RadioDown:
    """The radio is gone; the port tries to get it back."""

    reason: str


@dataclass(frozen=True, slots=True)
class RadioPacket:
    """A decoded data packet that the radio heard."""

    sender: int
    to: int
    port: int
    payload: bytes
    packet_id: int
    hop_start: int
    hop_limit: int
    snr_db: float | None = None
    channel: int = 0
    """Index of the channel that it came on; 0 for one sealed with our radio's own key."""
    pkc: bool = False
    """Whether it was sealed with our radio's own key, so that no relay could read it."""
    via_mqtt: bool = False
    """Whether it crossed the internet."""
    request_id: int = 0
    """The packet that this one answers."""
    reply_id: int = 0
    """The packet that a person replied to."""

    @property
    def hops(self) -> int:
        """Transmissions along the path: 1 when heard from the sender itself."""
        return self.hop_start - self.hop_limit + 1


@dataclass(frozen=True, slots=True)
class RadioAck:
    """The mesh's word on a packet we sent: a ROUTING_APP reply or a queue status with an error."""

    packet_id: int
    sender: int
    """Who acknowledged; our own number means only that somebody relayed it (implicit)."""
    error: int
    """`Routing.Error` number; 0 is success."""


@dataclass(frozen=True, slots=True)
class RadioLoad:
    """How busy the radio says the channel is; comes about once a minute."""

    channel_utilisation_percent: float
    """Share of the last minute in which it sent, heard or sensed something (`DeviceMetrics.channel_utilization`)."""
    air_util_tx_percent: float
    """Share of the last hour in which it sent (`DeviceMetrics.air_util_tx`)."""


@dataclass(frozen=True, slots=True)
class RadioNode:
    """What the radio knows of another radio; comes for each one after RadioUp, and again when it hears more."""

    number: int
    long_name: str
    role: str
    has_key: bool
    """Whether its public key is known: without it no message can be sealed for it."""


@dataclass(frozen=True, slots=True)
class RadioRoute:
    """The answer to a traceroute: which radios relayed it on its way there."""

    number: int
    """The radio that was looked for."""
    relays: tuple[int, ...]
    """Node numbers of the relays on the way there, in order; `BROADCAST` for one that could not name itself."""


RadioEvent = RadioUp | RadioDown | RadioPacket | RadioAck | RadioLoad | RadioNode | RadioRoute


@dataclass(frozen=True, slots=True)
class OutgoingPacket:
    """A data packet for a radio's queue."""

    payload: bytes
    to: int
    port: int
    channel: int = 0
    """An index of `RadioInfo.channels`."""
    want_ack: bool = False
    want_response: bool = False
    """Whether the receiver's program is asked for an answer."""
    reply_id: int = 0
    """The packet that a person's app shows it as a reply to."""
    hop_limit: int | None = None
    """None for the radio's own."""
    packet_id: int = 0
    """0 until it has one."""


class RadioPort(ABC):
    """A Meshtastic radio, real or virtual, as the radio bearer sees it."""

    @abstractmethod
    async def run(self, deliver: Callable[[RadioEvent], None]) -> None:
        """Own the connection until cancelled, and rebuild it when it breaks or falls silent.

        `deliver` is called from the trio thread only: `RadioUp` first, `RadioDown` on each loss.
        Raises LocalError only for what waiting can't mend, such as a missing permission.
        """

    async def transmit(
        self,
        payload: bytes,
        *,
        to: int,
        port: int,
        channel: int = 0,
        want_ack: bool = False,
        want_response: bool = False,
        reply_id: int = 0,
        hop_limit: int | None = None,
    ) -> int:
        """As `hand_over`, for a packet with these fields."""
        packet = OutgoingPacket(payload, to, port, channel, want_ack, want_response, reply_id, hop_limit)
        return await self.hand_over(packet)

    @abstractmethod
    async def hand_over(self, packet: OutgoingPacket) -> int:
        """Hand one data packet to the radio's queue and return its packet id.

        Priority is BACKGROUND, so that people's own messages pass it. Waits while the radio's queue is full; never
        blocks the trio thread. Raises LocalError when the radio is gone.
        """

    @abstractmethod
    async def request_node_info(self, number: int, *, channel: int = 0) -> None:
        """Exchange node information, and so public keys, with that radio; a RadioNode follows if it answers.

        Raises LocalError when the radio is gone.
        """

    @abstractmethod
    async def trace_route(self, number: int, *, channel: int = 0) -> None:
        """Look for the way to that radio; a RadioRoute follows if it answers. Firmware allows one in 30 s.

        Raises LocalError when the radio is gone.
        """
