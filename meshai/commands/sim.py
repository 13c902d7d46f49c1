"""`meshai sim`: virtual radios that any Meshtastic program can connect to."""

from __future__ import annotations

from functools import partial

import click
import trio

from meshai.air import FrameNames, transmission_form
from meshai.commands.options import json_option
from meshai.run import StdinLines, run, tell, tell_json
from nodes.bearers.radio import address_of
from nodes.interfaces import BROADCAST
from protocol.airtime import PRESETS, preset_named
from simulator.medium import Transmission
from simulator.neighbourhood import Neighbourhood
from simulator.topology import full, line

__all__ = ["command"]

_LAYOUTS = {"line": line, "full": full}


@click.group("sim")
def command() -> None:
    """Virtual radios and simulations."""


@command.command("radios")
@click.option("--nodes", type=click.IntRange(1, 26), default=3, show_default=True, help="How many radios.")
@click.option("--layout", type=click.Choice(list(_LAYOUTS)), default="line", show_default=True, help="Who hears whom.")
@click.option("--preset", default="LONG_FAST", show_default=True, help=f"One of {', '.join(PRESETS)}.")
@click.option("--loss", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="Loss per link, 0 to 1.")
@click.option("--off", multiple=True, metavar="NAME", help="Leave this radio switched off. May be repeated.")
@click.option("--port", type=click.IntRange(1, 65535), help="TCP port of the first radio; free ones unless given.")
@click.option("--seed", type=int, default=1, show_default=True, help="Decides node numbers and every random draw.")
@click.option("--leave-with-stdin", is_flag=True, hidden=True, help="Stop when standard input closes.")
@json_option
def radios(
    nodes: int,
    layout: str,
    preset: str,
    loss: float,
    off: tuple[str, ...],
    port: int | None,
    seed: int,
    leave_with_stdin: bool,
    as_json: bool,
) -> None:
    """Start a neighbourhood of virtual radios on TCP ports of this device, and show the air.

    Prints first NAME HOST:PORT for each radio. Any Meshtastic program can connect to them.
    """

    async def work() -> None:
        topology = _LAYOUTS[layout](nodes)
        neighbourhood = Neighbourhood(topology, preset_named(preset), seed=seed, loss=loss)
        for name in off:
            neighbourhood.radio(name)
        ports = {name: port + index for index, name in enumerate(topology.names)} if port else None
        await _radios(neighbourhood, off, ports, leave_with_stdin, as_json)

    run(work, as_json=as_json)


async def _radios(
    neighbourhood: Neighbourhood,
    off: tuple[str, ...],
    ports: dict[str, int] | None,
    leave_with_stdin: bool,
    as_json: bool,
) -> None:
    names = {radio.node_number: name for name, radio in neighbourhood.radios.items()}
    neighbourhood.medium.observe(partial(_show, names, as_json, FrameNames()))
    async with trio.open_nursery() as nursery:
        await nursery.start(neighbourhood.run)
        addresses = await nursery.start(partial(neighbourhood.serve, ports=ports))
        for name, address in addresses.items():
            if as_json:
                number = address_of(address.node_number)
                tell_json({"radio": name, "host": address.host, "port": address.port, "number": number})
            else:
                tell(f"{name} {address.host}:{address.port}")
        for name in off:
            neighbourhood.radio(name).switch_off()
        if not as_json:
            first = next(iter(addresses.values()))
            tell(f"\nConnect with: meshtastic --host {first.host}:{first.port} --info\nCtrl-C stops the radios.\n")
        if leave_with_stdin:
            await StdinLines().until_closed()
            nursery.cancel_scope.cancel()


def _show(names: dict[int, str], as_json: bool, frames: FrameNames, sent: Transmission) -> None:
    if as_json:
        tell_json({"transmission": transmission_form(sent)})
    elif sent.ended:
        to = "all" if sent.to == BROADCAST else names.get(sent.to, address_of(sent.to))
        way = f"{names.get(sent.sender, '?')} → {to}"
        lost = f", lost at {' '.join(sent.lost_at)}" if sent.lost_at else ""
        tell(
            f"{sent.time_s:8.2f} s  {sent.radio} {'relays' if sent.relayed else 'sends'} {way}: {frames.name(sent)}, "
            f"{sent.phy_bytes} bytes, {sent.airtime_s:.2f} s, heard by {' '.join(sent.heard_by) or 'nobody'}{lost}"
        )
