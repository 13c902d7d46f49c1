"""Serves a virtual radio on TCP in Meshtastic's stream protocol, as a radio on Wi-Fi does.

Real clients connect to it unchanged: the `meshtastic` library and its command line, the phone apps. One client at a
time: a new one evicts the old. It frames and routes; `simulator.phoneapi` speaks. No threads.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import trio
from google.protobuf.message import DecodeError
from meshtastic.protobuf import mesh_pb2

from protocol.errors import LocalError
from simulator import phoneapi
from simulator.administration import Administrator
from simulator.device import Client
from simulator.host import QueueStatus
from simulator.packet import ADMIN_PORT, ROUTING_PORT, Packet, RoutingError, routing_payload

if TYPE_CHECKING:
    from simulator.device import VirtualRadio
    from simulator.settings import KnownNode

__all__ = ["FRAME_BYTES_MAX", "FrameDecoder", "frame", "listen", "serve_radio"]

FRAME_BYTES_MAX = 512
"""No frame of the stream protocol holds more."""

_MAGIC = b"\x94\xc3"
_HEAD_BYTES = 4
_READ_BYTES = 4096
_IDLE_S = 900.0
_UNSENT_BYTES_MAX = 1 << 18
"""A client that lets this much pile up is gone."""


def frame(message: bytes) -> bytes:
    """Put the stream protocol's head before one encoded message."""
    return _MAGIC + len(message).to_bytes(2, "big") + message


class FrameDecoder:
    """Finds frames in a byte stream; whatever lies between them, and frames of impossible length, it skips."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take received bytes and return the messages completed by them."""
        self._buffer += data
        messages: list[bytes] = []
        while True:
            start = self._buffer.find(_MAGIC)
            if start < 0:
                del self._buffer[: len(self._buffer) - self._buffer.endswith(_MAGIC[:1])]
                return messages
            del self._buffer[:start]
            if len(self._buffer) < _HEAD_BYTES:
                return messages
            length = int.from_bytes(self._buffer[2:_HEAD_BYTES], "big")
            if length > FRAME_BYTES_MAX:
                del self._buffer[:1]
            elif len(self._buffer) < _HEAD_BYTES + length:
                return messages
            else:
                messages.append(bytes(self._buffer[_HEAD_BYTES : _HEAD_BYTES + length]))
                del self._buffer[: _HEAD_BYTES + length]


async def listen(host: str, port: int) -> trio.SocketListener:
    """Listen for a radio's clients on an IP address; port 0 picks a free one. Raises LocalError when it is taken."""
    try:
        (listener,) = await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise LocalError(
                f"port {port} on {host} is in use", "another program listens there", "choose another port, or 0 for any"
            ) from error
        raise LocalError(f"a virtual radio can't listen on {host} port {port}", str(error)) from error
    return listener


async def serve_radio(radio: VirtualRadio, listener: trio.SocketListener) -> None:
    """Serve `radio` to the clients of `listener` until cancelled.

    While the radio is switched off nobody listens; switched on again, it is back on the same port. Raises LocalError
    when another program took the port meanwhile.
    """
    host, port = listener.socket.getsockname()[:2]
    while True:
        async with listener, trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, partial(_serve_client, radio), [listener])
            await radio.until_switched(on=False)
            nursery.cancel_scope.cancel()
        await radio.until_switched(on=True)
        listener = await listen(host, port)


async def _serve_client(radio: VirtualRadio, stream: trio.SocketStream) -> None:
    async with stream, trio.open_nursery() as nursery:
        session = _Session(radio, nursery.cancel_scope)
        radio.attach(session, listening=False)
        try:
            nursery.start_soon(session.write_to, stream)
            await session.read_from(stream)
        finally:
            radio.detach(session)
            nursery.cancel_scope.cancel()


class _Session(Client):
    """One client's connection."""

    def __init__(self, radio: VirtualRadio, scope: trio.CancelScope) -> None:
        self._radio = radio
        self._scope = scope
        self._unsent = bytearray()
        self._more = trio.Event()
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
        """Hang up: the client sees the end of the stream."""
        self._scope.cancel()

    async def read_from(self, stream: trio.SocketStream) -> None:
        """Take frames from the client until it leaves, hangs up, or says nothing for 15 minutes."""
        decoder = FrameDecoder()
        with suppress(trio.BrokenResourceError, trio.TooSlowError):
            while True:
                with trio.fail_after(_IDLE_S):
                    data = await stream.receive_some(_READ_BYTES)
                if not data:
                    return
                for message in decoder.feed(data):
                    if not self._understand(message):
                        return

    async def write_to(self, stream: trio.SocketStream) -> None:
        """Send what there is to say as it comes."""
        with suppress(trio.BrokenResourceError):
            while True:
                await self._more.wait()
                self._more = trio.Event()
                data = bytes(self._unsent)
                self._unsent.clear()
                await stream.send_all(data)

    def _understand(self, message: bytes) -> bool:
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
        self._unsent += frame(message.SerializeToString())
        self._more.set()
        if len(self._unsent) > _UNSENT_BYTES_MAX:
            self._scope.cancel()
