"""How the air of virtual radios is shown: a line for each transmission in plain words, and the load."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress

import pytest
import trio
from radio_world import mesh, number

from meshai.airview import AirView
from simulator.firmware.settings import RadioSettings
from simulator.topology import line


async def shown(neighbourhood, capsys, seconds, act, as_json=False, after_s=0):
    """What is printed in so many seconds from when `act` happens, which is `after_s` after the view began."""
    view = AirView(neighbourhood, as_json=as_json)
    async with trio.open_nursery() as nursery:
        await nursery.start(view.run)
        await trio.sleep(after_s)
        act()
        await trio.sleep(seconds)
        nursery.cancel_scope.cancel()
    return capsys.readouterr().out.splitlines()


async def test_each_transmission_is_a_line_in_plain_words(autojump_clock, capsys):
    async with mesh(line(3)) as (neighbourhood, phones, _):
        lines = await shown(
            neighbourhood,
            capsys,
            30,
            lambda: phones["A"].send(to=number(phones, "C"), port=1, want_ack=True),
        )
    assert re.fullmatch(r" +0\.\d\d s  A sends  A → C: text, sealed, 39 bytes, 0\.\d\d s of air, heard by B", lines[0])
    assert "  B relays A → C: text, sealed, 39 bytes" in lines[1]
    assert lines[1].endswith("heard by A C")
    assert "  C sends  C → A: ACK of text, 29 bytes" in lines[2]


async def test_refusals_say_why_and_what_nobody_heard_is_said(autojump_clock, capsys):
    async with mesh(line(2), RadioSettings(firmware="2.7.26"), loss=0.0) as (neighbourhood, phones, _):
        neighbourhood.radios["B"].known_nodes.clear()
        lines = await shown(neighbourhood, capsys, 10, lambda: phones["A"].send(to=number(phones, "B"), want_ack=True))
        assert "NAK of not meshai's: the receiver does not know our radio's key" in lines[1]
        neighbourhood.radios["B"].switch_off()
        lines = await shown(neighbourhood, capsys, 5, phones["A"].send)
        assert lines[0].endswith("heard by nobody")
        neighbourhood.radios["B"].switch_on()
        neighbourhood.medium.connect("A", "B", None)
        stranger = await shown(neighbourhood, capsys, 5, lambda: phones["A"].send(to=7, port=4))
        assert "A → !00000007: node info" in stranger[0]


async def test_once_a_minute_the_load_is_told_unless_nothing_flew(autojump_clock, capsys):
    async with mesh(line(2)) as (neighbourhood, phones, _):
        lines = await shown(neighbourhood, capsys, 200, lambda: phones["A"].send(payload=bytes(200)), after_s=15)
        loads = [line for line in lines if line.startswith("last minute")]
        assert loads == ["last minute: channel in use A 6 %, B 6 %; 2 transmissions, 3.8 s of air"]


async def test_as_json_every_line_is_an_object(autojump_clock, capsys):
    async with mesh(line(2)) as (neighbourhood, phones, _):
        lines = await shown(neighbourhood, capsys, 61, phones["A"].send, as_json=True)
    forms = [json.loads(line) for line in lines]
    assert [next(iter(form)) for form in forms] == [*["transmission"] * 4, "load"]
    assert forms[1]["transmission"]["heard_by"] == ["B"]
    assert forms[-1]["load"]["transmissions"] == 2
    assert forms[-1]["load"]["channel_utilisation_percent"].keys() == {"A", "B"}


@pytest.mark.realtime
def test_the_addresses_come_first_without_a_terminal_and_ctrl_c_leaves_nothing():
    command = [sys.executable, "-m", "meshai", "sim", "radios", "--nodes", "5", "--preset", "LONG_FAST"]
    with subprocess.Popen([*command, "--role", "B=ROUTER"], stdout=subprocess.PIPE, text=True) as radios:
        try:
            lines = [radios.stdout.readline() for _ in range(5)]
            assert all(
                re.fullmatch(rf"{name} 127\.0\.0\.1:\d+\n", line) for name, line in zip("ABCDE", lines, strict=True)
            )
            told = [radios.stdout.readline() for _ in range(8)]
            port = lines[0].strip().rpartition(":")[2]
            assert any(f"meshtastic --host 127.0.0.1:{port} --info" in line for line in told)
            assert any("client.meshtastic.org" in line for line in told)
        finally:
            radios.send_signal(signal.SIGINT)
        assert radios.wait(10) == 130


@pytest.mark.realtime
def test_on_a_terminal_the_load_stands_below_and_ctrl_c_gives_the_cursor_back():
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "meshai", "sim", "radios", "--nodes", "2", "--preset", "SHORT_TURBO"]
    with subprocess.Popen(command, stdout=theirs, env={**os.environ, "TERM": "xterm", "COLUMNS": "120"}) as radios:
        os.close(theirs)
        shown = b""
        try:
            while shown.count(b"last minute: channel in use A 0 %, B 0 %") < 2:
                shown += os.read(ours, 4096)
        finally:
            radios.send_signal(signal.SIGINT)
        with suppress(OSError):  # the terminal's other side is closed
            while data := os.read(ours, 4096):
                shown += data
        assert radios.wait(10) == 130
    os.close(ours)
    assert shown.rfind(b"\x1b[?25h") > shown.rfind(b"\x1b[?25l")
