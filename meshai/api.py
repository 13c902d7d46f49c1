"""The Python API: ask a mesh from a trio program (`Mesh`), or from any program (`SyncMesh`).

    async with Mesh.connect() as mesh:
        async with mesh.ask("Why is the sky blue?") as answer:
            async for piece in answer:
                print(piece, end="")
        print(answer.result.answered_by)

`Mesh.connect` speaks to the node that `meshai up` runs; `Mesh.start` runs one in this process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import trio

from meshai.control import RunningNode
from meshai.forms import peer_form, status_form
from meshai.setup import NodeOptions, build_node, state_dir
from nodes.wishes import DEADLINE_S, Answer, Progress, Text, Wish
from protocol.errors import LocalError, MeshaiError
from protocol.messages import Role, Turn

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

    from nodes.node import Node

__all__ = ["AnswerStream", "Mesh", "SyncMesh"]


class _Backend(Protocol):
    async def ask(self, wish: Wish, show: Callable[[Progress], None]) -> Answer: ...

    async def peers(self) -> list[dict[str, Any]]: ...

    async def status(self) -> dict[str, Any]: ...


class _Here:
    def __init__(self, node: Node) -> None:
        self.node = node
        self.ask = node.ask

    async def peers(self) -> list[dict[str, Any]]:
        await trio.lowlevel.checkpoint()
        now = trio.current_time()
        return [peer_form(peer, now) for peer in self.node.known_peers()]

    async def status(self) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        return status_form(self.node.status())


class AnswerStream:
    """An answer on its way: iterate over its pieces of text, then read `result`."""

    def __init__(self, progress: trio.MemoryReceiveChannel[Progress], on_progress: Callable[[Progress], None]) -> None:
        self._progress = progress
        self._on_progress = on_progress
        self._result: Answer | None = None
        self._error: MeshaiError | None = None

    @property
    def result(self) -> Answer:
        """The whole answer; raises LocalError before the pieces have ended."""
        if self._result is None:
            raise LocalError("the answer is not complete", "its pieces have not all been read")
        return self._result

    def __aiter__(self) -> AnswerStream:
        return self

    async def __anext__(self) -> str:
        async for progress in self._progress:
            self._on_progress(progress)
            if isinstance(progress, Text):
                return progress.text
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration


class Mesh:
    """A mesh to ask, through one node."""

    def __init__(self, backend: _Backend) -> None:
        """Use `connect` or `start` rather than this."""
        self._backend = backend

    @classmethod
    @asynccontextmanager
    async def connect(cls, state: Path | None = None) -> AsyncIterator[Mesh]:
        """Speak to the node running on this machine (in `state`); raises LocalError when there is none."""
        running = RunningNode(state_dir(state))
        if not await running.is_there():
            raise LocalError("no node is running here", "", "start one with `meshai up`, or use Mesh.start")
        yield cls(running)

    @classmethod
    @asynccontextmanager
    async def start(cls, options: NodeOptions | None = None) -> AsyncIterator[Mesh]:
        """Run a node in this process while the block lasts; raises LocalError when it can't start."""
        node = await build_node(options or NodeOptions())
        with unwrapped():
            async with trio.open_nursery() as nursery:
                await nursery.start(node.run)
                yield cls(_Here(node))
                nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def ask(
        self,
        question: str,
        *,
        earlier: tuple[Turn, ...] = (),
        model: str = "",
        max_tokens: int = 0,
        deadline_s: int = DEADLINE_S,
        fresh: bool = False,
        on_progress: Callable[[Progress], None] = lambda progress: None,
    ) -> AsyncIterator[AnswerStream]:
        """Ask; `earlier` turns make it a conversation. Errors are raised where the pieces are read.

        Leaving the block early gives the question up. `on_progress` hears of everything, the text included; a
        `Restarted` voids the text so far.
        """
        wish = Wish((*earlier, Turn(Role.USER, question)), model, max_tokens, deadline_s, fresh)
        send, receive = trio.open_memory_channel[Progress](float("inf"))
        stream = AnswerStream(receive, on_progress)

        async def work() -> None:
            with send:
                try:
                    stream._result = await self._backend.ask(wish, send.send_nowait)
                except MeshaiError as error:
                    stream._error = error

        with unwrapped():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(work)
                yield stream
                nursery.cancel_scope.cancel()

    async def answer(self, question: str, **how: Any) -> Answer:
        """Ask and wait for the whole answer; takes the same arguments as `ask`."""
        async with self.ask(question, **how) as stream:
            async for _ in stream:
                pass
        return stream.result

    async def peers(self) -> list[dict[str, Any]]:
        """The nodes heard of late: name, address, hops, models, backlog, age."""
        return await self._backend.peers()

    async def status(self) -> dict[str, Any]:
        """How this node is doing."""
        return await self._backend.status()


class SyncMesh:
    """`Mesh` for programs without trio; trio runs in a thread of its own while the block lasts.

    with SyncMesh.connect() as mesh:
        print(mesh.answer("Why is the sky blue?").text)
    """

    def __init__(self, mesh: Mesh, portal: BlockingPortal) -> None:
        """Use `connect` or `start` rather than this."""
        self._mesh = mesh
        self._portal = portal

    @classmethod
    def connect(cls, state: Path | None = None) -> AbstractContextManager[SyncMesh]:
        """As `Mesh.connect`."""
        return cls._open(lambda: Mesh.connect(state))

    @classmethod
    def start(cls, options: NodeOptions | None = None) -> AbstractContextManager[SyncMesh]:
        """As `Mesh.start`."""
        return cls._open(lambda: Mesh.start(options))

    @classmethod
    @contextmanager
    def _open(cls, opening: Callable[[], Any]) -> Iterator[SyncMesh]:
        from anyio.from_thread import start_blocking_portal

        with start_blocking_portal("trio") as portal, portal.wrap_async_context_manager(opening()) as mesh:
            yield cls(mesh, portal)

    def answer(self, question: str, **how: Any) -> Answer:
        """Ask and wait for the whole answer."""
        return self._portal.call(partial(self._mesh.answer, question, **how))

    def peers(self) -> list[dict[str, Any]]:
        """As `Mesh.peers`."""
        return self._portal.call(self._mesh.peers)

    def status(self) -> dict[str, Any]:
        """As `Mesh.status`."""
        return self._portal.call(self._mesh.status)


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raise what an inner nursery wrapped: callers should see MeshaiError, not ExceptionGroup.

    A group of several other errors is the caller's own, and stays one.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and (len(error.exceptions) == 1 or _all_ours(error)):
            error = error.exceptions[0]
        raise error from group


def _all_ours(group: BaseExceptionGroup[BaseException]) -> bool:
    return group.split(MeshaiError)[1] is None


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first exception inside `group` that is no group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
