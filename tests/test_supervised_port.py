"""Watching over a radio's connection, with a scripted driver in place of the meshtastic library."""

from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace

import pytest
import trio

from nodes.bearers import supervised_port
from nodes.bearers.supervised_port import Configured, Driver, Lost, QueueReport, SupervisedPort
from nodes.interfaces import RadioDown, RadioInfo, RadioPacket, RadioUp
from nodes.trace import Trace
from protocol.errors import LocalError

pytestmark = pytest.mark.realtime

INFO = RadioInfo(0x1000, "Roof", "2.7.15", "EU_868", "LONG_FAST", 3)


class Scripted(Driver):
    """A radio that says what it is when opened, answers heartbeats while `alive`, and keeps what it is given."""

    def __init__(self, info, *, alive=True, error=None):
        self.info, self.alive, self.error = info, alive, error
        self.written, self.tell, self.closed = [], None, False

    def open(self, tell):
        if self.error is not None:
            raise self.error
        self.tell = tell
        if self.info is not None:
            tell(Configured(self.info))

    def close(self):
        self.closed = True

    def new_packet_id(self):
        return len(self.written) + 1

    def own_node_info(self):
        return b"own"

    def write(self, packet):
        if packet is not None:
            self.written.append(packet)
        if self.alive:
            self.tell(QueueReport(packet.packet_id if packet else 0, 0, 16))


@asynccontextmanager
async def port_over(*drivers, deliver=None):
    """A running port that gets these drivers one after the other: (port, its events, its trace)."""
    left, events, trace = iter(drivers), [], Trace()
    port = SupervisedPort(lambda: next(left), trace)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(port.run, deliver or events.append)
        yield port, events, trace
        nursery.cancel_scope.cancel()
    assert all(driver.closed for driver in drivers if driver.tell)


async def until(condition):
    with trio.fail_after(10):
        while not condition():  # noqa: ASYNC110  the port's events are a plain list
            await trio.sleep(0.01)


async def send_for_ever(port):
    while True:
        await port.transmit(b"?", to=7, port=256)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr(supervised_port, "_PAUSE_S_MIN", 0.02)
    monkeypatch.setattr(supervised_port, "_HEARTBEAT_S", 0.1)
    monkeypatch.setattr(supervised_port, "_SILENCE_S", 0.3)
    monkeypatch.setattr(supervised_port, "_CONFIGURE_S", 0.2)


def ups(events):
    return [event.info for event in events if isinstance(event, RadioUp)]


async def test_a_radio_replaced_while_running_is_used_under_its_own_number_and_told():
    other = replace(INFO, node_number=0x2000)
    first, second = Scripted(INFO), Scripted(other)
    async with port_over(first, second) as (port, events, trace):
        await until(lambda: ups(events))
        first.tell(Lost("pulled out"))
        await until(lambda: len(ups(events)) == 2)
        assert ups(events) == [INFO, other]
        (fact,) = [fact for fact in trace.facts if fact.name == "radio.replaced"]
        assert fact.fields == {"was": "!00001000", "now": "!00002000"}
        await port.transmit(b"?", to=7, port=256)
        await until(lambda: second.written)
        assert [packet.payload for packet in second.written] == [b"?"]
        assert not first.written


async def test_a_radio_that_comes_back_with_another_region_is_told():
    first, second = Scripted(INFO), Scripted(replace(INFO, region="US"))
    async with port_over(first, second) as (_, events, trace):
        await until(lambda: ups(events))
        first.tell(Lost("restarted"))
        await until(lambda: len(ups(events)) == 2)
        (fact,) = [fact for fact in trace.facts if fact.name == "radio.region_changed"]
        assert fact.fields == {"was": "EU_868", "now": "US"}


async def test_a_radio_that_comes_back_as_it_was_is_nothing_new():
    first, second = Scripted(INFO), Scripted(INFO)
    async with port_over(first, second) as (_, events, trace):
        await until(lambda: ups(events))
        first.tell(Lost("restarted"))
        await until(lambda: len(ups(events)) == 2)
        assert trace.facts == ()


async def test_a_long_silence_is_told_once_and_the_radio_used_when_it_speaks_again():
    silent = [Scripted(None, alive=False) for _ in range(3)]
    first, last = Scripted(INFO), Scripted(INFO)
    async with port_over(first, *silent, last) as (port, events, _):
        await until(lambda: ups(events))
        first.alive = False
        await until(lambda: len(ups(events)) == 2)
        reasons = [event.reason for event in events if isinstance(event, RadioDown)]
        assert len(reasons) == 2
        assert "silent" in reasons[0]
        assert "does not answer" in reasons[1]
        assert first.closed
        assert await port.transmit(b"again", to=7, port=256) == 1


async def test_who_sends_during_the_silence_is_told_and_nothing_hangs():
    first, last = Scripted(INFO, alive=False), Scripted(None, alive=False)
    async with port_over(first, last) as (port, events, _):
        await until(lambda: ups(events))
        with trio.fail_after(5), pytest.raises(LocalError, match="silent"):
            await send_for_ever(port)


@pytest.mark.parametrize("came_before", [False, True])
async def test_what_waiting_cannot_mend_ends_the_port_unless_the_radio_was_there_before(came_before):
    hopeless = Scripted(None, error=LocalError("no permission"))
    drivers = [Scripted(INFO), hopeless, Scripted(INFO)] if came_before else [hopeless]
    with nullcontext() if came_before else pytest.RaisesGroup(pytest.RaisesExc(LocalError, match="permission")):
        async with port_over(*drivers) as (_, events, _):
            await until(lambda: ups(events))
            drivers[0].tell(Lost("pulled out"))
            await until(lambda: len(ups(events)) == 2)
            assert RadioDown("no permission") in events


async def test_what_comes_before_the_radio_said_what_it_is_is_not_told():
    driver = Scripted(None)
    async with port_over(driver, Scripted(INFO)) as (_, events, _):
        await until(lambda: driver.tell)
        driver.tell(RadioPacket(1, 2, 256, b"early", 1, 3, 3))
        driver.tell(Configured(INFO))
        driver.tell(RadioPacket(1, 2, 256, b"late", 2, 3, 3))
        await until(lambda: len(events) == 2)
        assert [type(event) for event in events] == [RadioUp, RadioPacket]
        assert events[1].payload == b"late"
