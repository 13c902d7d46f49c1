"""Setting up virtual radios over TCP through the unmodified `meshtastic` library, in real time, and what follows."""

import json
import os
import sys
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from subprocess import PIPE

import pytest
import trio
from radio_ports import running

from nodes.bearers.gate import GatedPort
from nodes.bearers.meshtastic_admin import open_desk
from nodes.bearers.meshtastic_link import read_link
from nodes.bearers.meshtastic_port import MeshtasticPort
from nodes.bearers.radio import RadioBearer, address_of
from nodes.interfaces import RadioPacket, RadioUp
from nodes.radio_check import SetUp, judge
from nodes.radio_setup import Wishes, check_kept, plan_setup
from nodes.trace import Trace
from protocol.airtime import PRESETS
from simulator.firmware.settings import RadioSettings
from simulator.neighbourhood import Neighbourhood
from simulator.topology import line

pytestmark = pytest.mark.realtime


@asynccontextmanager
async def served(length, **settings):
    """A line of radios on TCP: (neighbourhood, addresses by name)."""
    neighbourhood = Neighbourhood(line(length), PRESETS["SHORT_TURBO"], seed=1, settings=RadioSettings(**settings))
    async with trio.open_nursery() as nursery:
        await nursery.start(neighbourhood.run)
        yield neighbourhood, await nursery.start(neighbourhood.serve)
        nursery.cancel_scope.cancel()


def tcp(address):
    return MeshtasticPort.tcp(address.host, address.port, Trace())


async def set_up(address, **wishes):
    """Set a radio up; returns what was settled and the link."""
    with trio.fail_after(60):
        async with open_desk(tcp(address)) as desk:
            plan = plan_setup(await desk.read(), Wishes(**wishes), Random(1).randbytes)
            if plan.changes:
                await desk.write(plan)
                await desk.restarted()
                check_kept(plan, await desk.read())
            info = desk.info
            settled = SetUp(info.node_number, plan.region, plan.slot.index, plan.slot.name, plan.public, 0.0)
            return settled, desk.link(plan.slot), info


async def test_a_radio_out_of_the_box_is_set_up_and_a_neighbour_joins():
    async with served(2, region="UNSET") as (_, addresses):
        settled, link, info = await set_up(addresses["A"], region="EU_868", preset="SHORT_FAST")
        assert (info.region, info.preset) == ("EU_868", "SHORT_FAST")
        assert info.channels[1].name == settled.channel_name == "serial"
        joined, again, other = await set_up(addresses["B"], region="EU_868", preset="SHORT_FAST", link=read_link(link))
        assert read_link(again) == read_link(link)
        assert (joined.channel_name, other.channels[1].key) == ("serial", "own")


async def test_direct_frames_cross_on_the_channel_that_was_set_up_readable_to_relays_that_share_it():
    async with served(2) as (neighbourhood, addresses):
        settled, link, info = await set_up(addresses["A"])
        await set_up(addresses["B"], link=read_link(link))
        flown = []
        neighbourhood.medium.observe(flown.append)
        real = partial(judge, set_up=settled, command="")
        gate = GatedPort(tcp(addresses["A"]), real, Trace())
        bearer = RadioBearer(gate, Trace())
        async with running(tcp(addresses["B"])) as (_, heard), trio.open_nursery() as nursery:
            await heard.until_kind(RadioUp)
            nursery.start_soon(bearer.run, lambda received: None, lambda: None)
            await bearer.send(b"frame", address_of(addresses["B"].node_number))
            packet = await heard.until(lambda event: isinstance(event, RadioPacket) and event.port == 256)
            assert (packet.payload, packet.channel, packet.pkc) == (b"frame", settled.channel_index, False)
            nursery.cancel_scope.cancel()
        assert info.node_number in {sent.sender for sent in flown}


async def meshai(home, *arguments, status=0):
    """Run `meshai` as a process and return what it printed."""
    environment = {**os.environ, "MESHAI_HOME": str(home)}
    command = [sys.executable, "-m", "meshai", *arguments]
    with trio.fail_after(60):
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False, env=environment)
    assert done.returncode == status, done.stdout.decode() + done.stderr.decode()
    return done.stdout.decode()


async def test_the_command_sets_up_a_radio_at_its_address(tmp_path):
    async with served(1, region="UNSET") as (neighbourhood, addresses):
        spec = f"tcp:{addresses['A'].host}:{addresses['A'].port}"
        found = json.loads(await meshai(tmp_path, "radio", "check", "--radio", spec, "--json"))
        assert found["findings"][0]["what"] == "the radio has no region"
        options = ("--region", "EU_868", "--preset", "SHORT_FAST", "--yes", "--json")
        told = json.loads(await meshai(tmp_path, "radio", "setup", "--radio", spec, *options))
        radio = neighbourhood.radios["A"]
        assert (radio.settings.region, radio.settings.channels[1].name) == ("EU_868", "serial")
        assert told["link"].startswith("https://meshtastic.org/e/")
        (known,) = json.loads((tmp_path / "radios.json").read_text())["radios"]
        assert (known["node_number"], known["channel_index"]) == (radio.node_number, 1)
        assert radio.settings.channels[1].key.hex() not in (tmp_path / "radios.json").read_text()


async def test_a_running_node_tells_what_about_its_radio_needs_care_and_keeps_it(tmp_path):
    async with served(1, role="ROUTER", ok_to_mqtt=True) as (_, addresses), trio.open_nursery() as nursery:
        spec = f"tcp:{addresses['A'].host}:{addresses['A'].port}"
        command = [sys.executable, "-m", "meshai", "up", "--radio", spec, "--model", "none"]
        start = partial(
            trio.run_process,
            command,
            capture_stdout=False,
            stdin=None,
            stdout=PIPE,
            check=False,
            env={**os.environ, "MESHAI_HOME": str(tmp_path)},
        )
        process = await nursery.start(start)
        printed = b""
        with trio.fail_after(30):
            while b"OK to MQTT" not in printed:
                printed += await process.stdout.receive_some()
        assert b"warning: the radio's role is ROUTER" in printed
        told = await meshai(tmp_path, "radio", "check", "--radio", spec, "--json", status=1)
        assert json.loads(told)["fix"].startswith("stop `meshai up`")
        process.terminate()
