"""Writes the command-line reference, `docs/cli.md`, from the commands themselves; a test keeps the two equal."""

from __future__ import annotations

import click

from meshai.cli import main

__all__ = ["reference"]

_WIDTH: dict[str, int] = {"terminal_width": 100, "max_content_width": 100}


def reference() -> str:
    """The whole page, as Markdown."""
    context = click.Context(main, info_name="meshai", **_WIDTH, **main.context_settings)
    parts = ["# The command line\n\nMade from the commands by `make docs`; do not edit.\n", *_command(main, context, 2)]
    return "\n".join(parts)


def _command(command: click.Command, context: click.Context, level: int) -> list[str]:
    parts = [f"{'#' * level} {context.command_path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                parts += _command(child, click.Context(child, parent=context, info_name=name, **_WIDTH), level + 1)
    return parts


if __name__ == "__main__":
    print(reference(), end="")
