"""Anything at any time: questions, cancellations, failing engines, vanishing radios and loss, drawn from a seed."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import pytest
import trio
from mesh_world import wish, world

from nodes.engines.scripted import ScriptedEngine
from protocol.errors import LocalError, MeshaiError
from simulator.topology import full

STORM_S = 1200.0


def say(question):
    return " ".join([question.split()[0]] * 40)


async def ask_now_and_then(node, rng, endings, late):
    """Ask at random times, some questions long or in vain, and give some up early."""
    number = 0
    while True:
        await trio.sleep(rng.expovariate(1 / 20))
        number += 1
        deadline_s = rng.choice([5, 30, 120, 300])
        asked = wish(
            f"{number} {'why ' * rng.choice([1, 1, 60, 500])}?",
            model=rng.choice(["", "", "B", "nobody's"]),
            max_tokens=rng.choice([0, 1, 40, 300]),
            deadline_s=deadline_s,
        )
        started = trio.current_time()
        patience_s = rng.choice([1.0, 10.0, 1000.0])
        try:
            with trio.move_on_after(patience_s) as patience:
                endings.append(bool((await node.ask(asked)).text))
            if patience.cancelled_caught:
                endings.append("given up")
        except MeshaiError as error:
            endings.append(type(error))
        if trio.current_time() - started > min(deadline_s, patience_s) + 1.001:
            late.append((asked, trio.current_time() - started))


@pytest.mark.parametrize("seed", range(5))
async def test_every_question_ends_in_time_and_nothing_stays_behind(autojump_clock, seed):
    rng = Random(seed)
    endings, late, engines = [], [], []
    async with world(full(4), seed=seed, loss=rng.choice([0.0, 0.2, 0.5])) as (here, nursery):
        nodes = []
        for name in "ABCD":
            engine = ScriptedEngine(say, name=name, tokens_per_s=rng.choice([2, 20]), slots=rng.choice([1, 2]))
            engines.append(engine)
            others = [other for other in "ABCD" if other != name and rng.random() < 0.8]
            share = rng.choice([0.02, 0.5])
            nodes.append(here.node(name, name, None if name == "A" else engine, serves=others, share=share))
            await nursery.start(nodes[-1].run)

        async with trio.open_nursery() as storm:
            for node in nodes:
                for _ in range(2):
                    storm.start_soon(ask_now_and_then, node, rng, endings, late)
            with trio.move_on_after(STORM_S):
                while True:
                    await trio.sleep(rng.expovariate(1 / 30))
                    radio = here.air.radio(rng.choice("ABCD"))
                    with suppress(LocalError):
                        radio.switch_on() if not radio.is_on else rng.choice([radio.switch_off, lambda: None])()
                    rng.choice(engines).fail_next(LocalError("the model crashed"), after_tokens=rng.randrange(10))
            storm.cancel_scope.cancel()
        for name in "ABCD":
            here.air.radio(name).switch_on()
        await trio.sleep(1000)
        assert late == []
        assert {True, LocalError} <= set(endings)
        for node in nodes:
            assert node._inquiry._open == {}
            assert node._serving._taken == {}
            assert (node._admission._running, list(node._admission._waiting)) == ([], [])
            assert all(pump._accounts == {} for pump in node._pumps)
            assert all(pump.session._questions == {} for pump in node._pumps)
