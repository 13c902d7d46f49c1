"""Serves a virtual radio on TCP in Meshtastic's stream protocol, as a radio on Wi-Fi does.

Real clients connect to it unchanged: the `meshtastic` library and its command line, the phone apps; the web client by
HTTP on the same port. One client at a time: a new one evicts the old. It frames; `conversation` speaks. No
threads.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import trio

from protocol.errors import LocalError
from simulator.clients.conversation import Conversation
from simulator.clients.webapi import WebClient, is_http

if TYPE_CHECKING:
    from simulator.device import VirtualRadio

__all__ = ["FRAME_BYTES_MAX", "FrameDecoder", "frame", "listen", "serve_radio"]

FRAME_BYTES_MAX = 512
"""No frame of the stream protocol holds more."""

_MAGIC = b"\x94\xc3"
_HEAD_BYTES = 4
_READ_BYTES = 4096
_IDLE_S = 900.0
_FIRST_WORD_S = 0.1
"""Web browsers say in this time that they are, other clients may say nothing."""
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
            nursery.start_soon(trio.serve_listeners, partial(_serve_client, radio, WebClient(radio)), [listener])
            await radio.until_switched(on=False)
            nursery.cancel_scope.cancel()
        await radio.until_switched(on=True)
        listener = await listen(host, port)


async def _serve_client(radio: VirtualRadio, web: WebClient, stream: trio.SocketStream) -> None:
    async with stream:
        first = b""
        with suppress(trio.BrokenResourceError):
            with trio.move_on_after(_FIRST_WORD_S):
                first = await stream.receive_some(_READ_BYTES)
            if is_http(first):
                await web.serve(stream, first)
                return
        async with trio.open_nursery() as nursery:
            session = _Session(radio, nursery.cancel_scope)
            radio.attach(session.conversation, listening=False)
            try:
                nursery.start_soon(session.write_to, stream)
                await session.read_from(stream, first)
            finally:
                radio.detach(session.conversation)
                nursery.cancel_scope.cancel()


class _Session:
    """One client's connection."""

    def __init__(self, radio: VirtualRadio, scope: trio.CancelScope) -> None:
        self.conversation = Conversation(radio, self._say, scope.cancel)
        self._scope = scope
        self._unsent = bytearray()
        self._more = trio.Event()

    async def read_from(self, stream: trio.SocketStream, first: bytes) -> None:
        """Take frames from the client until it leaves, hangs up, or says nothing for 15 minutes."""
        decoder = FrameDecoder()
        data = first
        with suppress(trio.BrokenResourceError, trio.TooSlowError):
            while True:
                for message in decoder.feed(data):
                    if not self.conversation.understand(message):
                        return
                with trio.fail_after(_IDLE_S):
                    data = await stream.receive_some(_READ_BYTES)
                if not data:
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

    def _say(self, message: bytes) -> None:
        self._unsent += frame(message)
        self._more.set()
        if len(self._unsent) > _UNSENT_BYTES_MAX:
            self._scope.cancel()
