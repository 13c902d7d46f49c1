"""`meshai sim`: names the simulator's commands and imports each only when it is used, so that `--help` is quick."""

from __future__ import annotations

import importlib

import click

__all__ = ["command"]

_COMMANDS = {
    "run": ("run", "Run a scenario, and tell what people would feel."),
    "plan": ("plan", "Say how many radios and relays a map of houses needs, where, and how well it would work."),
    "compare": ("compare", "Run two scenarios over the same seeds, and tell what differs."),
    "sweep": ("sweep", "Run a scenario with every combination of some settings, over many seeds."),
    "list": ("files:list_", "List the scenarios that come with meshai."),
    "new": ("files:new", "Write a scenario file of your own to begin with."),
    "check": ("files:check", "Check a scenario file, and tell what it holds."),
    "storm": ("storm", "Put the node's own code through hard hours, judged by checkers."),
    "radios": ("radios", "Start a neighbourhood of virtual radios on TCP ports of this device, and show the air."),
}
"""Command -> the module here that holds it, as `command` unless another name stands there, and its line in the help."""


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        found: click.Command = getattr(importlib.import_module(f"{__name__}.{module}"), name or "command")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.group("sim", cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Virtual radios and simulations."""
