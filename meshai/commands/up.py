"""`meshai up`: runs this node until it is stopped."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click
import trio

from meshai.commands.options import json_option, node_options, state_option
from meshai.commands.phone_options import phone_options
from meshai.control import serve_control
from meshai.forms import fact_form, status_form
from meshai.run import StdinLines, is_heard, run, tell, tell_json
from meshai.setup import NodeOptions, build_node, state_dir
from meshai.words import air_line, clean
from nodes.phone_text import PhoneSettings
from nodes.trace import Fact

__all__ = ["command"]


@click.command("up")
@node_options
@phone_options
@state_option
@click.option("--silent", is_flag=True, help="Send nothing by radio while this runs; see meshai quiet.")
@click.option("--verbose", is_flag=True, help="Tell everything that is traced.")
@click.option("--leave-with-stdin", is_flag=True, hidden=True, help="Stop when standard input closes.")
@json_option
def command(
    name: str,
    radio: str,
    model: str,
    allow: tuple[str, ...],
    airtime_share: float,
    phones: PhoneSettings,
    state: Path | None,
    silent: bool,
    verbose: bool,
    leave_with_stdin: bool,
    as_json: bool,
) -> None:
    """Run this node: answer neighbours, and hold the radio.

    Other meshai commands on this device speak to it. Ctrl-C stops it.
    """
    options = NodeOptions(name, radio, model, allow, airtime_share, state, phones, silent)
    run(partial(_up, options, verbose, leave_with_stdin, as_json), as_json=as_json)


async def _up(options: NodeOptions, verbose: bool, leave_with_stdin: bool, as_json: bool) -> None:
    node = await build_node(options)

    def show(fact: Fact) -> None:
        if not is_heard():
            return  # the node goes on while nobody reads
        if as_json:
            tell_json(fact_form(fact))
        elif (line := _in_words(fact)) or verbose:
            tell(line or f"{fact.name} {fact.fields}")

    node.trace.listen(show)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_control, node, state_dir(options.state))
        await nursery.start(node.run)
        if as_json:
            tell_json({"ready": status_form(node.status())})
        else:
            models = ", ".join(node.status().models)
            tell(
                f"{node.settings.name} is up, "
                + (f"answering with {models}" if models else "asking only, without a model")
            )
            if options.radio == "none":
                tell("No radio: name one with --radio to reach neighbours.")
            else:
                tell(air_line(node.status().air, silent=node.status().silent))
            if not node.settings.emergency.is_set:
                tell('No local emergency numbers: meshai emergency set --number "Ambulance 112"')
        if leave_with_stdin:
            await StdinLines().until_closed()
            nursery.cancel_scope.cancel()


def _in_words(fact: Fact) -> str:
    fields = {key: clean(str(value), lines=False) for key, value in fact.fields.items()}
    match fact.name:
        case "radio.up":
            return f"radio {fields['node']} is connected ({fields['preset']}, {fields['region']})"
        case "radio.down":
            return f"radio lost: {fields['why']}; trying again"
        case "radio.silent":
            return f"listening only: {fields['why']}"
        case "radio.finding":
            return f"{fields['severity']}: {fields['what']}: {fields['why']}; {fields['fix']}"
        case "radio.replaced":
            return f"another radio is connected: {fields['now']} instead of {fields['was']}"
        case "radio.region_changed":
            return f"the radio's region is {fields['now']} now, and was {fields['was']}"
        case "radio.nak":
            return f"the radio could not send: {fields['why']}"
        case "ask.answered":
            return f"answered {fields['peer']} ({fields['tokens']} tokens)"
        case "ask.failed" | "ask.refused":
            return f"no answer for {fields['peer']}: {fields['why']}"
        case "phone.answered":
            return f"answered {fields['peer']} by text ({fields['bytes']} bytes)"
        case "phone.emergency":
            return f"{fields['peer']} may have an emergency: the fixed text goes out"
        case "phone.refused" | "phone.failed" | "phone.not_sent" | "phone.dropped":
            return f"no text for {fields['peer']}: {fields['why']}"
        case "phone.stranger":
            return f"{fields['peer']} texted and is not allowed: --allow '{fields['peer']}' lets it ask"
        case "phone.channel_off":
            return f"the channel {fields['channel']} is not answered: {fields['why']}"
        case "emergency.unreadable":
            return f"no emergency numbers: {fields['why']}"
        case "airtime.waiting":
            return f"waiting for air, about {fields['wait_s']} s: {fields['why']}"
        case "node.silent":
            return air_line("", silent=True)
        case "cache.damaged" | "cache.off" | "cache.not_kept":
            return f"answers are not kept: {fields['why']}"
    return ""
