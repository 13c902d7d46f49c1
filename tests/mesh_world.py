"""A little world for tests: real nodes on virtual radios in virtual time. Imported by tests, holds no test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import trio

from meshai.api import unwrapped
from nodes.bearers.radio import RadioBearer, address_of
from nodes.cache import AnswerCache
from nodes.engines.scripted import ScriptedEngine
from nodes.interfaces import Engine
from nodes.node import Node, NodeSettings
from nodes.trace import Trace
from nodes.wishes import Wish
from protocol.airtime import PRESETS
from protocol.messages import Role, Turn
from simulator.firmware.settings import RadioSettings
from simulator.neighbourhood import Neighbourhood
from simulator.radio import VirtualRadioPort
from simulator.topology import Topology, line

SKY = "Because air scatters blue light more than red light."
ANSWERS = {"Why is the sky blue?": SKY, "Tell me a long story": " ".join(f"word{n}" for n in range(120))}


def wish(question: str, **how: object) -> Wish:
    return Wish((Turn(Role.USER, question),), **how)


PLAIN = RadioSettings(has_pkc=False)
"""Radios without key pairs: relays read direct messages."""


class World:
    def __init__(self, topology: Topology, preset: str, seed: int, loss: float, settings: RadioSettings) -> None:
        self.seed = seed
        self.air = Neighbourhood(topology, PRESETS[preset], seed=seed, loss=loss, settings=settings)

    def address(self, radio: str) -> str:
        return address_of(self.air.radio(radio).node_number)

    def node(
        self,
        radio: str,
        name: str,
        engine: Engine | None = None,
        *,
        serves: Iterable[str] = (),
        cache: Path | None = None,
        share: float = 0.5,
    ) -> Node:
        trace = Trace()
        bearer = RadioBearer(VirtualRadioPort(self.air.radio(radio)), trace)
        settings = NodeSettings(name, frozenset(self.address(other) for other in serves), share)
        rng = Random(f"{name} {self.seed}")
        return Node(settings, engine=engine, bearers=[bearer], cache=AnswerCache(cache, trace), rng=rng, trace=trace)


@asynccontextmanager
async def world(
    topology: Topology | None = None,
    *,
    preset: str = "SHORT_FAST",
    seed: int = 1,
    loss: float = 0.0,
    settings: RadioSettings = PLAIN,
) -> AsyncIterator[tuple[World, trio.Nursery]]:
    here = World(topology or line(3), preset, seed, loss, settings)
    with unwrapped():
        async with trio.open_nursery() as nursery:
            await nursery.start(here.air.run)
            yield here, nursery
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def cabin_and_house(**how: object) -> AsyncIterator[tuple[Node, Node, World]]:
    """`cabin`, without a model, on radio A, and `house`, which answers it, on radio C, with a relay between.

    `other` names another radio for `house`.
    """
    other = how.pop("other", "C")
    engine = how.pop("engine", None) or ScriptedEngine(ANSWERS, name="tiny", tokens_per_s=20)
    cabin_cache = how.pop("cabin_cache", None)
    async with world(**how) as (here, nursery):
        cabin = here.node("A", "cabin", cache=cabin_cache)
        house = here.node(other, "house", engine, serves="A")
        await nursery.start(cabin.run)
        await nursery.start(house.run)
        yield cabin, house, here


async def until_heard(node: Node) -> None:
    """Wait until `node` has heard a beacon."""
    heard = trio.Event()
    stop = node.trace.listen(lambda fact: heard.set() if fact.name == "beacon.heard" else None)
    if not node.known_peers():
        await heard.wait()
    stop()


def sent(node, kind):
    return [fact for fact in node.trace.facts if fact.name == "packet.sent" and fact.fields["kind"] == kind]


class RestartingEngine(ScriptedEngine):
    """An engine that can be away, as while its process starts anew: its answers wait for it."""

    def __init__(self, *how, **more):
        super().__init__(*how, **more)
        self.prompts = []
        self._back = trio.Event()
        self._back.set()

    @property
    def models(self):
        return super().models if self._back.is_set() else ()

    def go(self):
        self._back = trio.Event()

    def come_back(self):
        self._back.set()

    async def answer(self, prompt, emit):
        self.prompts.append(prompt)
        await self._back.wait()
        return await super().answer(prompt, emit)
