"""`meshai quiet`: kept over restarts, and carried to a running node at once."""

from __future__ import annotations

import json

import pytest
import trio
from click.testing import CliRunner

from meshai.cli import main
from meshai.control import RunningNode, serve_control
from meshai.setup import NodeOptions, build_node, remember_silence
from meshai.words import air_line


def quiet(*arguments):
    return CliRunner().invoke(main, ["quiet", *arguments], catch_exceptions=False)


def starts_silent(options):
    async def build():
        return (await build_node(options)).status().silent

    return trio.run(build)


def test_the_switch_is_kept_for_every_start_until_it_is_ended(tmp_path):
    options = NodeOptions(model="none", state=tmp_path / "node")
    assert not starts_silent(options)
    assert "nothing is sent by radio" in quiet("--state", str(options.state)).output
    assert starts_silent(options)
    assert json.loads(quiet("--off", "--json", "--state", str(options.state)).output) == {
        "silent": False,
        "running": False,
    }
    assert not starts_silent(options)


def test_silence_for_one_run_is_not_kept(tmp_path):
    options = NodeOptions(model="none", state=tmp_path, silent=True)
    assert starts_silent(options)
    assert not starts_silent(NodeOptions(model="none", state=tmp_path))


def test_a_folder_that_cannot_be_written_is_explained(tmp_path):
    (tmp_path / "file").touch()
    assert quiet("--state", str(tmp_path / "file" / "node")).exit_code == 1


@pytest.mark.realtime
async def test_a_running_node_hears_of_it_at_once(tmp_path):
    node = await build_node(NodeOptions(model="none", state=tmp_path))
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_control, node, tmp_path)
        running = RunningNode(tmp_path)
        await running.hush(silent=True)
        assert (await running.status())["silent"]
        await running.hush(silent=False)
        assert not (await running.status())["silent"]
        nursery.cancel_scope.cancel()


def test_the_state_of_the_air_is_one_line():
    assert air_line("72 s of air per hour, 31 left", silent=False) == "72 s of air per hour, 31 left"
    assert air_line("72 s of air per hour, 31 left", silent=True).startswith("quiet: nothing is sent by radio")


def test_a_node_remembers_nothing_that_was_not_said(tmp_path):
    remember_silence(tmp_path / "node", silent=False)
    assert not (tmp_path / "node").exists()
