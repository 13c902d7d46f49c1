"""A radio's channels: names, keys, the hash that stands for both on the air, and the frequency a region gives them.

Pure data and arithmetic from the firmware's `Channels.cpp` and `RadioInterface.cpp`. Nothing is encrypted here: two
radios read each other on a channel when hash and key agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import xor

from protocol.airtime import Preset
from protocol.errors import LocalError

__all__ = [
    "CHANNELS_MAX",
    "DEFAULT_KEY",
    "REGIONS",
    "Channel",
    "Tuning",
    "channel_hash",
    "expanded_key",
    "shown_name",
    "tuning",
]

CHANNELS_MAX = 8

DEFAULT_KEY = b"\x01"
"""Meshtastic's way to write the publicly known key of the default channel."""

_KNOWN_KEY = bytes.fromhex("d4f1bb3a20290759f0bcffabcf4e6901")
"""That key, as every radio has it; its variants differ in the last byte."""
_NAME_BYTES_MAX = 11
_KEY_BYTES = (0, 1, 16, 32)


@dataclass(frozen=True, slots=True)
class Channel:
    """One of a radio's channels; the first is the primary one."""

    name: str = ""
    """At most 11 bytes; empty for the preset's own name."""
    key: bytes = DEFAULT_KEY
    """0 bytes for none (a secondary channel then uses the primary's), 1 for a publicly known one, 16 or 32."""
    uplink: bool = False
    """Whether gateways carry it to the internet."""
    downlink: bool = False
    enabled: bool = True
    """False for an empty place before one in use."""

    def __post_init__(self) -> None:
        if len(self.name.encode()) > _NAME_BYTES_MAX:
            raise LocalError(f"the channel name {self.name!r} is too long", "a radio holds 11 bytes of it")
        if len(self.key) not in _KEY_BYTES:
            raise LocalError(f"a channel key of {len(self.key)} bytes is impossible", "", "use 0, 1, 16 or 32 bytes")


def expanded_key(key: bytes) -> bytes:
    """The key that a one-byte key stands for; longer ones and none as they are."""
    if len(key) != 1:
        return key
    return _KNOWN_KEY[:-1] + bytes(((_KNOWN_KEY[-1] + key[0] - 1) & 0xFF,)) if key[0] else b""


def shown_name(channel: Channel, preset: Preset) -> str:
    """The channel's name as it counts on the air: the preset's where it has none, such as `LongFast`."""
    return channel.name or "".join(word.capitalize() for word in preset.name.split("_")).replace("Moderate", "Mod")


def channel_hash(name: str, key: bytes) -> int:
    """The byte that stands for a channel in a packet's header, from its shown name and expanded key."""
    return reduce(xor, name.encode() + key, 0)


REGIONS: dict[str, tuple[float, float, float]] = {
    "US": (902.0, 928.0, 100),
    "EU_433": (433.0, 434.0, 10),
    "EU_868": (869.4, 869.65, 10),
    "CN": (470.0, 510.0, 100),
    "JP": (920.5, 923.5, 100),
    "ANZ": (915.0, 928.0, 100),
    "ANZ_433": (433.05, 434.79, 100),
    "RU": (868.7, 869.2, 100),
    "KR": (920.0, 923.0, 100),
    "TW": (920.0, 925.0, 100),
    "IN": (865.0, 867.0, 100),
    "NZ_865": (864.0, 868.0, 100),
    "TH": (920.0, 925.0, 10),
    "UA_433": (433.0, 434.7, 10),
    "UA_868": (868.0, 868.6, 1),
    "MY_433": (433.0, 435.0, 100),
    "MY_919": (919.0, 924.0, 100),
    "SG_923": (917.0, 925.0, 100),
    "PH_433": (433.0, 434.7, 100),
    "PH_868": (868.0, 869.4, 100),
    "PH_915": (915.0, 918.0, 100),
    "KZ_433": (433.075, 434.775, 100),
    "KZ_863": (863.0, 868.0, 100),
    "NP_865": (865.0, 868.0, 100),
    "BR_902": (902.0, 907.5, 100),
    "LORA_24": (2400.0, 2483.5, 100),
    "EU_866": (865.6, 867.6, 2.5),
    "UNSET": (902.0, 928.0, 100),
}
"""Region -> lower and upper end of its band in MHz, and the percent of an hour that the firmware lets a radio send."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What two radios must share to hear each other at all."""

    preset: Preset
    region: str
    slot: int
    """Which part of the region's band, from 0. The primary channel's name chooses it: renaming moves the radio."""


def tuning(preset: Preset, region: str, primary_name: str, slot: int = 0) -> Tuning:
    """Where a radio listens, from its preset, region and its primary channel's shown name, or the slot set (from 1)."""
    low_mhz, high_mhz, _ = REGIONS[region]
    slots = max(round((high_mhz - low_mhz) * 1e6 / preset.bandwidth_hz), 1)
    return Tuning(preset, region, (slot - 1 if slot else _djb2(primary_name)) % slots)


def _djb2(text: str) -> int:
    return reduce(lambda value, byte: (value * 33 + byte) & 0xFFFFFFFF, text.encode(), 5381)
