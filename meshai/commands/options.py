"""Options that several commands share, spelled once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from nodes.wishes import DEADLINE_S
from protocol.budget import DEFAULT_SHARE

__all__ = ["ask_options", "json_option", "node_options", "state_option"]

Command = TypeVar("Command", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")

state_option = click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the node's cache and control socket, to run several nodes on one device.",
)


def node_options(command: Command) -> Command:
    """What makes a node: name, radio, model, who is answered, how much air."""
    for option in reversed(
        [
            click.option("--name", default="", help="Shown to others; this computer's name unless given."),
            click.option(
                "--radio",
                default="none",
                show_default=True,
                help="serial:/dev/ttyUSB0, serial (the only one attached), tcp:HOST:PORT, or none. "
                "Nothing is sent by a radio that is not named here.",
            ),
            click.option("--model", default="", help="Name or file of the model to answer with; none for asking only."),
            click.option("--allow", multiple=True, metavar="!NUMBER", help="Answer this radio too. May be repeated."),
            click.option(
                "--airtime-share",
                type=click.FloatRange(0, 1),
                default=DEFAULT_SHARE,
                show_default=True,
                help="Most of the time that this node may send.",
            ),
        ]
    ):
        command = option(command)
    return command


def ask_options(command: Command) -> Command:
    """How a question is asked."""
    for option in reversed(
        [
            click.option("--model", default="", help="Ask this model; any unless given."),
            click.option(
                "--max-tokens", type=click.IntRange(1, 8192), help="Longest answer; what suits the way unless given."
            ),
            click.option(
                "--deadline",
                type=click.IntRange(1, 3600),
                default=DEADLINE_S,
                show_default=True,
                help="Seconds to wait.",
            ),
            click.option("--fresh", is_flag=True, help="Ask afresh even when the answer is in the cache."),
            click.option(
                "--radio", default="none", help="Without a running node: ask over this radio (see `meshai up`)."
            ),
        ]
    ):
        command = option(command)
    return command
