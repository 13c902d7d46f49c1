"""What a virtual radio says to a Meshtastic client and understands from it, as protobuf messages.

Translation only: the state is the radio's, the bytes' framing and the connection are `simulator.streamapi`'s. The order
of the configuration download follows firmware 2.8.0. Like `streamapi`, imported only when radios are served on TCP,
because it loads `meshtastic.protobuf`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshtastic.protobuf import admin_pb2, channel_pb2, config_pb2, mesh_pb2, module_config_pb2

from protocol.airtime import PRESETS
from simulator.packet import BROADCAST, Packet, RoutingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulator.device import VirtualRadio
    from simulator.host import QueueStatus
    from simulator.settings import KnownNode

__all__ = [
    "AdminAnswer",
    "admin_answer",
    "configuration",
    "packet_from_client",
    "packet_message",
    "queue_message",
]

_CHANNELS = 8
_ONLY_CONFIG = 69420
"""A `want_config_id` that leaves the other nodes out."""
_ONLY_NODES = 69421
"""A `want_config_id` that asks for the nodes alone."""
_DEFAULT_KEY = b"\x01"
"""Meshtastic's way to write the publicly known key of the default channel."""
_TX_POWER_DBM = 30
_STATE_VERSION = 25
_MIN_APP_VERSION = 30200
_ACCEPTED_WRITES = frozenset({"set_owner", "set_time_only", "begin_edit_settings", "commit_edit_settings"})
_SESSION_KEY_BYTES = 8

AdminAnswer = bytes | RoutingError
"""An encoded AdminMessage, or the verdict on a write."""


def configuration(radio: VirtualRadio, config_id: int) -> Iterator[mesh_pb2.FromRadio]:
    """Everything that a client gets for `want_config_id`, in the firmware's order."""
    if config_id != _ONLY_NODES:
        yield mesh_pb2.FromRadio(my_info=_my_info(radio))
        yield mesh_pb2.FromRadio(node_info=_own_node(radio))
        yield mesh_pb2.FromRadio(metadata=_metadata(radio))
        for index in range(_CHANNELS):
            yield mesh_pb2.FromRadio(channel=_channel(index))
        for field in config_pb2.Config.DESCRIPTOR.oneofs_by_name["payload_variant"].fields:
            yield mesh_pb2.FromRadio(config=_config(radio, field.name))
        for field in module_config_pb2.ModuleConfig.DESCRIPTOR.oneofs_by_name["payload_variant"].fields:
            yield mesh_pb2.FromRadio(moduleConfig=_module_config(field.name))
    else:
        yield mesh_pb2.FromRadio(node_info=_own_node(radio))
    if config_id != _ONLY_CONFIG:
        for node in radio.known_nodes.values():
            yield mesh_pb2.FromRadio(node_info=_other_node(node))
    yield mesh_pb2.FromRadio(config_complete_id=config_id)


def packet_message(packet: Packet, snr_db: float | None) -> mesh_pb2.FromRadio:
    """A packet for the client; `snr_db` is None for the radio's own reports."""
    message = mesh_pb2.MeshPacket(
        to=packet.to,
        id=packet.packet_id,
        want_ack=packet.want_ack,
        hop_limit=packet.hop_limit,
        hop_start=packet.hop_start,
        relay_node=packet.relay_node,
        channel=packet.channel,
        via_mqtt=packet.via_mqtt,
        pki_encrypted=packet.pkc,
        public_key=packet.cipher.sender_key if packet.cipher else b"",
        decoded=mesh_pb2.Data(
            portnum=packet.port,
            payload=packet.payload,
            want_response=packet.want_response,
            request_id=packet.request_id,
            reply_id=packet.reply_id,
            emoji=packet.emoji,
            bitfield=int(packet.ok_to_mqtt),
        ),
    )
    setattr(message, "from", packet.sender)
    if snr_db is None:
        message.priority = packet.priority
    else:
        message.rx_snr = snr_db
        message.transport_mechanism = mesh_pb2.MeshPacket.TRANSPORT_LORA
    return mesh_pb2.FromRadio(packet=message)


def packet_from_client(message: mesh_pb2.MeshPacket, radio: VirtualRadio) -> Packet:
    """A client's packet as the radio takes it; it sends under its own number, whatever the client wrote."""
    data = message.decoded
    return Packet(
        radio.node_number,
        message.to or BROADCAST,
        message.id,
        data.portnum,
        data.payload,
        want_ack=message.want_ack,
        hop_limit=message.hop_limit,
        request_id=data.request_id,
        reply_id=data.reply_id,
        emoji=data.emoji,
        want_response=data.want_response,
        priority=message.priority,
        channel=message.channel,
    )


def queue_message(status: QueueStatus) -> mesh_pb2.FromRadio:
    """A queue status for the client."""
    return mesh_pb2.FromRadio(
        queueStatus=mesh_pb2.QueueStatus(
            res=status.error, free=status.free, maxlen=status.places, mesh_packet_id=status.packet_id
        )
    )


