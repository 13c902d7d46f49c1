"""`meshai radio`: which radios are attached, what is to be said about one, and setting it up for meshai."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from functools import partial
from random import SystemRandom
from typing import TYPE_CHECKING, Any

import click

from meshai.commands.options import json_option
from meshai.control import RunningNode
from meshai.radio_words import channel_line, finding_line, info_line, qr_text
from meshai.run import StdinLines, run, tell, tell_json
from meshai.setup import judgement_of, radio_port, state_dir
from nodes.bearers.radio import address_of
from nodes.clock import system_wall_clock
from nodes.config import data_dir
from nodes.interfaces import RadioInfo
from nodes.known_radios import KnownRadios
from nodes.radio_check import UNSET, Finding, SetUp, Severity
from nodes.radio_law import REGIONS, law_line
from nodes.radio_setup import CHANNEL_NAME, Plan, Settings, Wishes, check_kept, plan_setup
from nodes.trace import Trace
from protocol.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nodes.bearers.meshtastic_admin import RadioDesk

__all__ = ["command"]

_radio_option = click.option(
    "--radio",
    default="serial",
    show_default=True,
    help="serial:/dev/ttyUSB0, serial (the only one attached), or tcp:HOST:PORT.",
)


@click.group("radio")
def command() -> None:
    """List, check and set up radios. Until one was set up, meshai only listens by it."""


@command.command("list")
@json_option
def list_radios(as_json: bool) -> None:
    """List the serial ports that look like a radio's."""

    async def work() -> None:
        from nodes.bearers.attached import attached_radios

        radios = attached_radios()
        if as_json:
            tell_json({"radios": [asdict(radio) for radio in radios]})
        elif not radios:
            tell("No radio is plugged in. Many USB cables only charge: try another one.")
        for radio in radios if not as_json else ():
            tell(f"{radio.port}  {radio.chip}, probably a radio: meshai radio setup --radio serial:{radio.port}")

    run(work, as_json=as_json)


@command.command("check")
@_radio_option
@json_option
def check_radio(radio: str, as_json: bool) -> None:
    """Tell what a radio is, and what about its settings needs care. Changes and sends nothing."""
    run(partial(_check, radio, as_json), as_json=as_json)


