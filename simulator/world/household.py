"""A device of a simulated world: the real node on a virtual radio, its engine and cache, through crashes and restarts.

Nothing of a node is imitated here: it is built as `meshai up` builds it, with a scripted engine, on a virtual radio and
a virtual LAN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import trio

from nodes.bearers.gate import GatedPort
from nodes.bearers.radio import RadioBearer
from nodes.cache import AnswerCache, CachedAnswer
from nodes.engines.scripted import ScriptedEngine
from nodes.interfaces import Bearer, Finished, Prompt
from nodes.node import Node, NodeSettings
from nodes.radio_check import Judgement
from nodes.sharing import Verdict
from nodes.trace import Fact, Trace
from nodes.wishes import Answer, Wish
from protocol.errors import MeshaiError
from simulator.world.ports import TroubledPort

if TYPE_CHECKING:
    from protocol.text import TextCoder

__all__ = ["MESHAI_CHANNEL", "Device", "Ended", "Setup"]

MESHAI_CHANNEL = 1
"""Index of meshai's own channel on every radio here; the first is the public one, for the radios' own chatter."""
DATE_S = 1_800_000_000.0
"""The date at which every run begins, seconds since 1970."""
_PAGES_MAX = 1 << 30
_STOPPED = "the device stopped meanwhile"
_OFF = "the device is off"


@dataclass(frozen=True, slots=True)
class Setup:
    """A device as its owner set it up."""

    name: str
    """The node's name; unique in the world."""
    model: str = ""
    """Empty on a device that only asks."""
    tokens_per_s: float = 1.0
    slots: int = 1
    serves: frozenset[str] = frozenset()
    """Addresses that it answers."""
    folder: Path | None = None
    """Where its cache outlives a crash; None keeps it in memory."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a question ended for the person who asked."""

    answer: Answer | None
    why: str = ""
    """What the person was told where there is no answer."""
    by_crash: bool = False


class _Engine(ScriptedEngine):
    """Tells how many answers it works on."""

    def __init__(self, script: Callable[[str], str], setup: Setup, works: Callable[[int], None]) -> None:
        super().__init__(script, name=setup.model, tokens_per_s=setup.tokens_per_s, slots=setup.slots)
        self._works = works
        self._asked = 0

    async def answer(self, prompt: Prompt, emit: Callable[[str], None]) -> Finished:
        """Answer; see ScriptedEngine."""
        self._count(1)
        try:
            return await super().answer(prompt, emit)
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        self._asked += change
        self._works(min(self._asked, self.slots))


class _Cache(AnswerCache):
    """Remembers what it said is kept, and can be told that the disk is full."""

    def __init__(self, path: Path | None, trace: Trace, wall: Callable[[], float], kept: dict[bytes, str]) -> None:
        super().__init__(path, trace, wall=wall)
        self._kept = kept

    def put(self, key: bytes, answer: CachedAnswer) -> bool:
        """Keep an answer; see AnswerCache."""
        is_kept = super().put(key, answer)
        if is_kept:
            self._kept[key] = answer.text
        return is_kept

    def limit_size(self, *, full: bool) -> None:
        """Let the file grow no more, as on a full disk, or again."""
        if self._db is not None:
            pages = self._db.execute("pragma page_count").fetchone()[0] if full else _PAGES_MAX
            self._db.execute(f"pragma max_page_count = {pages}")


class Device:
    """A device, on or off, with its node while it runs."""

    def __init__(
        self,
        setup: Setup,
        *,
        port: TroubledPort | None,
        bearers: Callable[[], list[Bearer]],
        script: Callable[[str], str],
        coder: TextCoder | None,
        sharing: Callable[[], Verdict],
        seed: int,
    ) -> None:
        """`port` is the radio that it holds, if it does; `bearers` makes its others anew for each start.

        `script` gives a question's answer. `sharing` tells whether it works for others now.
        """
        self.setup = setup
        self.port = port
        self.node: Node | None = None
        self.works: Callable[[int], None] = lambda slots: None
        """Is told how many of its engine's slots work now."""
        self.facts: Callable[[Fact], None] = lambda fact: None
        """Is told of everything that its node traces."""
        self.clock_error_s = 0.0
        self._bearers = bearers
        self._script = script
        self._coder = coder
        self._sharing = sharing
        self._seed = seed
        self._starts = 0
        self._wanted = self._powered = True
        self._changed = trio.Event()
        self._life = trio.CancelScope()
        self._asking: set[trio.CancelScope] = set()
        self._cache: _Cache | None = None
        self._kept: dict[bytes, str] = {}
        """What its cache said is kept, restarts included."""

    def wall(self) -> float:
        """The date as this device sees it."""
        return DATE_S + trio.current_time() + self.clock_error_s

    async def run(self, first_after_s: float = 0.0) -> None:
        """Run the node whenever the device is on, until cancelled; for the first time after so many seconds."""
        await trio.sleep(first_after_s)
        while True:
            while not (self._wanted and self._powered):
                await self._changed.wait()
            with trio.CancelScope() as self._life:
                await self._live()
            self.node = None

    def switch(self, *, on: bool) -> None:
        """Switch it on, or off at once: whoever asks it just then gets no answer."""
        self._wanted = on
        self._look()

    def power(self, *, on: bool) -> None:
        """Give it power, or take it away: it runs when it is switched on too."""
        self._powered = on
        self._look()

    def _look(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
        if not (self._wanted and self._powered):
            self.node = None
            self._life.cancel()
            for scope in tuple(self._asking):
                scope.cancel()

    def fill_disk(self, *, full: bool) -> None:
        """Let the device's disk be full, or have room again."""
        if self._cache is not None:
            self._cache.limit_size(full=full)

    def lost_entries(self) -> int:
        """How many answers that its cache said are kept are not there, or not the same."""
        if self._cache is None or self.node is None:
            return 0
        found = {key: self._cache.get(key) for key in self._kept}
        return sum(entry is None or entry.text != self._kept[key] for key, entry in found.items())

    async def ask(self, wish: Wish) -> Ended:
        """Ask this device's node as its owner; returns how it ended, whatever happens to the device meanwhile."""
        node = self.node
        if node is None:
            return Ended(None, _OFF, by_crash=True)
        with trio.CancelScope() as scope:
            self._asking.add(scope)
            try:
                return Ended(await node.ask(wish))
            except MeshaiError as error:
                return Ended(None, str(error))
            finally:
                self._asking.discard(scope)
        return Ended(None, _STOPPED, by_crash=True)

    async def _live(self) -> None:
        self._starts += 1
        setup, trace = self.setup, Trace()
        trace.listen(lambda fact: self.facts(fact))
        bearers = self._bearers()
        if self.port is not None:
            judgement = Judgement("", MESHAI_CHANNEL, ())
            bearers.insert(0, RadioBearer(GatedPort(self.port, lambda info: judgement, trace), trace))
        path = setup.folder / f"{setup.name}.sqlite" if setup.folder else None
        if path is None:
            self._kept.clear()
        self._cache = _Cache(path, trace, self.wall, self._kept)
        node = Node(
            NodeSettings(setup.name, setup.serves),
            engine=_Engine(self._script, setup, self._work) if setup.model else None,
            bearers=bearers,
            cache=self._cache,
            rng=Random(f"{setup.name} {self._starts} {self._seed}"),
            trace=trace,
            coder=self._coder,
            wall=self.wall,
            sharing=self._sharing,
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(node.run)
            self.node = node

    def _work(self, slots: int) -> None:
        self.works(slots)
