"""`meshai quiet`: the one switch that silences this node's radio, at once and for every start until it is ended."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from meshai.commands.options import json_option, state_option
from meshai.control import RunningNode
from meshai.run import run, tell, tell_json
from meshai.setup import remember_silence, state_dir

__all__ = ["command"]


@click.command("quiet")
@click.option("--off", is_flag=True, help="End it: the node speaks again.")
@state_option
@json_option
def command(off: bool, state: Path | None, as_json: bool) -> None:
    """Send nothing by radio, not even beacons, until `--off`; also after a restart.

    Neighbours get no answers meanwhile. Your own questions are answered from the cache and by this device's own model.
    """
    run(partial(_quiet, not off, state, as_json), as_json=as_json)


async def _quiet(silent: bool, state: Path | None, as_json: bool) -> None:
    folder = state_dir(state)
    remember_silence(folder, silent=silent)
    node = RunningNode(folder)
    running = await node.is_there()
    if running:
        await node.hush(silent=silent)
    if as_json:
        tell_json({"silent": silent, "running": running})
    elif silent:
        tell("Quiet: nothing is sent by radio, not even beacons. meshai quiet --off ends it.")
    else:
        tell("The node speaks again." if running else "The node will speak when it is started.")
