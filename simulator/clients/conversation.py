"""One client's conversation with a virtual radio: what it says is understood, what the radio says is put into messages.

Knows no transport: encoded FromRadio messages are handed to whoever sends them on, over TCP (`streamapi`) or
HTTP (`webapi`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from meshtastic.protobuf import mesh_pb2

from simulator.clients import phoneapi
from simulator.clients.administration import Administrator
from simulator.device import Client
from simulator.firmware.host import QueueStatus
from simulator.packet import ADMIN_PORT, ROUTING_PORT, Packet, RoutingError, routing_payload

if TYPE_CHECKING:
    from simulator.device import VirtualRadio
    from simulator.firmware.settings import KnownNode

__all__ = ["Conversation"]


class Conversation(Client):
    """What one client and a radio say to each other."""

    def __init__(self, radio: VirtualRadio, say: Callable[[bytes], None], hang_up: Callable[[], None]) -> None:
        """`say` takes each encoded FromRadio; `hang_up` is called when the radio is gone for this client."""
        self._radio = radio
        self._send = say
        self._hang_up = hang_up
        self._administrator = Administrator(radio)

    def heard(self, packet: Packet, snr_db: float | None) -> None:
        """Pass a packet on."""
        self._say(phoneapi.packet_message(packet, snr_db))

    def queued(self, status: QueueStatus) -> None:
        """Pass a queue status on."""
        self._say(phoneapi.queue_message(status))

    def learnt(self, node: KnownNode) -> None:
        """Say nothing more: the client got the packet that told it."""

    def gone(self, reason: str) -> None:
        """End it: the client sees the end of the stream."""
        self._hang_up()

    def understand(self, message: bytes) -> bool:
        """Act on one message of the client; False when it says goodbye. What is no message is skipped."""
        try:
            request = mesh_pb2.ToRadio.FromString(message)
        except DecodeError:
            return True
        match request.WhichOneof("payload_variant"):
            case "want_config_id":
                for answer in phoneapi.configuration(self._radio, request.want_config_id):
                    self._say(answer)
                self._radio.listen(self)
            case "heartbeat":
                self.queued(QueueStatus(RoutingError.NONE, self._radio.free_places, 0))
            case "packet":
                self._take(request.packet)
            case "disconnect":
                return False
        return True

    def _take(self, message: mesh_pb2.MeshPacket) -> None:
        packet = phoneapi.packet_from_client(message, self._radio)
        if message.WhichOneof("payload_variant") != "decoded":
            self.queued(QueueStatus(RoutingError.BAD_REQUEST, self._radio.free_places, packet.packet_id))
        elif packet.port == ADMIN_PORT and packet.to == self._radio.node_number:
            self._administer(packet)
        else:
            self._radio.submit(packet)

    def _administer(self, packet: Packet) -> None:
        """Answer an administration request to this radio itself; nothing of it goes on the air."""
        try:
            answer = self._administrator.answer(packet.payload)
        except DecodeError:
            answer = RoutingError.BAD_REQUEST
        self.queued(QueueStatus(RoutingError.NONE, self._radio.free_places, packet.packet_id))
        port, payload = (
            (ROUTING_PORT, routing_payload(answer)) if isinstance(answer, RoutingError) else (ADMIN_PORT, answer)
        )
        own = self._radio.node_number
        self.heard(Packet(own, own, self._radio.new_packet_id(), port, payload, request_id=packet.packet_id), None)

    def _say(self, message: mesh_pb2.FromRadio) -> None:
        self._send(message.SerializeToString())
