"""Who may start now, who waits, and who is sent away."""

from __future__ import annotations

from functools import partial

import pytest
import trio
import trio.lowlevel

from nodes.admission import QUEUE_MAX, Admission, BusyError


async def work(admission, seconds, done, name):
    async with admission.slot(seconds):
        await trio.sleep(seconds)
        done.append((name, trio.current_time()))


async def test_work_beyond_the_slots_waits_its_turn_in_order(autojump_clock):
    admission, done = Admission(1), []
    async with trio.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(work, admission, 10, done, name)
            await trio.sleep(0.1)
    assert [name for name, _ in done] == ["a", "b", "c"]
    assert done[-1][1] == pytest.approx(30, abs=0.5)


async def test_beyond_the_queue_it_is_busy_and_says_when_to_come_back(autojump_clock):
    admission, done = Admission(1), []
    async with trio.open_nursery() as nursery:
        for number in range(1 + QUEUE_MAX):
            nursery.start_soon(work, admission, 10, done, number)
            await trio.sleep(0.1)
        with pytest.raises(BusyError) as busy:
            async with admission.slot(10):
                pass
        assert busy.value.backlog_s == pytest.approx(50, abs=1.5)
        assert 1 <= busy.value.retry_after_s <= 11
        await trio.sleep(busy.value.retry_after_s)
        async with admission.slot(1):
            pass
    assert len(done) == 1 + QUEUE_MAX


async def test_the_backlog_counts_down_as_work_is_done(autojump_clock):
    admission, done = Admission(2), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work, admission, 10, done, "a")
        await trio.lowlevel.checkpoint()
        assert admission.backlog_s(trio.current_time()) == 0
        nursery.start_soon(work, admission, 10, done, "b")
        await trio.sleep(4)
        assert admission.backlog_s(trio.current_time()) == pytest.approx(6, abs=0.1)


async def test_who_gives_up_waiting_leaves_the_queue_and_who_gives_up_working_frees_the_slot(autojump_clock):
    admission, done = Admission(1), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work, admission, 100, done, "long")
        await trio.sleep(1)
        with trio.move_on_after(5):
            await work(admission, 10, done, "impatient")
        assert admission.backlog_s(trio.current_time()) == pytest.approx(94, abs=0.1)
        nursery.cancel_scope.cancel()
    assert admission.backlog_s(trio.current_time()) == 0
    await work(admission, 1, done, "next")
    assert [name for name, _ in done] == ["next"]


async def test_a_turn_given_to_somebody_who_is_cancelled_at_that_moment_is_passed_on(autojump_clock):
    admission, done = Admission(1), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work, admission, 10, done, "first")
        await trio.sleep(0.1)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as inner:
                inner.start_soon(work, admission, 10, done, "second")
                await trio.sleep(9.9)
                scope.cancel()
        await work(admission, 1, done, "third")
    assert [name for name, _ in done] == ["first", "third"]


async def test_who_had_least_comes_first_whoever_came_first(autojump_clock):
    admission, order = Admission(1), []
    had = {"greedy": 9.0, "modest": 1.0, "new": 0.0}

    async def ask(name):
        async with admission.slot(10, partial(had.get, name)):
            order.append(name)
            await trio.sleep(10)

    async with trio.open_nursery() as nursery:
        for name in ("greedy", "greedy", "modest", "new"):
            nursery.start_soon(ask, name)
            await trio.sleep(0.1)
        had["new"] = 5.0
    assert order == ["greedy", "modest", "new", "greedy"]


async def test_a_full_queue_sends_away_whoever_had_most_and_came_last(autojump_clock):
    admission, order = Admission(1, queue_max=2), []
    had = {"greedy": 9.0, "new": 0.0}

    async def ask(name, number):
        try:
            async with admission.slot(10, partial(had.get, name)):
                order.append((name, number))
                await trio.sleep(10)
        except BusyError:
            order.append((name, number, "busy"))

    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(ask, "greedy", number)
            await trio.sleep(0.1)
        assert admission.waiting == 2
        nursery.start_soon(ask, "new", 4)
    assert order == [("greedy", 0), ("greedy", 3, "busy"), ("greedy", 2, "busy"), ("new", 4), ("greedy", 1)]
    assert (admission.waiting, admission.backlog_s(trio.current_time())) == (0, 0)
