"""Virtual time: hours pass in an instant, and the same seed gives the same run in every process."""

import os
import subprocess
import sys

import pytest
import trio
from trio._core import _run as scheduler

from simulator.kernel import run

MESH_TRACE = """
import sys
from hashlib import sha256
from random import Random
import trio
from simulator.kernel import run
from simulator.neighbourhood import Neighbourhood
from simulator.radio import VirtualRadioPort
from simulator.topology import full

async def chatter(port, rng, trace, name):
    for _ in range(5):
        await trio.sleep(rng.randrange(3))
        packet_id = await port.transmit(bytes(rng.randrange(40)), to=0xFFFFFFFF, port=256, want_ack=True)
        trace.append(f"{trio.current_time()} {name} {packet_id}")

async def main(seed):
    trace = []
    neighbourhood = Neighbourhood(full(4), seed=seed, loss=0.1)
    neighbourhood.medium.observe(lambda transmission: trace.append(repr(transmission)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(neighbourhood.run)
        async with trio.open_nursery() as talkers:
            for name, radio in neighbourhood.radios.items():
                port = VirtualRadioPort(radio)
                nursery.start_soon(port.run, lambda event, name=name: trace.append(f"{name} {event!r}"))
                talkers.start_soon(chatter, port, Random(name), trace, name)
        await trio.sleep(300)
        nursery.cancel_scope.cancel()
    return trace

trace = run(main, int(sys.argv[1]), seed=int(sys.argv[1]))
print(len(trace), sha256("\\n".join(trace).encode()).hexdigest())
"""


def mesh_trace(seed, hash_seed):
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed)}
    done = subprocess.run(
        [sys.executable, "-c", MESH_TRACE, str(seed)], env=environment, capture_output=True, text=True, check=True
    )
    events, digest = done.stdout.split()
    assert int(events) > 100
    return digest


@pytest.mark.realtime
def test_three_processes_with_one_seed_leave_one_trace_and_another_seed_another():
    one_seed = {mesh_trace(1, hash_seed) for hash_seed in (0, 1, 4242)}
    assert len(one_seed) == 1
    assert mesh_trace(2, 0) not in one_seed


def shuffled_order(seed):
    """The order in which twenty tasks that are ready at once get to run."""

    async def main():
        order = []

        async def task(number):
            await trio.sleep(1)
            order.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(task, number)
        return order

    return run(main, seed=seed)


def test_the_seed_decides_which_ready_task_runs_first():
    assert shuffled_order(1) == shuffled_order(1)
    assert shuffled_order(1) != shuffled_order(2)


def test_hours_pass_at_once_and_arguments_and_result_go_through():
    async def sleep_until(hours):
        await trio.sleep(hours * 3600)
        return trio.current_time()

    assert run(sleep_until, 48, seed=1) == 48 * 3600


def test_the_scheduler_is_left_as_it_was_found_even_after_a_failure():
    async def fail():
        raise ZeroDivisionError

    before = scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r.getstate()
    with pytest.raises(ZeroDivisionError):
        run(fail, seed=1)
    assert (scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r.getstate()) == before
