"""What a Meshtastic radio's firmware does with packets: managed flooding, contention, retransmission, acknowledgement.

The logic of one radio, without I/O: it asks its host for timers and the channel and hands packets back. It knows
nothing of the medium or of clients. Source: firmware 2.8.0 `src/mesh/` (`RadioInterface`, `RadioLibInterface`,
`FloodingRouter`, `ReliableRouter`), and traces recorded from it. Every radio here is a CLIENT on one channel that all
can read; direct messages are not sealed with the receiver's key (PKC), so relays read, deduplicate and cancel them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from protocol.airtime import Preset, time_on_air_s
from simulator.packet import BROADCAST, MAX_PHY_BYTES, ROUTING_PORT, TEXT_PORT, Packet, RoutingError

if TYPE_CHECKING:
    from random import Random

    from simulator.medium import Timer

__all__ = ["DEFAULT_HOP_LIMIT", "QUEUE_PLACES", "Firmware", "Host", "QueueStatus", "routing_payload"]

DEFAULT_HOP_LIMIT = 3
QUEUE_PLACES = 16

_MAX_HOP_LIMIT = 7
_CW_MIN, _CW_MAX = 3, 8
_SNR_MIN_DB, _SNR_MAX_DB = -20, 10
_TRIES = 3
_PROCESSING_S = 4.5
"""What the firmware adds to a retransmission timeout for the other side's work."""
_HISTORY_S = 600.0
_HISTORY_PACKETS = 1024
_UTILISATION_PERIODS, _PERIOD_S = 6, 10.0

_PRIORITY_ACK, _PRIORITY_HIGH, _PRIORITY_RELIABLE, _PRIORITY_DEFAULT = 120, 100, 70, 64
_ADMIN_PORT = 6


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """What the radio tells its client about its transmit queue."""

    error: int
    """0, or why the packet was refused: a `RoutingError` number."""
    free: int
    packet_id: int
    """The packet this is about; 0 when asked by a heartbeat."""
    places: int = QUEUE_PLACES


class Host(ABC):
    """What the firmware stands on."""

    @property
    @abstractmethod
    def now_s(self) -> float:
        """Seconds on the clock that `call_at` uses."""

    @abstractmethod
    def call_at(self, time_s: float, action: Callable[[], None]) -> Timer:
        """Have `action` called at that time, unless the timer is cancelled."""

    @abstractmethod
    def channel_is_free(self) -> bool:
        """True when the radio neither sends nor detects anything."""

    @abstractmethod
    def transmit(self, packet: Packet) -> None:
        """Put the packet on the air; `Firmware.sent` is called when it is out."""

    @abstractmethod
    def to_client(self, packet: Packet) -> None:
        """Hand a packet to the client, or keep it for one."""

    @abstractmethod
    def queue_status(self, status: QueueStatus) -> None:
        """Tell the client about the queue."""


@dataclass(frozen=True, slots=True)
class _Queued:
    """A packet that waits for the channel."""

    packet: Packet
    priority: int
    snr_db: float | None
    """How a relayed packet was heard; None for one of our own."""


@dataclass(slots=True)
class _Pending:
    """A packet of ours that wants an acknowledgement."""

    packet: Packet
    tries_left: int
    deadline_s: float
    timer: Timer


