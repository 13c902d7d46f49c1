"""Contention by firmware version: how long a radio waits before it sends, and how often it tries, as data.

Pure rules; knows no queue, clock or packet. Source: firmware `RadioInterface`, `ReliableRouter` and `FloodingRouter`,
2.0 to 2.8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocol.airtime import Preset
from simulator.firmware.settings import release
from simulator.lora import noise_floor_dbm

if TYPE_CHECKING:
    from random import Random

__all__ = ["OLDEST", "PRESENT", "MacRules", "mac_rules"]

_SNR_MIN_DB = -20


@dataclass(frozen=True, slots=True)
class MacRules:
    """How radios of one age share the channel. The defaults are those of 2.6 to 2.8."""

    cw_min: int = 3
    cw_max: int = 8
    """Exponents of the smallest and largest contention window."""
    snr_max_db: int = 10
    """A relay that heard so well takes the largest window; the smallest one at -20 dB."""
    clients_wait_for_routers: bool = True
    """Whether a relay that is no router waits out the routers' windows first."""
    long_slots: bool = False
    """Whether a slot is 8.5 symbols and 7.6 ms long, not 2.5 symbols and 7.6 ms in whole milliseconds."""
    own_tries: int = 3
    """How often a packet of its own that wants to be heard of is sent, at most (`NUM_RELIABLE_RETX`)."""
    waits_longer_on_busy_air: bool = True
    """Whether what is on the air meanwhile prolongs the wait for the next try."""
    takes_repeats: bool = True
    """Whether a repeat by the sender itself, and a copy with more hops left, is passed on again."""
    queues_in_turn: bool = False
    """Whether the queue has no end and no priorities, and a cancelled packet keeps its turn, wait and all.

    A further copy of one that was dropped so takes another turn.
    """
    noise_dbm: float | None = None
    """What SNRs are reckoned against; None for what the receiver's noise really is."""

    def slot_s(self, preset: Preset) -> float:
        """Seconds of one contention slot."""
        return 8.5 * preset.symbol_s + 0.0076 if self.long_slots else preset.slot_s

    def snr_shift_db(self, preset: Preset) -> float:
        """What a relay adds to the SNR it measured."""
        return 0.0 if self.noise_dbm is None else noise_floor_dbm(preset.bandwidth_hz) - self.noise_dbm

    def own_window(self, utilisation_percent: float) -> int:
        """Exponent of the contention window for a radio's own packets."""
        return self._scale(int(utilisation_percent), 0, 100)

    def relay_window(self, snr_db: float) -> int:
        """Exponent of a relay's contention window: the better it heard, the larger.

        Arduino's integer `map`, deliberately unclamped above, as in the firmware.
        """
        return max(self._scale(int(snr_db), _SNR_MIN_DB, self.snr_max_db), 0)

    def relay_wait_slots(self, role: str, snr_db: float, rng: Random) -> int:
        """Slots that a relay waits before it sends: the worse it heard, the shorter; routers before everybody else."""
        window = self.relay_window(snr_db)
        if role == "ROUTER":
            return rng.randrange(max(2 * window, 1))
        return (2 * self.cw_max if self.clients_wait_for_routers else 0) + rng.randrange(1 << window)

    def late_wait_slots(self, snr_db: float) -> int:
        """Slots by which a ROUTER_LATE puts its copy off when somebody else passed the packet on."""
        return 2 * self.cw_max + (1 << self.relay_window(snr_db))

    def retry_slots(self, own_window: int) -> int:
        """Slots that a packet and its relay may take: the own window, the routers' head start, a middling relay."""
        head_start = 2 * self.cw_max if self.clients_wait_for_routers else 0
        return (1 << own_window) + head_start + (1 << (self.cw_max + self.cw_min) // 2)

    def _scale(self, value: int, low: int, high: int) -> int:
        return int((value - low) * (self.cw_max - self.cw_min) / (high - low)) + self.cw_min


PRESENT = MacRules()
"""2.6 and later."""

_BEFORE_2_6 = MacRules(cw_min=2, cw_max=7, snr_max_db=15, long_slots=True)
"""2.5; stands for 2.2 to 2.4 too, which took slots of 42 ms on every preset and windows up to 2^8."""

OLDEST = MacRules(
    cw_min=2,
    cw_max=8,
    snr_max_db=15,
    clients_wait_for_routers=False,
    long_slots=True,
    own_tries=4,
    waits_longer_on_busy_air=False,
    takes_repeats=False,
    queues_in_turn=True,
    noise_dbm=-119.25,
)
"""What Meshtasticator has: 2.0 and 2.1 as its authors read them.

Those versions had these windows and no head start for routers before clients (it came with 2.1.15). Of the firmware
differ: the slots, which it took as 42 ms whatever the preset; one try more; the wait for the next try, which it
prolonged; the queue, which had sixteen places and forgot at once what was cancelled; and the noise, a fixed number in
place of a measurement.
"""


def mac_rules(firmware: str) -> MacRules:
    """The rules of a firmware version such as `2.8.0`."""
    version = release(firmware)
    if version >= (2, 6):
        return PRESENT
    return _BEFORE_2_6 if version >= (2, 2) else OLDEST
