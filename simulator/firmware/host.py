"""What a radio's firmware stands on, and what it says to the client: the seam between firmware and radio.

No behaviour lives here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.firmware.settings import KnownNode
from simulator.firmware.txqueue import QUEUE_PLACES
from simulator.packet import Packet

if TYPE_CHECKING:
    from simulator.medium import Timer

__all__ = ["Host", "QueueStatus"]


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
    def to_client(self, packet: Packet, snr_db: float | None = None) -> None:
        """Hand a packet to the client, or keep it for one; with its SNR when it came from the air."""

    @abstractmethod
    def queue_status(self, status: QueueStatus) -> None:
        """Tell the client about the queue."""

    @abstractmethod
    def learnt(self, node: KnownNode) -> None:
        """The node database knows more of `node` than before."""
