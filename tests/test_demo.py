"""The whole thing: separate processes, virtual radios over TCP, a real model, and parts that get killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from meshai.api import unwrapped
from meshai.demo import neighbourhood
from nodes.interfaces import BROADCAST
from protocol.airtime import HEADER_BYTES, PRESETS
from protocol.errors import MeshaiError

pytestmark = [pytest.mark.realtime, pytest.mark.model]

QUESTION = "Why is the sky blue?"


def children_of(pid):
    return [
        int(stat.parent.name)
        for stat in Path("/proc").glob("[0-9]*/stat")
        if stat.read_text().rpartition(")")[2].split()[1] == str(pid)
    ]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def until_gone(pids):
    with trio.fail_after(10):
        while any(alive(pid) for pid in pids):  # noqa: ASYNC110 - a process that is not ours tells nothing when it ends
            await trio.sleep(0.05)


def run(*command, timeout=120):
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def demo(*arguments):
    return run(sys.executable, "-m", "meshai", "demo", "--json", *arguments)


def test_the_demo_asks_over_the_air_and_again_from_the_cache(model_file):
    done = demo("--model", str(model_file), "--question", "What is a radio?")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    first, second = result["first"], result["second"]
    assert result["question"] == "What is a radio?"
    assert len(result["answer"]) > 20
    assert (result["answered_by"], result["hops"]) == ("house", 2)
    assert first["source"] == "model"
    assert first["packets"] >= 4
    assert first["bytes_on_air"] > first["packets"] * HEADER_BYTES
    assert 0.1 < first["airtime_s"] < first["seconds"]
    assert (second["source"], second["packets"]) == ("cache", 0)


def test_without_the_relay_the_demo_says_nobody_in_reach_within_a_minute(model_file):
    done = run(
        sys.executable, "-m", "meshai", "demo", "--model", str(model_file), "--without-relay", "--json", timeout=60
    )
    assert done.returncode == 1
    assert "nobody in reach" in json.loads(done.stdout)["error"]
    assert "Nobody in reach" in done.stderr


@asynccontextmanager
async def street(model_file):
    """The demo's neighbourhood, and its transmissions as they end."""
    heard, flights = trio.open_memory_channel(1000)
    with unwrapped():
        async with neighbourhood(
            PRESETS["SHORT_FAST"],
            str(model_file),
            without_relay=False,
            tell=lambda text: None,
            hear=heard.send_nowait,
        ) as here:
            yield here, flights


async def relayed(flights, sender, to):
    """Wait until the relay has repeated a packet."""
    with trio.fail_after(60):
        async for flight in flights:
            if flight.radio == "B" and (flight.sender, flight.to) == (sender, to):
                return


async def ask_and_then(here, flights, action, **how):
    """Ask; do `action` once the question has reached the house; return the error that the asker gets."""
    await relayed(flights, here.numbers["C"], BROADCAST)
    caught = []

    async def ask():
        try:
            await here.mesh.answer("Tell me a long story about a bridge.", **how)
        except MeshaiError as error:
            caught.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await relayed(flights, here.numbers["A"], here.numbers["C"])
        await action()
    assert len(caught) == 1
    return str(caught[0])


async def test_the_demos_radios_serve_the_meshtastic_command_line(model_file):
    async with street(model_file) as (here, _):
        relay = [sys.executable, "-m", "meshtastic", "--host", f"127.0.0.1:{here.ports['B']}"]
        info = await trio.to_thread.run_sync(partial(run, *relay, "--info"))
        assert info.returncode == 0, info.stderr
        assert "Owner:" in info.stdout
        for number in here.numbers.values():
            assert f"!{number:08x}" in info.stdout
        sent = await trio.to_thread.run_sync(
            partial(run, *relay, "--dest", f"!{here.numbers['A']:08x}", "--sendtext", "hello cabin", "--ack")
        )
        assert sent.returncode == 0, sent.stderr
        assert "ACK" in sent.stdout + sent.stderr
        assert (await here.mesh.answer(QUESTION)).answered_by == "house"


async def test_a_killed_model_costs_one_answer_with_one_error_and_the_next_is_answered(model_file):
    async with street(model_file) as (here, flights):

        async def kill_worker():
            workers = children_of(here.pids["house"])
            assert len(workers) == 1
            os.kill(workers[0], signal.SIGKILL)
            await trio.lowlevel.checkpoint()

        error = await ask_and_then(here, flights, kill_worker, max_tokens=300)
        assert "No answer from house: The model" in error
        assert (await here.mesh.answer(QUESTION)).answered_by == "house"


async def test_a_node_killed_mid_answer_ends_in_one_error_and_leaves_no_model_process(model_file):
    async with street(model_file) as (here, flights):
        workers = children_of(here.pids["house"])

        async def kill_house():
            os.kill(here.pids["house"], signal.SIGKILL)
            await until_gone(workers)

        error = await ask_and_then(here, flights, kill_house, deadline_s=15)
        assert "No answer" in error


async def test_radios_that_vanish_mid_answer_end_in_one_error(model_file):
    async with street(model_file) as (here, flights):

        async def kill_radios():
            os.kill(here.pids["radios"], signal.SIGKILL)
            await trio.lowlevel.checkpoint()

        error = await ask_and_then(here, flights, kill_radios, deadline_s=15)
        assert "No answer" in error
        assert (await here.mesh.status())["problems"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_demo_that_is_ended_leaves_no_process_behind(model_file, number):
    command = [sys.executable, "-u", "-m", "meshai", "demo", "--model", str(model_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "asks:" in line:
                break
        family = children_of(process.pid)
        family += [worker for child in family for worker in children_of(child)]
        process.send_signal(number)
        process.wait(15)
        process.stdout.close()
    assert len(family) >= 4

    trio.run(until_gone, family)
