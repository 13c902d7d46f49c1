"""Writes the command-line reference, `docs/cli.md`, from the commands themselves; a test keeps the two equal."""

from __future__ import annotations

import click

from meshai.cli import main

__all__ = ["reference"]

_COLUMNS = 100


def reference() -> str:
    """The whole page, as Markdown."""
    title = "# The command line\n\nMade from the commands by `make docs`; do not edit.\n"
    return "\n".join([title, *_command(main, None, "meshai")])


def _command(command: click.Command, parent: click.Context | None, name: str, level: int = 2) -> list[str]:
    context = click.Context(
        command,
        parent=parent,
        info_name=name,
        terminal_width=_COLUMNS,
        max_content_width=_COLUMNS,
        help_option_names=["-h", "--help"],
    )
    parts = [f"{'#' * level} {context.command_path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"]
    if isinstance(command, click.Group):
        for child_name in command.list_commands(context):
            child = command.get_command(context, child_name)
            if child is not None and not child.hidden:
                parts += _command(child, context, child_name, level + 1)
    return parts


if __name__ == "__main__":
    print(reference(), end="")
