"""LoRa presets and time on air: the only copy of these formulas in the tree.

Pure arithmetic. Sources: Semtech AN1200.13 (time on air), Meshtastic firmware `src/mesh/MeshRadio.h` and
`RadioInterface.cpp` (presets, slot time, contention windows).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from protocol.errors import LocalError

__all__ = [
    "DEFAULT_PRESET",
    "HEADER_BYTES",
    "PREAMBLE_SYMBOLS",
    "PRESETS",
    "Preset",
    "data_bytes_on_air",
    "path_time_s",
    "preset_named",
    "time_on_air_s",
    "transmissions",
]

HEADER_BYTES = 16
"""Meshtastic's packet header on the air: to, from, id, flags, channel hash, next hop, relay node."""

PREAMBLE_SYMBOLS = 16
"""Meshtastic's preamble below 2.4 GHz."""
_CW_MIN, _CW_MAX = 3, 8
_CW_RELAY = 7
"""Contention window exponent of a relay that heard +4 dB SNR, the median of real meshes."""


@dataclass(frozen=True, slots=True)
class Preset:
    """One of Meshtastic's modem presets."""

    name: str
    spreading_factor: int
    bandwidth_hz: int
    coding_rate: int
    """Denominator of 4/x, 5 to 8."""

    @property
    def symbol_s(self) -> float:
        """Seconds of one LoRa symbol."""
        return (1 << self.spreading_factor) / self.bandwidth_hz

    @property
    def slot_s(self) -> float:
        """Seconds of one contention slot (firmware: `2.5 * symbol + 7.6 ms`, whole milliseconds)."""
        return int(2.5 * self.symbol_s * 1000 + 7.6) / 1000


def _presets(*rows: tuple[str, int, float, int]) -> dict[str, Preset]:
    return {name: Preset(name, sf, round(khz * 1000), cr) for name, sf, khz, cr in rows}


PRESETS: dict[str, Preset] = _presets(
    ("SHORT_TURBO", 7, 500, 5),
    ("SHORT_FAST", 7, 250, 5),
    ("SHORT_SLOW", 8, 250, 5),
    ("MEDIUM_TURBO", 9, 500, 5),
    ("MEDIUM_FAST", 9, 250, 5),
    ("MEDIUM_SLOW", 10, 250, 5),
    ("LONG_TURBO", 11, 500, 8),
    ("LONG_FAST", 11, 250, 5),
    ("LONG_MODERATE", 11, 125, 8),
    ("LONG_SLOW", 12, 125, 8),
    ("LITE_FAST", 9, 125, 5),
    ("LITE_SLOW", 10, 125, 5),
    ("NARROW_FAST", 7, 62.5, 6),
    ("NARROW_SLOW", 8, 62.5, 6),
    ("TINY_FAST", 7, 15.6, 5),
    ("TINY_SLOW", 8, 15.6, 6),
)
"""Preset name -> its radio parameters."""

DEFAULT_PRESET = PRESETS["LONG_FAST"]
"""What a Meshtastic radio uses out of the box."""


def preset_named(name: str) -> Preset:
    """Return the preset called `name`, in any case; raises LocalError naming the known ones."""
    try:
        return PRESETS[name.upper()]
    except KeyError:
        raise LocalError(
            f"unknown preset {name!r}", "Meshtastic has none of that name", f"use one of {', '.join(PRESETS)}"
        ) from None


def time_on_air_s(preset: Preset, phy_bytes: int, *, preamble_symbols: int = PREAMBLE_SYMBOLS) -> float:
    """Seconds that a packet of `phy_bytes` (Meshtastic's header included, 0 to 255) occupies the channel.

    Explicit header, CRC on, low-data-rate optimisation exactly when a symbol lasts 16 ms or more (AN1200.13).
    """
    if not 0 <= phy_bytes <= 255:
        raise LocalError(f"a LoRa packet holds 0 to 255 bytes, not {phy_bytes}")
    sf = preset.spreading_factor
    low_rate = 1 if preset.symbol_s >= 0.016 else 0
    payload_symbols = max(ceil((8 * phy_bytes - 4 * sf + 28 + 16) / (4 * (sf - 2 * low_rate))) * preset.coding_rate, 0)
    return (preamble_symbols + 4.25 + 8 + payload_symbols) * preset.symbol_s


def data_bytes_on_air(payload_bytes: int, port: int) -> int:
    """PHY bytes of a Meshtastic data packet with `payload_bytes` on `port`: header, protobuf tags and bitfield.

    The protobuf `Data` message spends 1 + varint(port) on the port, 1 + varint(length) on the payload's head, and the
    firmware's bitfield 2 (firmware `mesh.proto`, `Router.cpp`).
    """
    return HEADER_BYTES + 1 + _varint_bytes(port) + 1 + _varint_bytes(payload_bytes) + payload_bytes + 2


def path_time_s(preset: Preset, phy_bytes: int, hops: int) -> float:
    """Typical seconds for one packet to cross `hops` transmissions, contention included, on a quiet channel.

    The origin waits half a minimum window; a CLIENT relay waits 2 * CWmax slots and half the window that its SNR gives
    (firmware `RadioInterface::getTxDelayMsecWeighted`).
    """
    own = (1 << _CW_MIN) / 2 * preset.slot_s
    relay = (2 * _CW_MAX + (1 << _CW_RELAY) / 2) * preset.slot_s
    return hops * time_on_air_s(preset, phy_bytes) + own + max(hops - 1, 0) * relay


def transmissions(hops: float) -> float:
    """How often a packet that relays can read goes on the air around its sender, on a path of `hops` transmissions.

    Somebody beside the path relays it too, unless he hears another do so first; a fifth of the relays is added for
    those that met on the air and were made again. Measured over virtual radios: 2.0 to 2.2 where all hear one another.
    """
    return 1 + 1.2 * hops


def _varint_bytes(value: int) -> int:
    return max(1, (value.bit_length() + 6) // 7)
