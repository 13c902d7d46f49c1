"""From what a person named to a node that can run: options in, engine, bearers, cache and node out.

Touches the outside only through what it builds. A radio that nobody named is never opened.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import SystemRandom

from nodes.bearers.gate import GatedPort
from nodes.bearers.radio import RadioBearer, address_of, number_of
from nodes.cache import AnswerCache
from nodes.config import data_dir, emergency_file
from nodes.emergency_plan import EmergencyPlan, load_plan
from nodes.interfaces import Engine, RadioInfo, RadioPort
from nodes.known_radios import KnownRadios
from nodes.node import Node, NodeSettings
from nodes.packs import text_coder
from nodes.phone_text import PhoneSettings
from nodes.radio_check import Judgement, judge
from nodes.trace import Trace
from protocol import limits
from protocol.budget import DEFAULT_SHARE
from protocol.errors import LocalError

__all__ = [
    "NO_RADIO",
    "NodeOptions",
    "build_node",
    "default_name",
    "judgement_of",
    "radio_port",
    "remember_silence",
    "state_dir",
]

NO_RADIO = "none"
_NO_MODEL = "none"
_QUIET_FILE = "quiet"
"""In the node's folder, its being there keeps the node silent: a restart must not break a silence."""


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """What a person can say about a node."""

    name: str = ""
    """Shown to others; empty for this computer's name."""
    radio: str = NO_RADIO
    """`serial:PORT`, `serial` for the only one attached, `tcp:HOST:PORT`, or `none`."""
    model: str = ""
    """A model's name or file; empty for the best one here, `none` for a node that only asks."""
    allow: tuple[str, ...] = ()
    """Numbers of the radios that are answered."""
    airtime_share: float = DEFAULT_SHARE
    state: Path | None = None
    """Folder for the cache and the control socket; None for the usual one."""
    phones: PhoneSettings = field(default_factory=PhoneSettings)
    silent: bool = False
    """Send nothing by radio; `remember_silence` has the same effect until it is ended."""


def state_dir(state: Path | None) -> Path:
    """The folder of one node's cache and control socket."""
    return state if state is not None else data_dir() / "node"


def remember_silence(folder: Path, *, silent: bool) -> None:
    """Have the node of this folder start silent from now on, or not; raises LocalError when that can't be noted."""
    path = folder / _QUIET_FILE
    try:
        if silent:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch()
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise LocalError(
            "the switch can't be kept", str(error), "choose a --state folder that you may write"
        ) from error


def default_name() -> str:
    """This computer's name, short enough for a beacon."""
    name = socket.gethostname().split(".")[0] or "meshai"
    return name.encode()[: limits.NAME_BYTES_MAX].decode(errors="ignore")


def radio_port(spec: str, trace: Trace) -> RadioPort:
    """The port of the radio that `spec` names; raises LocalError when it names none."""
    kind, _, rest = spec.partition(":")
    if kind == "tcp" and rest:
        host, _, port = rest.rpartition(":") if rest.rpartition(":")[2].isdigit() else (rest, "", "4403")
        if host and 0 < int(port) < 65536:
            from nodes.bearers.meshtastic_port import MeshtasticPort

            return MeshtasticPort.tcp(host.strip("[]"), int(port), trace)
    if kind == "serial":
        from nodes.bearers.meshtastic_port import MeshtasticPort

        return MeshtasticPort.serial(rest or None, trace)
    raise LocalError(f"{spec!r} names no radio", "", "use serial:/dev/ttyUSB0, serial, tcp:HOST:PORT or none")


def judgement_of(spec: str, info: RadioInfo) -> Judgement:
    """Whether and where this device may send by the radio that `spec` names; raises LocalError for a damaged list."""
    set_up = KnownRadios(data_dir()).recall(info.node_number)
    command = f"meshai radio setup --radio {spec}"
    return judge(info, set_up, command=command, over_network=spec.startswith("tcp:"))


def _gated_port(spec: str, trace: Trace) -> RadioPort:
    return GatedPort(radio_port(spec, trace), partial(judgement_of, spec), trace)


async def build_node(options: NodeOptions) -> Node:
    """Build the node; raises LocalError for what is missing or impossible."""
    name = options.name or default_name()
    if not name.isprintable() or len(name.encode()) > limits.NAME_BYTES_MAX:
        raise LocalError(
            f"{name!r} can't be a node's name", f"{limits.NAME_BYTES_MAX} bytes of plain text are the most"
        )
    serves = frozenset(address_of(number_of(number)) for number in options.allow)
    trace = Trace()
    engine = await _engine(options.model)
    bearers = [] if options.radio == NO_RADIO else [RadioBearer(_gated_port(options.radio, trace), trace)]
    settings = NodeSettings(
        name,
        serves,
        options.airtime_share,
        silent=options.silent or (state_dir(options.state) / _QUIET_FILE).exists(),
        phones=options.phones,
        emergency=_emergency_plan(trace),
    )
    cache = AnswerCache(state_dir(options.state) / "answers.sqlite", trace)
    try:
        return Node(
            settings, engine=engine, bearers=bearers, cache=cache, rng=SystemRandom(), trace=trace, coder=text_coder()
        )
    except BaseException:
        cache.close()
        raise


def _emergency_plan(trace: Trace) -> EmergencyPlan:
    """Whom to call here. A damaged file is told and costs the numbers, not the answers."""
    try:
        return load_plan(emergency_file())
    except LocalError as error:
        trace.note("emergency.unreadable", why=str(error))
        return EmergencyPlan()


async def _engine(model: str) -> Engine | None:
    if model == _NO_MODEL:
        return None
    from nodes.models.shelf import default_model, find_model, installed

    if not model and not installed():
        return None
    found = find_model(model) if model else default_model()
    from nodes.engines.llama import LlamaEngine

    return LlamaEngine(found.path, found.name)