def admin_answer(radio: VirtualRadio, payload: bytes) -> AdminAnswer:
    """Answer a client's AdminMessage to its own radio. A virtual radio has names to write and nothing else.

    Raises google.protobuf.message.DecodeError for what is no AdminMessage.
    """
    request = admin_pb2.AdminMessage.FromString(payload)
    kind = request.WhichOneof("payload_variant")
    answer = admin_pb2.AdminMessage(session_passkey=radio.node_number.to_bytes(_SESSION_KEY_BYTES, "big"))
    match kind:
        case "get_owner_request":
            answer.get_owner_response.CopyFrom(_own_node(radio).user)
        case "get_channel_request":
            answer.get_channel_response.CopyFrom(_channel(request.get_channel_request - 1))
        case "get_config_request":
            fields = config_pb2.Config.DESCRIPTOR.oneofs_by_name["payload_variant"].fields
            if request.get_config_request >= len(fields):
                return RoutingError.BAD_REQUEST
            answer.get_config_response.CopyFrom(_config(radio, fields[request.get_config_request].name))
        case "get_module_config_request":
            fields = module_config_pb2.ModuleConfig.DESCRIPTOR.oneofs_by_name["payload_variant"].fields
            if request.get_module_config_request >= len(fields):
                return RoutingError.BAD_REQUEST
            answer.get_module_config_response.CopyFrom(_module_config(fields[request.get_module_config_request].name))
        case "get_device_metadata_request":
            answer.get_device_metadata_response.CopyFrom(_metadata(radio))
        case "get_canned_message_module_messages_request":
            answer.get_canned_message_module_messages_response = ""
        case "get_ringtone_request":
            answer.get_ringtone_response = ""
        case _:
            if kind == "set_owner":
                owner = request.set_owner
                radio.rename(owner.long_name or radio.long_name, owner.short_name or radio.short_name)
            return RoutingError.NONE if kind in _ACCEPTED_WRITES else RoutingError.NOT_AUTHORIZED
    return bytes(answer.SerializeToString())


def _my_info(radio: VirtualRadio) -> mesh_pb2.MyNodeInfo:
    return mesh_pb2.MyNodeInfo(
        my_node_num=radio.node_number,
        min_app_version=_MIN_APP_VERSION,
        pio_env="virtual",
        nodedb_count=1 + len(radio.known_nodes),
    )


def _own_node(radio: VirtualRadio) -> mesh_pb2.NodeInfo:
    return mesh_pb2.NodeInfo(
        num=radio.node_number, user=_user(radio.node_number, radio.long_name, radio.short_name), is_favorite=True
    )


def _other_node(node: KnownNode) -> mesh_pb2.NodeInfo:
    return mesh_pb2.NodeInfo(
        num=node.number,
        user=_user(node.number, node.long_name, node.short_name),
        snr=node.snr_db,
        hops_away=node.hops_away,
    )


def _user(number: int, long_name: str, short_name: str) -> mesh_pb2.User:
    return mesh_pb2.User(
        id=f"!{number:08x}", long_name=long_name, short_name=short_name, hw_model=mesh_pb2.HardwareModel.PORTDUINO
    )


def _metadata(radio: VirtualRadio) -> mesh_pb2.DeviceMetadata:
    return mesh_pb2.DeviceMetadata(
        firmware_version=f"{radio.settings.firmware}.virtual",
        device_state_version=_STATE_VERSION,
        hasWifi=True,
        hw_model=mesh_pb2.HardwareModel.PORTDUINO,
    )


def _channel(index: int) -> channel_pb2.Channel:
    if index == 0:
        settings = channel_pb2.ChannelSettings(psk=_DEFAULT_KEY)
        return channel_pb2.Channel(index=0, settings=settings, role=channel_pb2.Channel.PRIMARY)
    return channel_pb2.Channel(index=index, settings=channel_pb2.ChannelSettings())


def _config(radio: VirtualRadio, section: str) -> config_pb2.Config:
    config = config_pb2.Config()
    getattr(config, section).SetInParent()
    if section == "lora":
        _fill_lora(config.lora, radio)
    elif section == "position":
        config.position.gps_mode = config_pb2.Config.PositionConfig.NOT_PRESENT
    elif section == "security":
        config.security.serial_enabled = True
    return config


def _fill_lora(lora: config_pb2.Config.LoRaConfig, radio: VirtualRadio) -> None:
    preset = radio.medium.preset
    known = config_pb2.Config.LoRaConfig.ModemPreset.DESCRIPTOR.values_by_name
    lora.region = config_pb2.Config.LoRaConfig.RegionCode.Value(radio.region)
    lora.hop_limit = radio.hop_limit
    lora.tx_enabled = True
    lora.tx_power = _TX_POWER_DBM
    lora.spread_factor = preset.spreading_factor
    lora.coding_rate = preset.coding_rate
    lora.use_preset = preset.name in known and preset == PRESETS.get(preset.name)
    if lora.use_preset:
        lora.modem_preset = config_pb2.Config.LoRaConfig.ModemPreset.Value(preset.name)
    else:
        lora.bandwidth = preset.bandwidth_hz // 1000


def _module_config(section: str) -> module_config_pb2.ModuleConfig:
    config = module_config_pb2.ModuleConfig()
    getattr(config, section).SetInParent()
    return config
