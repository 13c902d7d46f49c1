"""A virtual radio's settings as Meshtastic's protobuf messages, and back: configuration sections, channels, owner.

Translation only; when something takes effect is the business of `administration` and `simulator.device`.
What clients write and nothing here acts on is kept as it came. Imported only when radios are served on TCP, because it
loads `meshtastic.protobuf`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meshtastic.protobuf import channel_pb2, config_pb2, mesh_pb2, module_config_pb2

from protocol.airtime import DEFAULT_PRESET, PRESETS, Preset
from simulator.channels import CHANNELS_MAX, REGIONS, Channel
from simulator.firmware.settings import MAX_HOP_LIMIT, REBROADCAST_MODES, ROLES, RadioSettings

if TYPE_CHECKING:
    from simulator.device import VirtualRadio
    from simulator.firmware.settings import KnownNode

__all__ = [
    "CONFIG_SECTIONS",
    "MODULE_SECTIONS",
    "channel",
    "config",
    "metadata",
    "module_config",
    "other_user",
    "own_user",
    "with_channel",
    "with_device",
    "with_lora",
    "with_owner",
]

CONFIG_SECTIONS = tuple(field.name for field in config_pb2.Config.DESCRIPTOR.oneofs_by_name["payload_variant"].fields)
MODULE_SECTIONS = tuple(
    field.name for field in module_config_pb2.ModuleConfig.DESCRIPTOR.oneofs_by_name["payload_variant"].fields
)
"""Names of the sections, in the firmware's order."""

_LoRa = config_pb2.Config.LoRaConfig
_Device = config_pb2.Config.DeviceConfig
_TX_POWER_DBM = 30
_STATE_VERSION = 25
_EXACT_KHZ = {31: 31.25, 62: 62.5, 200: 203.125, 400: 406.25, 800: 812.5, 1600: 1625.0}
"""Bandwidths that Meshtastic writes rounded."""
_ROLES_MESSAGING_NOBODY = ("ROUTER", "ROUTER_LATE", "SENSOR", "TRACKER", "TAK_TRACKER")


def config(radio: VirtualRadio, section: str) -> config_pb2.Config:
    """One section of the configuration: what was written, under what the radio acts on."""
    message = config_pb2.Config()
    getattr(message, section).SetInParent()
    if stored := radio.stored.get(f"config.{section}"):
        message.MergeFromString(stored)
    settings = radio.settings
    match section:
        case "device":
            message.device.role = _Device.Role.Value(settings.role)
            message.device.rebroadcast_mode = _Device.RebroadcastMode.Value(settings.mode)
        case "lora":
            _fill_lora(message.lora, settings, settings.preset or radio.medium.preset)
        case "security":
            _fill_security(message.security, radio)
        case "position" if not stored:
            message.position.gps_mode = config_pb2.Config.PositionConfig.NOT_PRESENT
    return message


def module_config(radio: VirtualRadio, section: str) -> module_config_pb2.ModuleConfig:
    """One section of the modules' configuration, as it was written."""
    message = module_config_pb2.ModuleConfig()
    getattr(message, section).SetInParent()
    if stored := radio.stored.get(f"module.{section}"):
        message.MergeFromString(stored)
    return message


def channel(radio: VirtualRadio, index: int) -> channel_pb2.Channel:
    """One of the eight places for a channel."""
    channels = radio.settings.channels
    message = channel_pb2.Channel(index=index, settings=channel_pb2.ChannelSettings())
    if index >= len(channels) or not channels[index].enabled:
        return message
    if stored := radio.stored.get(f"channel.{index}"):
        message.settings.MergeFromString(stored)
    message.role = channel_pb2.Channel.SECONDARY if index else channel_pb2.Channel.PRIMARY
    message.settings.name = channels[index].name
    message.settings.psk = channels[index].key
    message.settings.uplink_enabled = channels[index].uplink
    message.settings.downlink_enabled = channels[index].downlink
    return message


def own_user(radio: VirtualRadio) -> mesh_pb2.User:
    """How the radio introduces itself to its client."""
    settings = radio.settings
    key = b"" if settings.licensed else radio.public_key
    user = _user(radio.node_number, settings.long_name, settings.short_name, settings.role, key, settings.licensed)
    user.is_unmessagable = settings.role in _ROLES_MESSAGING_NOBODY
    return user


def other_user(node: KnownNode) -> mesh_pb2.User:
    """What the radio knows of who another one is."""
    return _user(node.number, node.long_name, node.short_name, node.role, node.public_key, node.licensed)


def metadata(radio: VirtualRadio) -> mesh_pb2.DeviceMetadata:
    """What kind of radio this is."""
    return mesh_pb2.DeviceMetadata(
        firmware_version=f"{radio.settings.firmware}.virtual",
        device_state_version=_STATE_VERSION,
        hasWifi=True,
        hasPKC=radio.settings.has_pkc,
        role=_Device.Role.Value(radio.settings.role),
        hw_model=mesh_pb2.HardwareModel.PORTDUINO,
    )


