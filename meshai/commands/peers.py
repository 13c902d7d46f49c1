"""`meshai peers`: the nodes heard of late."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from meshai.api import Mesh
from meshai.commands.options import json_option, state_option
from meshai.run import run, tell, tell_json
from meshai.words import ago, clean

__all__ = ["command"]


@click.command("peers")
@state_option
@json_option
def command(state: Path | None, as_json: bool) -> None:
    """List the nodes heard of late: who they are, what they run, how busy and how far they are."""
    run(partial(_peers, state, as_json), as_json=as_json)


async def _peers(state: Path | None, as_json: bool) -> None:
    async with Mesh.connect(state) as mesh:
        peers = await mesh.peers()
    if as_json:
        tell_json({"peers": peers})
        return
    if not peers:
        tell("Nobody heard yet. Nodes announce themselves every few minutes.")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("Name", "Address", "Hops", "Models", "Backlog", "Heard", box=None)
    for peer in peers:
        models = ", ".join(f"{model['name']} ({model['tokens_per_s']} tok/s)" for model in peer["models"])
        cells = (
            peer["name"],
            peer["address"],
            str(peer["hops"] or "?"),
            models,
            f"{peer['backlog_s']} s",
            ago(peer["heard_s_ago"]),
        )
        style = "" if peer["fresh"] else "dim"
        table.add_row(*(Text(clean(cell, lines=False)) for cell in cells), style=style)
    Console().print(table)
