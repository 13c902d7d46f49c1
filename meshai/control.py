"""A running node's door for programs of the same person on the same machine: JSON lines over a Unix socket.

The socket lies in a folder that only its owner can open. One request per connection; closing it cancels the request.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import trio

from meshai.forms import (
    answer_form,
    answer_from,
    error_form,
    error_from,
    fact_form,
    peer_form,
    progress_form,
    progress_from,
    status_form,
    wish_form,
    wish_from,
)
from nodes.node import Node
from nodes.trace import Fact
from nodes.wishes import Answer, Progress, Wish
from protocol.errors import LocalError, MeshaiError

__all__ = ["RunningNode", "serve_control"]

_SOCKET = "control.sock"
_LINE_BYTES_MAX = 1 << 20
_PATH_BYTES_MAX = 100
"""Unix socket paths end at 104 bytes on macOS, 108 on Linux."""

Form = dict[str, Any]
Tell = Callable[[Form], Awaitable[None]]


class _Lines:
    """JSON objects over a stream, one a line."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._rest = b""
        self._sending = trio.Lock()

    async def send(self, form: Form) -> None:
        async with self._sending:
            await self._stream.send_all(json.dumps(form, ensure_ascii=False).encode(errors="replace") + b"\n")

    async def receive(self) -> Form | None:
        """The next object, or None at the end; raises LocalError for what is none."""
        while b"\n" not in self._rest:
            data = await self._stream.receive_some(65536)
            if not data:
                return None
            self._rest += data
            if len(self._rest) > _LINE_BYTES_MAX:
                raise LocalError("the request is too long", f"{_LINE_BYTES_MAX} bytes are the most")
        line, self._rest = self._rest.split(b"\n", 1)
        try:
            form = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise LocalError("the request can't be read", str(error)) from error
        if not isinstance(form, dict):
            raise LocalError("the request can't be read", "it is no object")
        return form


