"""Radios on TCP, and what listens to a port, for tests in real time."""

from contextlib import asynccontextmanager

import trio

from nodes.interfaces import RadioNode
from protocol.airtime import PRESETS
from simulator.neighbourhood import Neighbourhood
from simulator.topology import line

__all__ = ["Listener", "running", "served"]


class Listener:
    """Collects a port's events, but what it tells of the nodes it knows, and waits for them."""

    def __init__(self):
        self.events = []
        self._more = trio.Event()

    def __call__(self, event):
        if not isinstance(event, RadioNode):
            self.events.append(event)
        self._more.set()
        self._more = trio.Event()

    async def until(self, condition):
        """Wait for the first event that meets `condition` and return it."""
        with trio.fail_after(20):
            while not (found := [event for event in self.events if condition(event)]):
                await self._more.wait()
        return found[0]

    async def until_kind(self, kind, count=1):
        with trio.fail_after(20):
            while len(found := [event for event in self.events if isinstance(event, kind)]) < count:
                await self._more.wait()
        return found[count - 1]


@asynccontextmanager
async def served(length, preset="SHORT_TURBO"):
    """A line of radios on TCP: (neighbourhood, addresses by name)."""
    neighbourhood = Neighbourhood(line(length), PRESETS[preset], seed=1)
    async with trio.open_nursery() as nursery:
        await nursery.start(neighbourhood.run)
        yield neighbourhood, await nursery.start(neighbourhood.serve)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def running(port):
    """A running port and what it says."""
    listener = Listener()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(port.run, listener)
        yield port, listener
        nursery.cancel_scope.cancel()