def with_device(settings: RadioSettings, device: config_pb2.Config.DeviceConfig) -> RadioSettings:
    """Settings with another device section. Choosing a role installs its rebroadcast mode, as in the firmware.

    Roles that are gone become CLIENT, and a router can't be set to pass nothing on.
    """
    names = _Device.Role.values()
    role = _Device.Role.Name(device.role) if device.role in names else "CLIENT"
    role = role if role in ROLES else "CLIENT"
    if role != settings.role and ROLES[role] != "ALL":
        return replace(settings, role=role, rebroadcast_mode=ROLES[role])
    known = device.rebroadcast_mode in _Device.RebroadcastMode.values()
    mode = _Device.RebroadcastMode.Name(device.rebroadcast_mode) if known else "ALL"
    if mode not in REBROADCAST_MODES or (mode == "NONE" and role in ("ROUTER", "ROUTER_LATE")):
        mode = "ALL"
    return replace(settings, role=role, rebroadcast_mode=mode)


def with_lora(settings: RadioSettings, lora: config_pb2.Config.LoRaConfig) -> RadioSettings:
    """Settings with another LoRa section.

    An unknown region leaves the old one; a preset too wide for the region becomes the default.
    """
    region = _LoRa.RegionCode.Name(lora.region) if lora.region in _LoRa.RegionCode.values() else ""
    region = region if region in REGIONS else settings.region
    preset = _preset(lora)
    low_mhz, high_mhz, _ = REGIONS[region]
    if preset.bandwidth_hz > (high_mhz - low_mhz) * 1e6 + 1:
        preset = DEFAULT_PRESET
    return replace(
        settings,
        region=region,
        preset=preset,
        slot=lora.channel_num,
        hop_limit=min(lora.hop_limit, MAX_HOP_LIMIT),
        ok_to_mqtt=lora.config_ok_to_mqtt,
    )


def with_owner(settings: RadioSettings, owner: mesh_pb2.User) -> RadioSettings:
    """Settings with another owner; empty names stay as they were, and a licence takes every channel's key away."""
    channels = settings.channels
    if owner.is_licensed:
        channels = tuple(replace(one, key=b"") for one in channels)
    return replace(
        settings,
        long_name=owner.long_name or settings.long_name,
        short_name=owner.short_name or settings.short_name,
        licensed=owner.is_licensed,
        channels=channels,
    )


def with_channel(settings: RadioSettings, message: channel_pb2.Channel) -> RadioSettings:
    """Settings with another channel in one of the eight places.

    Short keys are padded as in the firmware. Raises LocalError for a name or key that no radio holds.
    """
    places = [*settings.channels, *(Channel(enabled=False),) * (CHANNELS_MAX - len(settings.channels))]
    written, key = message.settings, message.settings.psk
    if len(key) > 1:
        key = key.ljust(16 if len(key) <= 16 else 32, b"\0")
    places[message.index] = Channel(
        written.name,
        b"" if settings.licensed else key,
        written.uplink_enabled,
        written.downlink_enabled,
        enabled=message.index == 0 or message.role != channel_pb2.Channel.DISABLED,
    )
    while not places[-1].enabled:
        places.pop()
    return replace(settings, channels=tuple(places))


def _user(number: int, long_name: str, short_name: str, role: str, key: bytes, licensed: bool) -> mesh_pb2.User:
    return mesh_pb2.User(
        id=f"!{number:08x}",
        long_name=long_name,
        short_name=short_name,
        hw_model=mesh_pb2.HardwareModel.PORTDUINO,
        role=_Device.Role.Value(role),
        public_key=key,
        is_licensed=licensed,
    )


def _fill_lora(lora: config_pb2.Config.LoRaConfig, settings: RadioSettings, preset: Preset) -> None:
    lora.region = _LoRa.RegionCode.Value(settings.region)
    lora.hop_limit = settings.hop_limit
    lora.config_ok_to_mqtt = settings.ok_to_mqtt
    lora.channel_num = settings.slot
    lora.tx_enabled = settings.transmits
    lora.tx_power = lora.tx_power or _TX_POWER_DBM
    lora.spread_factor = preset.spreading_factor
    lora.coding_rate = preset.coding_rate
    known = preset.name in _LoRa.ModemPreset.DESCRIPTOR.values_by_name
    lora.use_preset = known and preset == PRESETS.get(preset.name)
    if lora.use_preset:
        lora.modem_preset = _LoRa.ModemPreset.Value(preset.name)
    else:
        lora.bandwidth = preset.bandwidth_hz // 1000


def _preset(lora: config_pb2.Config.LoRaConfig) -> Preset:
    if lora.use_preset:
        known = lora.modem_preset in _LoRa.ModemPreset.values()
        return PRESETS.get(_LoRa.ModemPreset.Name(lora.modem_preset) if known else "", DEFAULT_PRESET)
    spreading_factor = lora.spread_factor if 7 <= lora.spread_factor <= 12 else 11
    coding_rate = lora.coding_rate if 5 <= lora.coding_rate <= 8 else 5
    khz = _EXACT_KHZ.get(lora.bandwidth, lora.bandwidth or 250)
    return Preset("CUSTOM", spreading_factor, round(khz * 1000), coding_rate)


def _fill_security(security: config_pb2.Config.SecurityConfig, radio: VirtualRadio) -> None:
    security.serial_enabled = True
    if radio.public_key:
        security.public_key = radio.public_key
        security.private_key = radio.private_key