@command.command("setup")
@_radio_option
@click.option("--region", default="", metavar="REGION", help="Whose law it follows, such as EU_868; kept unless given.")
@click.option("--preset", default="", metavar="PRESET", help="Such as LONG_FAST; kept unless given.")
@click.option(
    "--channel",
    default="",
    metavar="NAME",
    help=f"Use, or make, the channel of this name; {CHANNEL_NAME} unless given.",
)
@click.option("--link", default="", metavar="URL", help="Join the channel of a neighbour's link; others are kept.")
@click.option("--public-channel", is_flag=True, help="Send where everyone can read questions and answers.")
@click.option("--clear-mqtt", is_flag=True, help="Forbid gateways to put this radio's messages on the internet.")
@click.option("--yes", is_flag=True, help="Write without asking.")
@json_option
def set_up_radio(
    radio: str,
    region: str,
    preset: str,
    channel: str,
    link: str,
    public_channel: bool,
    clear_mqtt: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Set a radio up for meshai: region, preset, and a channel of its own with a key of its own.

    Shows what it would change and asks first. Ends with the link that brings a neighbour's radio onto the channel; who
    has the link can read along.
    """
    wishes = Wishes(region.upper(), preset.upper(), channel, (), public_channel, clear_mqtt)
    run(partial(_set_up, radio, wishes, link, yes, as_json), as_json=as_json)


async def _check_free() -> None:
    """Raise LocalError while a node here holds a radio: it would take it back in the middle of a change."""
    node = RunningNode(state_dir(None))
    if await node.is_there() and (await node.status())["air_left_s"] is not None:
        why = "a radio has one connection at a time"
        raise LocalError(
            "a node is running here and holds its radio", why, "stop `meshai up`, and start it again after"
        )


async def _check(spec: str, as_json: bool) -> None:
    from nodes.bearers.meshtastic_admin import open_desk

    await _check_free()
    async with open_desk(radio_port(spec, Trace())) as desk:
        info = desk.info
    judgement = judgement_of(spec, info)
    if as_json:
        findings = [asdict(finding) for finding in judgement.findings]
        tell_json({"radio": _form(info), "findings": findings, "silence": judgement.silence})
        return
    _introduce(info, judgement.findings)
    tell(f"Listening only: {judgement.silence}." if judgement.silence else "meshai may send by this radio.")


async def _set_up(spec: str, wishes: Wishes, link: str, yes: bool, as_json: bool) -> None:
    from nodes.bearers.meshtastic_admin import open_desk

    if link:
        from nodes.bearers.meshtastic_link import read_link

        wishes = replace(wishes, link=read_link(link))
    await _check_free()
    stdin = StdinLines()
    async with open_desk(radio_port(spec, Trace())) as desk:
        settings = await desk.read()
        cares = [one for one in judgement_of(spec, desk.info).findings if one.severity is not Severity.STOP]
        if not as_json:
            _introduce(desk.info, cares)
            wishes = await _with_region(settings, wishes, stdin)
        plan = plan_setup(settings, wishes, SystemRandom().randbytes)
        if plan.changes:
            if not yes:
                await _confirm(plan, stdin, as_json)
            await _write(desk, plan, as_json)
        info, shared = desk.info, "" if plan.public else desk.link(plan.slot)
    settled = SetUp(info.node_number, plan.region, plan.slot.index, plan.slot.name, plan.public, system_wall_clock())
    KnownRadios(data_dir()).remember(settled)
    findings = judgement_of(spec, info).findings
    if as_json:
        _tell_form(info, plan, shared, findings)
    else:
        _tell_done(spec, info, plan, shared, [finding for finding in findings if finding not in cares])


async def _with_region(settings: Settings, wishes: Wishes, stdin: StdinLines) -> Wishes:
    """Ask for the region that a radio lacks, where somebody is there to answer."""
    if wishes.region or settings.region not in ("", UNSET):
        return wishes
    tell("The radio has no region. The law differs by country; these are the regions:")
    for region in REGIONS:
        tell(f"  {law_line(region)}")
    answer = await stdin.next("Your region: ")
    return replace(wishes, region=(answer or "").strip().upper())


async def _confirm(plan: Plan, stdin: StdinLines, as_json: bool) -> None:
    if as_json:
        raise LocalError("the radio would be changed", "; ".join(plan.changes), "add --yes if that is right")
    tell("To be written to the radio, which then restarts:")
    for change in plan.changes:
        tell(f"  {change}")
    answer = await stdin.next("Write it? [y/N] ")
    if (answer or "").strip().lower() not in ("y", "yes"):
        raise LocalError("the radio stays as it is", "nobody said yes", "answer y, or add --yes")


async def _write(desk: RadioDesk, plan: Plan, as_json: bool) -> None:
    await desk.write(plan)
    if not as_json:
        tell("Written. The radio restarts, which takes up to a minute …")
    await desk.restarted()
    check_kept(plan, await desk.read())


def _tell_form(info: RadioInfo, plan: Plan, link: str, findings: Iterable[Finding]) -> None:
    channel = {"index": plan.slot.index, "name": plan.slot.name, "public": plan.public}
    found = [asdict(finding) for finding in findings]
    form = {"changes": plan.changes, "remarks": plan.remarks, "channel": channel, "link": link, "findings": found}
    tell_json({"radio": _form(info), **form})


def _tell_done(spec: str, info: RadioInfo, plan: Plan, link: str, findings: Iterable[Finding]) -> None:
    """Tell what was settled, and of the `findings` that were not told before."""
    tell(f"\n{address_of(info.node_number)} is set up: {law_line(plan.region)}.")
    for remark in plan.remarks:
        tell(f"Note: {remark}.")
    for finding in findings:
        tell(finding_line(finding))
    if link:
        tell(f"\n{qr_text(link, colours=sys.stdout.isatty())}")
        tell(f"\nNeighbours scan this with the Meshtastic app, and choose to add the channel:\n{link}")
        tell("or type: meshai radio setup --link 'THE LINK'. Who has it can read along: give it to them alone.")
    tell(f"\nNext: meshai up --radio {spec}")


def _introduce(info: RadioInfo, findings: Iterable[Finding]) -> None:
    tell(info_line(info))
    for channel in info.channels:
        tell(f"  {channel_line(channel)}")
    for finding in findings:
        tell(finding_line(finding))


def _form(info: RadioInfo) -> dict[str, Any]:
    return {"number": address_of(info.node_number), **asdict(info)}