@dataclass(slots=True)
class _Utilisation:
    """Share of the last minute in which this radio saw the channel in use, in steps of ten seconds."""

    busy_s: dict[int, float] = field(default_factory=dict)
    """Number of the period -> seconds in use."""

    def add(self, now_s: float, airtime_s: float) -> None:
        period = int(now_s // _PERIOD_S)
        self.busy_s[period] = self.busy_s.get(period, 0.0) + airtime_s
        for old in [number for number in self.busy_s if number <= period - _UTILISATION_PERIODS]:
            del self.busy_s[old]

    def percent(self, now_s: float) -> float:
        oldest = int(now_s // _PERIOD_S) - _UTILISATION_PERIODS
        busy_s = sum(seconds for number, seconds in self.busy_s.items() if number > oldest)
        return min(100.0 * busy_s / (_UTILISATION_PERIODS * _PERIOD_S), 100.0)


class Firmware:
    """The packet logic of one radio. A restart is a new one."""

    def __init__(
        self, host: Host, preset: Preset, rng: Random, node_number: int, hop_limit: int = DEFAULT_HOP_LIMIT
    ) -> None:
        self._host = host
        self._preset = preset
        self._rng = rng
        self._node_number = node_number
        self._hop_limit = hop_limit
        self._queue: list[_Queued] = []
        self._send_timer: Timer | None = None
        self._pending: dict[int, _Pending] = {}
        self._heard_at_s: dict[tuple[int, int], float] = {}
        self._utilisation = _Utilisation()

    @property
    def free_places(self) -> int:
        """Places left in the transmit queue."""
        return QUEUE_PLACES - len(self._queue)

    @property
    def utilisation_percent(self) -> float:
        """Channel utilisation as this radio sees it, 0 to 100."""
        return self._utilisation.percent(self._host.now_s)

    def new_packet_id(self) -> int:
        """Return a fresh packet id."""
        return self._rng.randint(1, 0xFFFFFFFF)

    def stop(self) -> None:
        """Forget every timer: the radio lost its power."""
        if self._send_timer is not None:
            self._send_timer.cancel()
        for pending in self._pending.values():
            pending.timer.cancel()

    def send(self, packet: Packet) -> int:
        """Take a packet from the client and return its id, drawn when it has none; a queue status follows at once."""
        hop_limit = min(packet.hop_limit or self._hop_limit, _MAX_HOP_LIMIT)
        packet = replace(
            packet,
            sender=self._node_number,
            packet_id=packet.packet_id or self.new_packet_id(),
            hop_limit=hop_limit,
            hop_start=hop_limit,
            relay_node=self._node_number & 0xFF,
        )
        if packet.phy_bytes > MAX_PHY_BYTES:
            self._status(packet, RoutingError.TOO_LARGE)
            self._tell_client(packet, RoutingError.TOO_LARGE)
        elif packet.to == self._node_number:
            self._status(packet, RoutingError.NONE)
            if packet.want_ack:
                self._tell_client(packet, RoutingError.NONE)
        else:
            queued = self._originate(packet)
            self._status(packet, RoutingError.NONE if queued else RoutingError.BAD_REQUEST)
        return packet.packet_id

    def sent(self, packet: Packet, airtime_s: float) -> None:
        """Our transmission is over."""
        self._utilisation.add(self._host.now_s, airtime_s)
        self._lengthen_pending(airtime_s, but=packet.packet_id)
        self._arm()

    def noise(self, airtime_s: float) -> None:
        """The channel was in use and nothing could be read."""
        self._utilisation.add(self._host.now_s, airtime_s)
        self._arm()

    def heard(self, packet: Packet, snr_db: float, airtime_s: float) -> None:
        """A packet arrived whole from the air."""
        self._utilisation.add(self._host.now_s, airtime_s)
        if packet.sender == self._node_number:
            self._heard_own(packet)
        elif self._remember(packet):
            self._heard_new(packet, snr_db)
        else:
            self._heard_again(packet, snr_db)
        self._lengthen_pending(airtime_s)
        self._arm()

    def _heard_own(self, packet: Packet) -> None:
        """Somebody relayed our packet: the implicit acknowledgement."""
        if pending := self._pending.get(packet.packet_id):
            self._settle(packet.packet_id)
            self._tell_client(pending.packet, RoutingError.NONE)

    def _heard_new(self, packet: Packet, snr_db: float) -> None:
        if packet.to == self._node_number:
            self._settle(packet.request_id)
            self._acknowledge(packet)
        if packet.to in (self._node_number, BROADCAST):
            self._host.to_client(packet)
        self._relay(packet, snr_db)

    def _heard_again(self, packet: Packet, snr_db: float) -> None:
        waiting = next((place for place in self._queue if place.packet.key == packet.key), None)
        if not packet.is_direct:
            if waiting is not None:
                self._queue.remove(waiting)
        elif waiting is None:
            if packet.to == self._node_number and packet.want_ack:
                self._originate(self._routing_reply(packet, hop_limit=0))
            self._relay(packet, snr_db)

    def _acknowledge(self, packet: Packet) -> None:
        """Answer `want_ack`. An answer is only confirmed when it came directly: else its sender heard it relayed."""
        if not packet.want_ack:
            return
        if not (packet.request_id or packet.reply_id):
            hops_used = packet.hop_start - packet.hop_limit
            hop_limit = hops_used if hops_used > self._hop_limit else min(hops_used + 2, self._hop_limit)
            self._originate(self._routing_reply(packet, hop_limit, want_ack=packet.port == TEXT_PORT))
        elif packet.is_direct:
            self._originate(self._routing_reply(packet, hop_limit=0))

    def _relay(self, packet: Packet, snr_db: float) -> None:
        if packet.hop_limit > 0 and packet.to != self._node_number:
            copy = replace(packet, hop_limit=packet.hop_limit - 1, relay_node=self._node_number & 0xFF, priority=0)
            self._enqueue(_Queued(copy, _priority(copy), snr_db))

    def _originate(self, packet: Packet) -> bool:
        """Queue a packet of our own; False when the queue is full of packets that matter as much."""
        self._remember(packet)
        on_air = replace(packet, want_ack=packet.want_ack and packet.to != BROADCAST)
        queued = self._enqueue(_Queued(on_air, _priority(packet), None))
        if queued and packet.want_ack:
            self._expect(packet, on_air, _TRIES - 1)
        return queued

    def _expect(self, packet: Packet, on_air: Packet, tries_left: int) -> None:
        """Wait for an acknowledgement, then try again or give up."""

        def overdue() -> None:
            pending = self._pending[packet.packet_id]
            if self._host.now_s < pending.deadline_s:
                pending.timer = self._host.call_at(pending.deadline_s, overdue)
            elif pending.tries_left:
                self._enqueue(_Queued(on_air, _priority(packet), None))
                self._arm()
                self._expect(packet, on_air, pending.tries_left - 1)
            else:
                del self._pending[packet.packet_id]
                self._tell_client(packet, RoutingError.MAX_RETRANSMIT)

        deadline_s = self._host.now_s + self._timeout_s(on_air)
        timer = self._host.call_at(deadline_s, overdue)
        self._pending[packet.packet_id] = _Pending(packet, tries_left, deadline_s, timer)

    def _settle(self, packet_id: int) -> None:
        """Our packet was acknowledged: stop trying."""
        if pending := self._pending.pop(packet_id, None):
            pending.timer.cancel()
            self._queue = [place for place in self._queue if place.packet.key != pending.packet.key]

    def _lengthen_pending(self, airtime_s: float, but: int = 0) -> None:
        """While the channel carried something else, no acknowledgement could come."""
        for packet_id, pending in self._pending.items():
            if packet_id != but:
                pending.deadline_s += airtime_s

    def _timeout_s(self, packet: Packet) -> float:
        slots = (1 << self._own_window()) + 2 * _CW_MAX + (1 << (_CW_MAX + _CW_MIN) // 2)
        return 2 * time_on_air_s(self._preset, packet.phy_bytes) + slots * self._preset.slot_s + _PROCESSING_S

    def _enqueue(self, place: _Queued) -> bool:
        """Queue by priority, first come first; a full queue gives up its last packet for a more important one."""
        if not self.free_places:
            if self._queue[-1].priority >= place.priority:
                return False
            self._queue.pop()
        insort(self._queue, place, key=lambda queued: -queued.priority)
        self._arm()
        return True

    def _arm(self) -> None:
        """Draw how long the front of the queue waits for the channel, unless a wait is under way."""
        if self._send_timer is None and self._queue:
            wait_s = self._contention_slots(self._queue[0].snr_db) * self._preset.slot_s
            self._send_timer = self._host.call_at(self._host.now_s + wait_s, self._wait_is_over)

    def _wait_is_over(self) -> None:
        self._send_timer = None
        if not self._queue:
            return
        if self._host.channel_is_free():
            self._host.transmit(self._queue.pop(0).packet)
        else:
            self._arm()

    def _contention_slots(self, snr_db: float | None) -> int:
        if snr_db is None:
            return self._rng.randrange(1 << self._own_window())
        window = _scale(int(snr_db), _SNR_MIN_DB, _SNR_MAX_DB)
        return 2 * _CW_MAX + self._rng.randrange(1 << max(window, 0))

    def _own_window(self) -> int:
        return _scale(int(self.utilisation_percent), 0, 100)

    def _remember(self, packet: Packet) -> bool:
        """Note a packet in the history; False when it was there already."""
        now_s = self._host.now_s
        known_s = self._heard_at_s.pop(packet.key, None)
        self._heard_at_s[packet.key] = now_s
        while len(self._heard_at_s) > _HISTORY_PACKETS:
            del self._heard_at_s[next(iter(self._heard_at_s))]
        return known_s is None or now_s - known_s > _HISTORY_S

    def _status(self, packet: Packet, error: RoutingError) -> None:
        self._host.queue_status(QueueStatus(error, self.free_places, packet.packet_id))

    def _tell_client(self, packet: Packet, error: RoutingError) -> None:
        """Report on the client's own packet, as from this radio itself."""
        report = Packet(
            self._node_number,
            self._node_number,
            self.new_packet_id(),
            ROUTING_PORT,
            routing_payload(error),
            request_id=packet.packet_id,
            priority=_PRIORITY_ACK,
        )
        self._host.to_client(report)

    def _routing_reply(self, packet: Packet, hop_limit: int, want_ack: bool = False) -> Packet:
        return Packet(
            self._node_number,
            packet.sender,
            self.new_packet_id(),
            ROUTING_PORT,
            routing_payload(RoutingError.NONE),
            want_ack=want_ack,
            hop_limit=hop_limit,
            hop_start=hop_limit,
            relay_node=self._node_number & 0xFF,
            request_id=packet.packet_id,
            priority=_PRIORITY_ACK,
        )


def routing_payload(error: int) -> bytes:
    """Encode Meshtastic's `Routing {error_reason}`, whose success is written out too."""
    return bytes((0x18, error))


def _priority(packet: Packet) -> int:
    """The priority in the queue: what the client asked for, else what the firmware gives."""
    if packet.priority:
        return packet.priority
    if packet.port == ROUTING_PORT and packet.request_id:
        return _PRIORITY_ACK
    if packet.port in (TEXT_PORT, _ADMIN_PORT):
        return _PRIORITY_HIGH
    return _PRIORITY_RELIABLE if packet.want_ack or packet.want_response else _PRIORITY_DEFAULT


def _scale(value: int, low: int, high: int) -> int:
    """Arduino's integer `map` onto the contention windows; deliberately unclamped, as in the firmware."""
    return int((value - low) * (_CW_MAX - _CW_MIN) / (high - low)) + _CW_MIN
