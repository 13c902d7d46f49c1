"""`meshai sim radios`: virtual radios that any Meshtastic program can connect to."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from ipaddress import ip_address

import click
import trio

from meshai.airview import AirView
from meshai.commands.options import json_option
from meshai.run import StdinLines, run, tell, tell_json
from nodes.bearers.radio import address_of
from protocol.airtime import PRESETS, preset_named
from protocol.errors import LocalError
from simulator.firmware.settings import ROLES, RadioSettings
from simulator.neighbourhood import Neighbourhood, RadioAddress
from simulator.topology import full, line

__all__ = ["command"]

_TOPOLOGIES = {"line": line, "full": full}


@click.command("radios")
@click.option("--nodes", type=click.IntRange(1, 26), default=3, show_default=True, help="How many radios.")
@click.option(
    "--topology", type=click.Choice(list(_TOPOLOGIES)), default="line", show_default=True, help="Who hears whom."
)
@click.option("--preset", default="LONG_FAST", show_default=True, help=f"One of {', '.join(PRESETS)}.")
@click.option("--region", default="US", show_default=True, help="Whose rules the radios keep; UNSET sends nothing.")
@click.option("--loss", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="Loss per link, 0 to 1.")
@click.option(
    "--role", "roles", multiple=True, metavar="NAME=ROLE", help=f"One of {', '.join(ROLES)}. May be repeated."
)
@click.option("--firmware", default="2.8.0", show_default=True, help="Version whose way of relaying they have.")
@click.option("--without-keys", is_flag=True, help="Radios without key pairs: relays read direct messages.")
@click.option("--chatter", is_flag=True, help="Let the radios announce themselves now and then, as real ones do.")
@click.option("--off", multiple=True, metavar="NAME", help="Leave this radio switched off. May be repeated.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 lets phones connect."
)
@click.option("--port", type=click.IntRange(1, 65535), help="TCP port of the first radio; free ones unless given.")
@click.option("--seed", type=int, default=1, show_default=True, help="Decides node numbers and every random draw.")
@click.option("--leave-with-stdin", is_flag=True, hidden=True, help="Stop when standard input closes.")
@json_option
def command(
    nodes: int,
    topology: str,
    preset: str,
    region: str,
    loss: float,
    roles: tuple[str, ...],
    firmware: str,
    without_keys: bool,
    chatter: bool,
    off: tuple[str, ...],
    host: str,
    port: int | None,
    seed: int,
    leave_with_stdin: bool,
    as_json: bool,
) -> None:
    """Start a neighbourhood of virtual radios on TCP ports of this device, and show the air.

    Prints first NAME HOST:PORT for each radio. Any Meshtastic program can connect to them.
    """

    async def work() -> None:
        names = _TOPOLOGIES[topology](nodes)
        settings = RadioSettings(region=region.upper(), firmware=firmware, has_pkc=not without_keys, chatter=chatter)
        neighbourhood = Neighbourhood(
            names,
            preset_named(preset),
            seed=seed,
            loss=loss,
            settings=settings,
            special={name: replace(settings, role=role) for name, role in map(_role, roles)},
        )
        for name in off:
            neighbourhood.radio(name)
        ports = {name: port + index for index, name in enumerate(names.names)} if port else None
        await _radios(neighbourhood, off, _address(host), ports, leave_with_stdin, as_json)

    run(work, as_json=as_json)


async def _radios(
    neighbourhood: Neighbourhood,
    off: tuple[str, ...],
    host: str,
    ports: dict[str, int] | None,
    leave_with_stdin: bool,
    as_json: bool,
) -> None:
    view = AirView(neighbourhood, as_json=as_json)
    async with trio.open_nursery() as nursery:
        await nursery.start(neighbourhood.run)
        addresses = await nursery.start(partial(neighbourhood.serve, host, ports))
        for name, address in addresses.items():
            if as_json:
                number = address_of(address.node_number)
                tell_json({"radio": name, "host": address.host, "port": address.port, "number": number})
            else:
                tell(f"{name} {address.host}:{address.port}")
        for name in off:
            neighbourhood.radio(name).switch_off()
        if not as_json:
            tell(_directions(next(iter(addresses.values()))))
        await nursery.start(view.run)
        if leave_with_stdin:
            await StdinLines().until_closed()
            nursery.cancel_scope.cancel()


def _directions(first: RadioAddress) -> str:
    """How to connect to a radio."""
    here = "127.0.0.1" if first.host == "0.0.0.0" else first.host
    phone = f"add a network device by hand: this computer's address, port {first.port}"
    if ip_address(first.host).is_loopback:
        phone += ", after a start with --host 0.0.0.0"
    return f"""
Connect one program to each radio, to the first for instance:
  command line    meshtastic --host {here}:{first.port} --info
  phone app       {phone}
  web client      https://client.meshtastic.org, new connection, HTTP, {here}:{first.port}
  meshai          meshai up --radio tcp:{here}:{first.port}
Ctrl-C stops the radios.
"""


def _role(option: str) -> tuple[str, str]:
    name, _, role = option.partition("=")
    return name, role.upper()


def _address(host: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        raise LocalError(f"{host!r} is no IP address", "", "use 127.0.0.1, or 0.0.0.0 for every network") from None
