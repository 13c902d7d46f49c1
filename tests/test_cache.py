"""The answer cache: what is kept, for how long, and through what it lives."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing

import pytest
import trio

from nodes.cache import AnswerCache, CachedAnswer
from nodes.trace import Trace
from protocol.answers import answer_key
from protocol.messages import Role, Turn

ANSWER = CachedAnswer("Blue light scatters more.", "tiny", "house", 5, False, 2)
DAY_S = 86400.0


def key(text, **how):
    return answer_key((Turn(Role.USER, text),), **{"model": "", "max_tokens": 0, **how})


def names(trace):
    return [fact.name for fact in trace.facts]


async def test_an_answer_is_kept_over_a_restart(tmp_path):
    path = tmp_path / "deep" / "answers.sqlite"
    cache = AnswerCache(path, Trace(), wall=lambda: 1000.0)
    assert cache.put(key("Why?"), ANSWER)
    cache.close()
    again = AnswerCache(path, Trace(), wall=lambda: 2000.0)
    kept = again.get(key("Why?"))
    again.close()
    assert kept is not None
    assert (kept.text, kept.hops, kept.made_at) == (ANSWER.text, 2, 1000.0)


async def test_an_answer_is_forgotten_after_thirty_days():
    now = [0.0]
    cache = AnswerCache(None, Trace(), wall=lambda: now[0])
    cache.put(key("Why?"), ANSWER)
    now[0] = 29 * DAY_S
    assert cache.get(key("Why?")) is not None
    now[0] = 31 * DAY_S
    assert cache.get(key("Why?")) is None
    cache.close()


async def test_the_oldest_answers_make_room():
    now = [0.0]
    cache = AnswerCache(None, Trace(), wall=lambda: now[0], entries_max=10)
    for number in range(600):
        now[0] += 1
        cache.put(key(f"{number}?"), ANSWER)
    assert len(cache) < 300
    assert cache.get(key("599?")) is not None
    assert cache.get(key("0?")) is None
    cache.close()


@pytest.mark.parametrize(
    "other",
    [
        key("why?"),
        key("Why? "[:-2]),
        key("Why?", model="tiny"),
        key("Why?", max_tokens=10),
        answer_key((Turn(Role.SYSTEM, "Be brief."), Turn(Role.USER, "Why?")), model="", max_tokens=0),
        answer_key((Turn(Role.ASSISTANT, "Why?"),), model="", max_tokens=0),
    ],
)
def test_another_question_conversation_model_or_length_is_another_key(other):
    assert other != key("Why?")


def test_white_space_and_unicode_composition_make_no_difference():
    assert key("  Kí ni\n ọ̀run? ") == key("Ki\u0301 ni o\u0323\u0300run?")


async def test_a_damaged_file_is_set_aside_and_the_cache_goes_on(tmp_path):
    path = tmp_path / "answers.sqlite"
    path.write_bytes(b"this is no database" * 1000)
    trace = Trace()
    cache = AnswerCache(path, trace)
    assert names(trace) == ["cache.damaged"]
    assert cache.put(key("Why?"), ANSWER)
    assert cache.get(key("Why?")) is not None
    cache.close()
    assert (tmp_path / "answers.damaged").read_bytes().startswith(b"this is no database")


async def test_a_place_that_can_not_be_written_costs_the_cache_and_nothing_else(tmp_path):
    (tmp_path / "file").write_text("in the way")
    trace = Trace()
    cache = AnswerCache(tmp_path / "file" / "answers.sqlite", trace)
    assert not cache.put(key("Why?"), ANSWER)
    assert cache.get(key("Why?")) is None
    assert len(cache) == 0
    assert names(trace) == ["cache.off"]


async def test_only_the_owner_may_read_the_answers(tmp_path):
    path = tmp_path / "node" / "answers.sqlite"
    cache = AnswerCache(path, Trace())
    cache.put(key("Why?"), ANSWER)
    modes = {found.name: stat.S_IMODE(found.stat().st_mode) for found in (path.parent, *path.parent.iterdir())}
    cache.close()
    assert modes == {"node": 0o700} | dict.fromkeys([path.name, f"{path.name}-wal", f"{path.name}-shm"], 0o600)


async def test_a_file_damaged_by_others_meanwhile_costs_the_cache_and_nothing_else(tmp_path):
    trace = Trace()
    cache = AnswerCache(tmp_path / "answers.sqlite", trace)
    with closing(sqlite3.connect(tmp_path / "answers.sqlite")) as other:
        other.execute("drop table answers")
    assert len(cache) == 0
    assert cache.get(key("Why?")) is None
    assert not cache.put(key("Why?"), ANSWER)
    cache.close()
    assert names(trace) == ["cache.unreadable", "cache.unreadable", "cache.not_kept"]


FILL_DISK = """
import resource, signal, sys, trio
from nodes.cache import AnswerCache, CachedAnswer
from nodes.trace import Trace
async def main():
    trace = Trace()
    cache = AnswerCache(__import__("pathlib").Path(sys.argv[1]), trace)
    assert cache.put(b"first", CachedAnswer("kept", "m", "h", 1, False, 1))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    results = [cache.put(str(n).encode(), CachedAnswer("x" * 5000, "m", "h", 1, False, 1)) for n in range(100)]
    assert not all(results), "the disk never filled"
    assert cache.get(b"first").text == "kept"
    assert "cache.not_kept" in [fact.name for fact in trace.facts]
    print("kept", sum(results))
trio.run(main)
"""


@pytest.mark.realtime
def test_a_full_disk_loses_nothing_that_was_kept(tmp_path):
    command = [sys.executable, "-c", FILL_DISK, str(tmp_path / "answers.sqlite")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("kept")


KEEP_WRITING = """
import sys, trio
from pathlib import Path
from nodes.cache import AnswerCache, CachedAnswer
from nodes.trace import Trace
async def main():
    cache = AnswerCache(Path(sys.argv[1]), Trace())
    n = int(sys.argv[2])
    while True:
        if cache.put(str(n).encode(), CachedAnswer(f"answer {n}", "m", "h", 1, False, 1)):
            print(n, flush=True)
        n += 1
trio.run(main)
"""


def write_until_killed(path, first):
    command = [sys.executable, "-c", KEEP_WRITING, str(path), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(50):
            first = int(writer.stdout.readline()) + 1
        os.kill(writer.pid, signal.SIGKILL)
    return first


@pytest.mark.realtime
async def test_nothing_acknowledged_is_lost_to_kill_9(tmp_path):
    path = tmp_path / "answers.sqlite"
    acknowledged = 0
    for _ in range(5):
        acknowledged = await trio.to_thread.run_sync(write_until_killed, path, acknowledged)
    cache = AnswerCache(path, Trace())
    lost = [n for n in range(acknowledged) if cache.get(str(n).encode()) is None]
    cache.close()
    assert acknowledged >= 250
    assert lost == []
