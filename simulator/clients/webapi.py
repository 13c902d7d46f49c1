"""The HTTP API of a virtual radio, as Meshtastic's web client speaks it: messages put and fetched one by one.

`PUT /api/v1/toradio`, `GET /api/v1/fromradio`. A page asks every three seconds, so the conversation outlives its
connections; it begins when a page asks for the configuration. Only Meshtastic's own page and pages of this device may
ask: a stranger's page in the same browser must not read along.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import h11
import trio
from google.protobuf.message import DecodeError
from meshtastic.protobuf import mesh_pb2

from simulator.clients.conversation import Conversation

if TYPE_CHECKING:
    from simulator.device import VirtualRadio

__all__ = ["WebClient", "is_http"]

_MESSAGE_BYTES_MAX = 512
_WAITING_MAX = 1024
"""Messages that wait for a page; one that fetches none of so many is gone."""
_READ_BYTES = 4096
_IDLE_S = 60.0
_METHODS = (b"GET ", b"PUT ", b"OPTI", b"HEAD", b"POST")
_PAGES = frozenset(("client.meshtastic.org", "localhost", "127.0.0.1"))


def is_http(first: bytes) -> bool:
    """Whether a connection that begins with these bytes speaks HTTP."""
    return first.startswith(_METHODS)


class WebClient:
    """The web pages that use one radio: one conversation, whatever the connection."""

    def __init__(self, radio: VirtualRadio) -> None:
        self._radio = radio
        self._waiting: deque[bytes] = deque()
        self._conversation: Conversation | None = None

    async def serve(self, stream: trio.SocketStream, first: bytes) -> None:
        """Answer the requests of one connection, which began with `first`, until it ends."""
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(first)
        with suppress(trio.BrokenResourceError, trio.TooSlowError, h11.RemoteProtocolError):
            while await self._exchange(connection, stream):
                connection.start_next_cycle()

    async def _exchange(self, connection: h11.Connection, stream: trio.SocketStream) -> bool:
        """Answer one request; False when the connection ends with it."""
        request: h11.Request | None = None
        body = b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                with trio.fail_after(_IDLE_S):
                    connection.receive_data(await stream.receive_some(_READ_BYTES))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > _MESSAGE_BYTES_MAX:
                    return False
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        assert request is not None, "a message ends after it began"
        given = {name: value.decode("latin-1") for name, value in request.headers}
        allowed = _may_ask(given.get(b"host", ""), given.get(b"origin", ""))
        status, content = self._answer(request, body) if allowed else (403, b"")
        headers = [
            ("Content-Type", "application/x-protobuf"),
            ("Access-Control-Allow-Methods", "GET, PUT, OPTIONS"),
            ("Access-Control-Allow-Headers", "Content-Type"),
            ("Access-Control-Allow-Private-Network", "true"),
            ("Vary", "Origin"),
        ]
        if status != 204:
            headers.append(("Content-Length", str(len(content))))
        if allowed and b"origin" in given:
            headers.append(("Access-Control-Allow-Origin", given[b"origin"]))
        for part in (h11.Response(status_code=status, headers=headers), h11.Data(data=content), h11.EndOfMessage()):
            await stream.send_all(connection.send(part) or b"")
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE

    def _answer(self, request: h11.Request, body: bytes) -> tuple[int, bytes]:
        path, _, query = request.target.decode("latin-1").partition("?")
        match request.method, path:
            case b"OPTIONS", "/api/v1/toradio" | "/api/v1/fromradio":
                return 204, b""
            case b"PUT", "/api/v1/toradio":
                self._take(body)
                return 200, body
            case b"GET", "/api/v1/fromradio":
                wanted = len(self._waiting) if parse_qs(query).get("all") == ["true"] else 1
                return 200, b"".join(self._waiting.popleft() for _ in range(min(wanted, len(self._waiting))))
        return 404, b""

    def _take(self, message: bytes) -> None:
        with suppress(DecodeError):
            asks_for_all = mesh_pb2.ToRadio.FromString(message).HasField("want_config_id")
            if asks_for_all and self._conversation is None:
                self._conversation = Conversation(self._radio, self._say, self._end)
                self._radio.attach(self._conversation, listening=False)
        if self._conversation is not None and not self._conversation.understand(message):
            self._radio.detach(self._conversation)
            self._end()

    def _say(self, message: bytes) -> None:
        self._waiting.append(message)
        if len(self._waiting) > _WAITING_MAX and self._conversation is not None:
            self._radio.detach(self._conversation)
            self._end()

    def _end(self) -> None:
        self._conversation = None
        self._waiting.clear()


def _may_ask(host: str, origin: str) -> bool:
    """Whether a page may ask: one of this device or Meshtastic's, under a name that no stranger can give us."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        page = urlsplit(origin).hostname if origin else None
    except ValueError:
        return False
    try:
        ip_address(name)
    except ValueError:
        if name != "localhost" and not name.endswith(".local"):
            return False
    return page is None or page in _PAGES or page == name
