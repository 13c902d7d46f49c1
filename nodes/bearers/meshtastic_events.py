"""From a radio's protobuf messages to what a RadioPort tells: pure translation, nothing is remembered.

Only the `meshtastic_*` files beside it import the `meshtastic` library, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nodes.bearers.meshtastic_link import enum_name
from nodes.interfaces import (
    ChannelKey,
    RadioAck,
    RadioChannel,
    RadioInfo,
    RadioLoad,
    RadioNode,
    RadioPacket,
    RadioRoute,
)

if TYPE_CHECKING:
    from meshtastic.protobuf import mesh_pb2

__all__ = ["PacketEvent", "channel_key", "info_from", "load_from", "node_from", "packet_events"]

PacketEvent = RadioPacket | RadioAck | RadioLoad | RadioNode | RadioRoute

_NODE_INFO_PORT, _ROUTING_PORT, _TELEMETRY_PORT, _TRACEROUTE_PORT = 4, 5, 67, 70


def info_from(interface: Any) -> RadioInfo:
    """What a connected interface of the library knows of its radio. One that told no LoRa settings has no region."""
    from meshtastic.protobuf.config_pb2 import Config

    local = interface.localNode.localConfig
    lora, device = local.lora, local.device
    own = interface.nodesByNum.get(interface.myInfo.my_node_num, {})
    return RadioInfo(
        interface.myInfo.my_node_num,
        interface.getLongName() or "",
        interface.metadata.firmware_version if interface.metadata else "",
        enum_name(Config.LoRaConfig.RegionCode, lora.region) if local.HasField("lora") else "",
        enum_name(Config.LoRaConfig.ModemPreset, lora.modem_preset) if lora.use_preset else "",
        lora.hop_limit,
        role=enum_name(Config.DeviceConfig.Role, device.role),
        rebroadcast_mode=enum_name(Config.DeviceConfig.RebroadcastMode, device.rebroadcast_mode),
        channels=tuple(_channels(interface.localNode.channels)),
        licensed=bool(own.get("user", {}).get("isLicensed")),
        ok_to_mqtt=lora.config_ok_to_mqtt,
    )


def node_from(number: int, user: mesh_pb2.User) -> RadioNode:
    """What a `User` message tells of a radio."""
    from meshtastic.protobuf.config_pb2 import Config

    role = enum_name(Config.DeviceConfig.Role, user.role)
    return RadioNode(number, user.long_name, role, bool(user.public_key))


def load_from(metrics: Any) -> RadioLoad:
    """How busy a radio's `DeviceMetrics` say that the channel is."""
    return RadioLoad(metrics.channel_utilization, metrics.air_util_tx)


def channel_key(key: bytes, primary_key: bytes = b"") -> ChannelKey:
    """What a channel's key is worth; a secondary channel without one uses the primary's (firmware `Channels.cpp`)."""
    key = key or primary_key
    if key in (b"", b"\x00"):
        return ChannelKey.NONE
    return ChannelKey.DEFAULT if len(key) == 1 else ChannelKey.OWN


def packet_events(packet: mesh_pb2.MeshPacket, own_number: int) -> Iterator[PacketEvent]:
    """What a packet tells the node. Raises protobuf's DecodeError for nonsense in it."""
    sender, data = getattr(packet, "from"), packet.decoded
    if data.portnum == _ROUTING_PORT:
        yield from _acknowledgement(data, sender)
    elif data.payload and sender and (sender != own_number or data.portnum != _TELEMETRY_PORT):
        yield _data_packet(packet)
    yield from _news(packet, own_number)


def _acknowledgement(data: mesh_pb2.Data, sender: int) -> Iterator[RadioAck]:
    from meshtastic.protobuf import mesh_pb2

    if data.request_id:
        yield RadioAck(data.request_id, sender, mesh_pb2.Routing.FromString(data.payload).error_reason)


def _data_packet(packet: mesh_pb2.MeshPacket) -> RadioPacket:
    data = packet.decoded
    return RadioPacket(
        getattr(packet, "from"),
        packet.to,
        data.portnum,
        data.payload,
        packet.id,
        max(packet.hop_start, packet.hop_limit),  # hop_start is 0 from firmware older than 2.3
        packet.hop_limit,
        packet.rx_snr if packet.rx_snr or packet.rx_rssi else None,
        channel=0 if packet.pki_encrypted else packet.channel,
        pkc=packet.pki_encrypted,
        via_mqtt=packet.via_mqtt,
        request_id=data.request_id,
        reply_id=data.reply_id,
    )


def _news(packet: mesh_pb2.MeshPacket, own_number: int) -> Iterator[PacketEvent]:
    """What is to be learnt from the packets of Meshtastic's own ports."""
    from meshtastic.protobuf import mesh_pb2, telemetry_pb2

    sender, data = getattr(packet, "from"), packet.decoded
    if data.portnum == _TELEMETRY_PORT and sender == own_number:
        telemetry = telemetry_pb2.Telemetry.FromString(data.payload)
        if telemetry.HasField("device_metrics"):
            yield load_from(telemetry.device_metrics)
    elif data.portnum == _NODE_INFO_PORT and data.payload and sender not in (0, own_number):
        yield node_from(sender, mesh_pb2.User.FromString(data.payload))
    elif data.portnum == _TRACEROUTE_PORT and data.request_id and packet.to == own_number:
        yield RadioRoute(sender, tuple(mesh_pb2.RouteDiscovery.FromString(data.payload).route))


def _channels(channels: Any) -> Iterator[RadioChannel]:
    from meshtastic.protobuf import channel_pb2

    used = [channel for channel in channels or () if channel.role != channel_pb2.Channel.DISABLED]
    used.sort(key=lambda channel: (channel.role != channel_pb2.Channel.PRIMARY, channel.index))
    for channel in used:
        key = channel_key(channel.settings.psk, used[0].settings.psk)
        yield RadioChannel(channel.index, channel.settings.name, key, channel.settings.uplink_enabled)
