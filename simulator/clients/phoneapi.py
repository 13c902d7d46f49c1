"""What a virtual radio says to a Meshtastic client and understands from it, as protobuf messages.

Translation only: the state is the radio's, the bytes' framing and the connection are `streamapi`'s. The order
of the configuration download follows firmware 2.8.0. Like `streamapi`, imported only when radios are served on TCP,
because it loads `meshtastic.protobuf`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshtastic.protobuf import mesh_pb2

from simulator.channels import CHANNELS_MAX
from simulator.clients.configuration import (
    CONFIG_SECTIONS,
    MODULE_SECTIONS,
    channel,
    config,
    metadata,
    module_config,
    other_user,
    own_user,
)
from simulator.packet import BROADCAST, Packet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulator.device import VirtualRadio
    from simulator.firmware.host import QueueStatus
    from simulator.firmware.settings import KnownNode

__all__ = ["configuration", "packet_from_client", "packet_message", "queue_message"]

_ONLY_CONFIG = 69420
"""A `want_config_id` that leaves the other nodes out."""
_ONLY_NODES = 69421
"""A `want_config_id` that asks for the nodes alone."""
_MIN_APP_VERSION = 30200


def configuration(radio: VirtualRadio, config_id: int) -> Iterator[mesh_pb2.FromRadio]:
    """Everything that a client gets for `want_config_id`, in the firmware's order."""
    if config_id != _ONLY_NODES:
        yield mesh_pb2.FromRadio(my_info=_my_info(radio))
        yield mesh_pb2.FromRadio(node_info=_own_node(radio))
        yield mesh_pb2.FromRadio(metadata=metadata(radio))
        for index in range(CHANNELS_MAX):
            yield mesh_pb2.FromRadio(channel=channel(radio, index))
        for section in CONFIG_SECTIONS:
            yield mesh_pb2.FromRadio(config=config(radio, section))
        for section in MODULE_SECTIONS:
            yield mesh_pb2.FromRadio(moduleConfig=module_config(radio, section))
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


def _my_info(radio: VirtualRadio) -> mesh_pb2.MyNodeInfo:
    return mesh_pb2.MyNodeInfo(
        my_node_num=radio.node_number,
        min_app_version=_MIN_APP_VERSION,
        pio_env="virtual",
        nodedb_count=1 + len(radio.known_nodes),
    )


def _own_node(radio: VirtualRadio) -> mesh_pb2.NodeInfo:
    return mesh_pb2.NodeInfo(num=radio.node_number, user=own_user(radio), is_favorite=True)


def _other_node(node: KnownNode) -> mesh_pb2.NodeInfo:
    return mesh_pb2.NodeInfo(
        num=node.number,
        user=other_user(node) if node.has_user else None,
        snr=node.snr_db,
        hops_away=node.hops_away,
        channel=node.channel,
        via_mqtt=node.via_mqtt,
    )
