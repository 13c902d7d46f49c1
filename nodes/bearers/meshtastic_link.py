"""Links that carry a channel from radio to radio, as Meshtastic's apps print and scan them: pure translation.

A link holds the channel's key: who has it reads along. Each is checked in size and shape before anything is believed.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from nodes.radio_setup import NAME_BYTES_MAX, ChannelSlot, SharedChannel
from protocol.errors import LocalError

if TYPE_CHECKING:
    from meshtastic.protobuf import config_pb2

__all__ = ["LINK_CHARS_MAX", "enum_name", "make_link", "read_link"]

LINK_CHARS_MAX = 1000
"""Eight channels with the longest names and keys, and every radio setting, are shorter."""

_HEAD = "https://meshtastic.org/e/?add=true#"
"""With `add=true` the app adds the channel. Without, it would replace all, and with the primary one the frequency."""
_HEADS = tuple(
    f"https://{host}/{page}/{add}#"
    for host in ("meshtastic.org", "www.meshtastic.org")
    for page in ("e", "d")
    for add in ("", "?add=true")
)
_CHANNELS_MAX = 8
_KEY_LENGTHS = frozenset({0, 1, 16, 32})
_AIR_FIELDS = (
    "use_preset",
    "modem_preset",
    "bandwidth",
    "spread_factor",
    "coding_rate",
    "region",
    "hop_limit",
    "tx_enabled",
    "channel_num",
    "override_frequency",
)
"""The settings of `LoRaConfig` that two radios must share to hear each other, and what an app needs beside them."""


def make_link(slot: ChannelSlot, lora: config_pb2.Config.LoRaConfig) -> str:
    """The link that adds a channel to another radio on the same air."""
    from meshtastic.protobuf import apponly_pb2

    channels = apponly_pb2.ChannelSet()
    channels.settings.add(name=slot.name, psk=slot.key)
    for field in _AIR_FIELDS:
        setattr(channels.lora_config, field, getattr(lora, field))
    return _HEAD + base64.urlsafe_b64encode(channels.SerializeToString()).decode().rstrip("=")


def read_link(text: str) -> tuple[SharedChannel, ...]:
    """The channels in a link; raises LocalError when it is none."""
    from google.protobuf.message import DecodeError
    from meshtastic.protobuf import apponly_pb2

    text = text.strip()
    head = next((head for head in _HEADS if text.startswith(head)), "")
    if not head or len(text) > LINK_CHARS_MAX:
        raise _no_link("it begins with https://meshtastic.org/e/# and is short enough for a QR code")
    code = text.removeprefix(head).rstrip("=")
    try:
        content = base64.b64decode(code + "=" * (-len(code) % 4), altchars=b"-_", validate=True)
        channels = apponly_pb2.ChannelSet.FromString(content)
    except (binascii.Error, ValueError, DecodeError) as error:
        raise _no_link("its last part is damaged") from error
    if not 0 < len(channels.settings) <= _CHANNELS_MAX:
        raise _no_link(f"it holds {len(channels.settings)} channels, and a radio has 1 to {_CHANNELS_MAX}")
    if any(
        len(channel.psk) not in _KEY_LENGTHS or len(channel.name.encode()) > NAME_BYTES_MAX
        for channel in channels.settings
    ):
        raise _no_link("it holds a channel that no radio can have")
    region, preset = _air(channels)
    return tuple(SharedChannel(channel.name, channel.psk, region, preset) for channel in channels.settings)


def enum_name(kind: Any, number: int) -> str:
    """A protobuf enum's name for a number; empty for one that a newer firmware added."""
    return str(kind.Name(number)) if number in kind.values() else ""


def _air(channels: Any) -> tuple[str, str]:
    """Region and preset that a link names; empty where it names none."""
    from meshtastic.protobuf.config_pb2 import Config

    lora = channels.lora_config
    region = enum_name(Config.LoRaConfig.RegionCode, lora.region) if lora.region else ""
    return region, enum_name(Config.LoRaConfig.ModemPreset, lora.modem_preset) if lora.use_preset else ""


def _no_link(why: str) -> LocalError:
    return LocalError("this is no Meshtastic channel link", why, "copy the whole link, in quotes")
