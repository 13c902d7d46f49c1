"""The options of `meshai up` that concern phones, gathered into one value."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from nodes.bearers.radio import address_of, number_of
from nodes.phone_text import PhoneSettings
from protocol.errors import LocalError

__all__ = ["phone_options"]

Command = TypeVar("Command", bound=Callable[..., Any])


def phone_options(command: Command) -> Callable[..., Any]:
    """Whether, where and how phones are answered; the command gets it all as `phones`."""

    @wraps(command)
    def gathered(
        phones: str,
        personal: bool,
        channel: tuple[str, ...],
        block: tuple[str, ...],
        owner: str,
        language: str,
        **others: Any,
    ) -> Any:
        try:
            settings = PhoneSettings(
                answered=phones == "allowed",
                owner=owner,
                personal=personal,
                channels=frozenset(channel),
                blocked=frozenset(address_of(number_of(number)) for number in block),
                language=language,
            )
        except LocalError as error:
            raise click.UsageError(str(error)) from error
        return command(phones=settings, **others)

    decorated: Callable[..., Any] = gathered
    for option in reversed(
        [
            click.option(
                "--phones",
                type=click.Choice(["allowed", "off"]),
                default="allowed",
                show_default=True,
                help="Which phones with the Meshtastic app are answered: those of --allow, or none.",
            ),
            click.option(
                "--personal/--dedicated",
                default=True,
                show_default=True,
                help="Whether a person uses this radio too: then only texts that begin with `ai` are answered.",
            ),
            click.option(
                "--channel",
                multiple=True,
                metavar="NAME",
                help="Answer texts that begin with `ai` on this channel too; it needs its own key. May be repeated.",
            ),
            click.option("--block", multiple=True, metavar="!NUMBER", help="Never answer this radio. May be repeated."),
            click.option(
                "--owner", default="", help="Who reads along, as phones are told; this node's name unless given."
            ),
            click.option(
                "--language", default="", metavar="CODE", help="Language of fixed phrases; the asker's unless given."
            ),
        ]
    ):
        decorated = option(decorated)
    return decorated