async def serve_control(
    node: Node, folder: Path, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve `node` to local programs until cancelled; raises LocalError when another node runs in `folder`."""
    path = _socket_path(folder)
    if await _answers(path):
        raise LocalError(
            "a node is already running here", str(folder), "stop it first, or give this one its own --state folder"
        )
    listener = await _listen(path)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                partial(trio.serve_listeners, partial(_serve_one, node), [listener], handler_nursery=nursery)
            )
            task_status.started()
    finally:
        path.unlink(missing_ok=True)


async def _listen(path: Path) -> trio.SocketListener:
    listening = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)
        old_mask = os.umask(0o177)
        try:
            await listening.bind(str(path))
        finally:
            os.umask(old_mask)
        listening.listen(16)
    except OSError as error:
        listening.close()
        raise LocalError(
            "other meshai commands can't reach this node", f"no control socket at {path}: {error}", "choose a --state"
        ) from error
    return trio.SocketListener(listening)


async def _serve_one(node: Node, stream: trio.abc.Stream) -> None:
    lines = _Lines(stream)
    try:
        async with stream:
            try:
                request = await lines.receive()
                if request is not None:
                    await _until_closed(stream, partial(_do, node, request, lines.send))
            except MeshaiError as error:
                await lines.send(error_form(error))
    except* (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the program went away, perhaps killed in the middle of an answer: nobody is left to tell


async def _until_closed(stream: trio.abc.Stream, work: Callable[[], Awaitable[None]]) -> None:
    """Do `work`, but stop when the other side closes the connection."""
    failed: MeshaiError | None = None
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            while await stream.receive_some(4096):
                pass
            nursery.cancel_scope.cancel()

        nursery.start_soon(watch)
        try:
            await work()
        except MeshaiError as error:
            failed = error
        nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed


async def _do(node: Node, request: Form, tell: Tell) -> None:
    match request.get("do"):
        case "ask":
            await _ask(node, wish_from(request), tell)
        case "peers":
            now = trio.current_time()
            await tell({"peers": [peer_form(peer, now) for peer in node.known_peers()]})
        case "status":
            await tell({"status": status_form(node.status())})
        case "hush":
            node.hush(silent=bool(request.get("silent")))
            await tell({"status": status_form(node.status())})
        case "watch":
            await _watch(node, tell)
        case other:
            raise LocalError(
                f"the node does not know how to {other!r}", "", "use the same version of meshai on both sides"
            )


async def _ask(node: Node, wish: Wish, tell: Tell) -> None:
    send, receive = trio.open_memory_channel[Progress](float("inf"))
    async with trio.open_nursery() as nursery:

        async def forward() -> None:
            async for progress in receive:
                await tell(progress_form(progress))

        nursery.start_soon(forward)
        failed: MeshaiError | None = None
        answer: Answer | None = None
        with send:
            try:
                answer = await node.ask(wish, send.send_nowait)
            except MeshaiError as error:
                failed = error
    if failed is not None:
        raise failed
    if answer is not None:
        await tell({"answer": answer_form(answer)})


async def _watch(node: Node, tell: Tell) -> None:
    send, receive = trio.open_memory_channel[Fact](1000)

    def listen(fact: Fact) -> None:
        with_room = send.statistics().current_buffer_used < 1000
        if with_room:
            send.send_nowait(fact)

    stop = node.trace.listen(listen)
    try:
        for fact in node.trace.facts:
            await tell(fact_form(fact))
        async for fact in receive:
            await tell(fact_form(fact))
    finally:
        stop()


class RunningNode:
    """A node that runs in another process on this machine."""

    def __init__(self, folder: Path) -> None:
        self._path = _socket_path(folder)

    async def is_there(self) -> bool:
        """Whether a node runs in this folder."""
        return await _answers(self._path)

    async def ask(self, wish: Wish, show: Callable[[Progress], None]) -> Answer:
        """As `nodes.node.Node.ask`."""
        async with self._conversation({"do": "ask", **wish_form(wish)}) as lines:
            while (form := await _reply(lines)) is not None:
                if "answer" in form:
                    return answer_from(form["answer"])
                show(progress_from(form))
        raise LocalError("the node stopped before it answered", "", "look at what `meshai up` printed, and ask again")

    async def peers(self) -> list[Form]:
        """The peers that the node has heard, as forms."""
        peers: list[Form] = (await self._one("peers"))["peers"]
        return peers

    async def status(self) -> Form:
        """The node's status, as a form."""
        status: Form = (await self._one("status"))["status"]
        return status

    async def hush(self, *, silent: bool) -> None:
        """As `nodes.node.Node.hush`."""
        await self._one("hush", silent=silent)

    async def _one(self, what: str, **how: object) -> Form:
        async with self._conversation({"do": what, **how}) as lines:
            form = await _reply(lines)
        if form is None:
            raise LocalError("the node stopped before it answered")
        return form

    @asynccontextmanager
    async def _conversation(self, request: Form) -> AsyncIterator[_Lines]:
        try:
            stream = await trio.open_unix_socket(str(self._path))
        except OSError as error:
            raise LocalError("no node is running here", "", "start one with `meshai up`") from error
        async with stream:
            lines = _Lines(stream)
            with suppress(trio.BrokenResourceError):  # a node that refuses to read on has said why
                await lines.send(request)
            yield lines


async def _reply(lines: _Lines) -> Form | None:
    try:
        form = await lines.receive()
    except trio.BrokenResourceError:
        return None
    if form is not None and "error" in form:
        raise error_from(form)
    return form


def _socket_path(folder: Path) -> Path:
    path = folder.absolute() / _SOCKET
    if len(os.fsencode(path)) > _PATH_BYTES_MAX:
        raise LocalError(
            f"the folder {folder} has too long a name", "a control socket must fit in it", "choose a shorter --state"
        )
    return path


async def _answers(path: Path) -> bool:
    try:
        stream = await trio.open_unix_socket(str(path))
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise LocalError(f"{path} belongs to somebody else", "", "use a --state folder of your own") from error
        return False
    await stream.aclose()
    return True
