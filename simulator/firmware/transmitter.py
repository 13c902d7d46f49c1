"""When a radio transmits: its queue, the contention before each send, and what it counts of the air.

Source: firmware `RadioLibInterface`, `RadioInterface`. Takes closed packets; knows not what they are for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from protocol.airtime import Preset, time_on_air_s
from simulator.channels import REGIONS
from simulator.firmware.airload import AirLoad
from simulator.firmware.host import Host
from simulator.firmware.mac import mac_rules
from simulator.firmware.settings import RadioSettings
from simulator.firmware.txqueue import Queued, TransmitQueue
from simulator.packet import MAX_PHY_BYTES, Packet

if TYPE_CHECKING:
    from random import Random

    from simulator.medium import Timer

__all__ = ["Transmitter"]

_PROCESSING_S = 4.5
"""What the firmware adds to a retransmission timeout for the other side's work."""
_CHATTER_SHARE = 0.5
"""Part of a region's duty cycle that the firmware's own chatter may use (`polite_duty_cycle_percent`)."""


class Transmitter:
    """One radio's way to the air."""

    def __init__(self, host: Host, settings: RadioSettings, preset: Preset, rng: Random) -> None:
        self._host = host
        self._settings = settings
        self._preset = preset
        self._rng = rng
        self.rules = mac_rules(settings.firmware)
        """How it contends and how often it tries."""
        self._slot_s = self.rules.slot_s(preset)
        self._snr_shift_db = self.rules.snr_shift_db(preset)
        self._queue = TransmitQueue(in_turn=self.rules.queues_in_turn)
        self._dropped: dict[tuple[int, int], Queued] = {}
        """With a queue in turn: packets that were cancelled when their turn came. A further copy takes another turn."""
        self._load = AirLoad()
        self._timer: Timer | None = None

    @property
    def free_places(self) -> int:
        """Places left in the queue."""
        return self._queue.free_places

    @property
    def utilisation_percent(self) -> float:
        """Share of the last minute in which the channel was in use here."""
        return self._load.channel_percent(self._host.now_s)

    @property
    def sending_percent(self) -> float:
        """Share of the last hour in which it sent."""
        return self._load.sending_percent(self._host.now_s)

    @property
    def window(self) -> int:
        """Exponent of the contention window for own packets."""
        return self.rules.own_window(self.utilisation_percent)

    def retry_timeout_s(self, phy_bytes: int) -> float:
        """How long to wait, on a channel as busy as now, before a packet that nobody passed on is sent again."""
        airtime_s = time_on_air_s(self._preset, min(phy_bytes, MAX_PHY_BYTES))
        return 2 * airtime_s + self.rules.retry_slots(self.window) * self._slot_s + _PROCESSING_S

    @property
    def within_duty_cycle(self) -> bool:
        """False when the region's share of the hour is used up."""
        limit_percent = REGIONS[self._settings.region][2]
        return limit_percent >= 100 or self.sending_percent <= limit_percent

    @property
    def has_airtime_for_chatter(self) -> bool:
        """False when half of the region's share of the hour is used up: the rest is for others' packets and people."""
        limit_percent = REGIONS[self._settings.region][2]
        return limit_percent >= 100 or self.sending_percent < limit_percent * _CHATTER_SHARE

    def queue(self, packet: Packet, priority: int, snr_db: float | None) -> bool:
        """Take a packet to send, relayed ones with the SNR they were heard with; False when there is no place."""
        taken = self._queue.add(Queued(packet, priority, snr_db))
        self.arm()
        return taken

    def find(self, key: tuple[int, int]) -> Queued | None:
        """A waiting copy of a packet."""
        return self._queue.find(key)

    def cancel(self, key: tuple[int, int]) -> bool:
        """Drop one waiting copy of a packet; False when there is none."""
        if waiting := self._queue.find(key):
            self._queue.remove(waiting)
        elif key in self._dropped:
            self._queue.add(self._dropped.pop(key))
            self.arm()
        return waiting is not None

    def put_off(self, key: tuple[int, int]) -> None:
        """Move a waiting copy behind all others and into the window after them, once."""
        waiting = self._queue.find(key)
        if waiting and not waiting.not_before_s:
            self._queue.remove(waiting)
            wait_s = self.rules.late_wait_slots(waiting.snr_db or 0.0) * self._slot_s
            self._queue.add(replace(waiting, not_before_s=self._host.now_s + wait_s))

    def sent(self, airtime_s: float) -> None:
        """A transmission is over."""
        self._load.sent(self._host.now_s, airtime_s)
        self.arm()

    def sensed(self, airtime_s: float) -> None:
        """The channel was in use by somebody else."""
        self._load.sensed(self._host.now_s, airtime_s)

    def stop(self) -> None:
        """Send no more."""
        if self._timer is not None:
            self._timer.cancel()

    def arm(self) -> None:
        """Draw how long the front of the queue waits for the channel, unless a wait is under way."""
        if self._timer is not None or (front := self._queue.front) is None:
            return
        if front.snr_db is None:
            slots = self._rng.randrange(1 << self.window)
        else:
            snr_db = front.snr_db + self._snr_shift_db
            slots = self.rules.relay_wait_slots(self._settings.role, snr_db, self._rng)
        due_s = max(self._host.now_s, front.not_before_s) + slots * self._slot_s
        self._timer = self._host.call_at(due_s, self._wait_is_over)

    def _wait_is_over(self) -> None:
        self._timer = None
        front = self._queue.front
        if front is None:
            return
        if self._host.channel_is_free() and front.not_before_s <= self._host.now_s:
            self._queue.pop()
            if not front.is_cancelled:
                self._host.transmit(front.packet)
                return
            self._dropped[front.packet.key] = front
        self.arm()
