"""The command line: names the commands and imports each only when it is used, so that `--help` is quick."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import click

__all__ = ["main"]

_COMMANDS = {
    "up": "Run this node: answer neighbours, and hold the radio.",
    "ask": "Ask one question.",
    "chat": "Hold a conversation.",
    "peers": "List the nodes heard of late.",
    "quiet": "Send nothing by radio until told to speak again.",
    "radio": "List, check and set up radios.",
    "emergency": "Set whom to call here in an emergency.",
    "models": "List, fetch, adopt and remove models.",
    "packs": "List and make the text packs that shorten messages.",
    "demo": "Watch a question cross three virtual radios to a real model.",
    "sim": "Virtual radios and simulations.",
}
"""Command -> its line in the help. The module of the same name in `meshai.commands` holds it, as `command`."""


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"meshai.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="meshai-grid", prog_name="meshai")
@click.pass_context
def main(context: click.Context) -> None:
    """Ask nearby language models over LoRa mesh, without internet.

    Without a command: says what this device has, and what to do next.
    """
    _check_packages()
    if context.invoked_subcommand is None:
        from meshai.commands.overview import overview

        overview()


def _check_packages() -> None:
    ours = Path(__file__).resolve().parent.parent
    for name in ("protocol", "nodes", "simulator"):
        module = importlib.util.find_spec(name)
        if module is None or module.origin is None or Path(module.origin).resolve().parent.parent != ours:
            where = module.origin if module else "nowhere"
            raise click.ClickException(
                f"the package {name!r} found at {where} is a stranger's: meshai needs an environment of its own. "
                "Install it with pipx, or in a fresh venv."
            )
