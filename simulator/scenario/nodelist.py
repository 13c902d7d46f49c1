"""The node list of a Meshtastic radio as a map: where its nodes are, and how well it heard its direct neighbours.

Reads what `meshtastic --info` prints, or the list of nodes in it saved on its own. The names are strangers' words.
Source of the format: the Meshtastic Python library, `MeshInterface.showInfo`. Knows no other kind of map.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from typing import Any

from simulator.scenario.geojson import read_json
from simulator.scenario.layout import PLACES_MAX, Layout
from simulator.scenario.plan import MeasuredLink
from simulator.scenario.spots import Spot, cleaned_name, places_of
from simulator.scenario.trouble import Troubles, line_numbers, shown

__all__ = ["NodeListOptions", "node_list_layout"]

_HEADING = "Nodes in mesh:"
_MY_NUMBER = re.compile(r'"myNodeNum"\s*:\s*(\d{1,10})')
_ID = re.compile(r'"(![0-9a-fA-F]{8})"\s*:\s*\{')
_SNRS_DB = -30.0, 30.0
_RELAYS = frozenset({"ROUTER", "ROUTER_LATE", "REPEATER", "ROUTER_CLIENT"})
_DROP = "or leave such nodes out with `leave_out_incomplete = true`"


@dataclass(frozen=True, slots=True)
class NodeListOptions:
    """What a scenario says about its node list."""

    listener: str = ""
    """Name, short name or number (`!a1b2c3d4`) of the node whose list it is; empty where the list tells."""
    leave_out_incomplete: bool = False
    """Whether nodes without a position, and neighbours without an SNR, are left out; else they are mistakes."""


@dataclass(frozen=True, slots=True)
class _Node:
    """A node of the list."""

    identity: str
    """Such as `!a1b2c3d4`."""
    line: int
    number: int | None
    long_name: str
    short_name: str
    role: str
    position: tuple[float, float] | None
    hops: int | None
    snr_db: float | None
    via_internet: bool

    @property
    def name(self) -> str:
        return self.long_name or self.short_name or self.identity

    @property
    def told(self) -> str:
        """How a message calls it."""
        return f"{shown(self.name)} ({self.identity})" if self.name != self.identity else self.identity

    @property
    def is_neighbour(self) -> bool:
        """Whether it was heard without a relay between."""
        return not self.via_internet and (self.hops == 0 or (self.hops is None and self.snr_db is not None))


def node_list_layout(text: str, file: str, troubles: Troubles, options: NodeListOptions) -> Layout | None:
    """The map in a node list, or None after noting what is wrong with it.

    A direct neighbour's SNR becomes a measured link from it to the listening node. A node's antenna counts as high as
    a house's or a relay's usually is: a position's altitude is the GPS's, above the sea, and too coarse for it.
    """
    before = len(troubles.found)
    form = _nodes(text, file, troubles)
    if form is None:
        if len(troubles.found) == before:
            expected = "expected what `meshtastic --info` prints, or the list after its words Nodes in mesh"
            troubles.note(file, 1, "there is no node list", expected)
        return None
    if len(form) > PLACES_MAX:
        troubles.note(file, 1, f"{len(form)} nodes are too many", f"at most {PLACES_MAX} are read")
        return None
    found = list(islice(_ID.finditer(text), 2 * PLACES_MAX))
    lines = dict(zip([each[1] for each in found], line_numbers(text, [each.start() for each in found]), strict=True))
    nodes = [_node(identity, node, lines.get(identity, 1)) for identity, node in form.items()]
    listener = _listener(nodes, text, file, troubles, options)
    if listener is None:
        return None
    kept, left_out = [], []
    for node in nodes:
        lack = _lack(node, listener)
        if not lack:
            kept.append(node)
        elif options.leave_out_incomplete and node is not listener:
            left_out.append(node.name)
        else:
            troubles.note(file, node.line, f"the node {node.told} has no {lack[0]}", lack[1])
    if len(troubles.found) > before:
        return None
    return _laid_out(kept, listener, left_out)


def _lack(node: _Node, listener: _Node) -> tuple[str, str] | None:
    """What a node lacks, and what to do about it."""
    if node.position is None:
        drop = "" if node is listener else f", {_DROP}"
        return "position", f"add latitude and longitude to it{drop}"
    if node is listener or node.via_internet:
        return None
    if node.is_neighbour and node.snr_db is None:
        return "SNR", f"listen until it was heard again, add snr to it, {_DROP}"
    if node.hops is None and node.snr_db is None:
        return "SNR, and nothing tells how far it is", f"add snr, or hopsAway, to it, {_DROP}"
    return None


def _laid_out(kept: list[_Node], listener: _Node, left_out: list[str]) -> Layout:
    names = _unique_names(kept)
    spots = []
    for node, name in zip(kept, names, strict=True):
        assert node.position is not None
        spots.append(Spot(node.line, name, *node.position, is_house=node.role not in _RELAYS))
    places, origin = places_of(spots)
    here = next(place.name for place, node in zip(places, kept, strict=True) if node is listener)
    measured = tuple(
        MeasuredLink(place.name, here, node.snr_db)
        for place, node in zip(places, kept, strict=True)
        if node is not listener and node.is_neighbour and node.snr_db is not None
    )
    notes = [f"{len(measured)} links into {shown(here)} are as they were measured"]
    if left_out:
        some = ", ".join(shown(cleaned_name(name)) for name in left_out[:5])
        others = f" and {len(left_out) - 5} others" if len(left_out) > 5 else ""
        notes.append(f"left out for want of a position or SNR: {some}{others}")
    return Layout(places, (), measured, tuple(node.line for node in kept), origin, tuple(notes))


def _unique_names(nodes: list[_Node]) -> list[str]:
    """Names fit for places; nodes of one name have their number added."""
    cleaned = [cleaned_name(node.name) or node.identity for node in nodes]
    counts = Counter(cleaned)
    return [
        name if counts[name] == 1 else f"{cleaned_name(name[:28])} {node.identity}"
        for name, node in zip(cleaned, nodes, strict=True)
    ]


def _nodes(text: str, file: str, troubles: Troubles) -> dict[str, Any] | None:
    """Nodes by number; None where there are none, or after noting that they can't be read."""
    start = text.find(_HEADING)
    if start >= 0:
        start = text.find("{", start)
        try:
            form = json.JSONDecoder(parse_constant=lambda _: None).raw_decode(text, start)[0] if start >= 0 else None
        except (ValueError, RecursionError):
            line = text.count("\n", 0, max(start, 0)) + 1
            troubles.note(file, line, "the node list is damaged", "save the output of `meshtastic --info` once more")
            return None
    else:
        form = read_json(text, file, troubles)
    if isinstance(form, dict) and isinstance(form.get("nodes"), dict | list):
        form = form["nodes"]
    if isinstance(form, list):
        form = {_identity(node, index): node for index, node in enumerate(form) if isinstance(node, dict)}
    if not isinstance(form, dict) or not form or not all(isinstance(node, dict) for node in form.values()):
        return None
    return form if any("num" in node or "user" in node for node in form.values()) else None


def _identity(node: Mapping[str, Any], index: int) -> str:
    """A node's number as it is written, from what the node tells."""
    user = node.get("user")
    number = node.get("num")
    if isinstance(user, dict) and isinstance(user.get("id"), str):
        return str(user["id"])[:20]
    return f"!{number & 0xFFFFFFFF:08x}" if isinstance(number, int) else f"node {index + 1}"


def _node(identity: str, form: Mapping[str, Any], line: int) -> _Node:
    user = form.get("user")
    user = user if isinstance(user, dict) else {}
    position = form.get("position")
    position = position if isinstance(position, dict) else {}
    number = form.get("num")
    hops = form.get("hopsAway")
    return _Node(
        cleaned_name(identity) or "a nameless node",
        line,
        number if isinstance(number, int) else None,
        str(user.get("longName") or "").strip(),
        str(user.get("shortName") or "").strip(),
        str(user.get("role") or "CLIENT"),
        _position(position),
        hops if isinstance(hops, int) and not isinstance(hops, bool) else None,
        _limited(form.get("snr"), *_SNRS_DB),
        form.get("viaMqtt") is True,
    )


def _position(form: Mapping[str, Any]) -> tuple[float, float] | None:
    """Latitude and longitude; none where there is none, or the radio says 0, 0, as those without a GPS fix do."""
    latitude = _degrees(form, "latitude", 90.0)
    longitude = _degrees(form, "longitude", 180.0)
    if latitude is None or longitude is None or (latitude == 0 and longitude == 0):
        return None
    return latitude, longitude


def _degrees(form: Mapping[str, Any], key: str, most: float) -> float | None:
    """An angle in degrees, or in ten millionths of them, as radios send it."""
    found = _limited(form.get(key), -most, most)
    if found is not None:
        return found
    integer = _limited(form.get(f"{key}I"), -most * 1e7, most * 1e7)
    return None if integer is None else integer / 1e7


def _limited(found: Any, low: float, high: float) -> float | None:
    if isinstance(found, bool) or not isinstance(found, int | float) or not low <= found <= high:
        return None
    return float(found) if isfinite(found) else None


def _listener(nodes: list[_Node], text: str, file: str, troubles: Troubles, options: NodeListOptions) -> _Node | None:
    """The node whose list it is; None after noting that nothing tells."""
    if options.listener:
        wanted = options.listener.casefold()
        for node in nodes:
            if wanted in (node.identity.casefold(), node.long_name.casefold(), node.short_name.casefold()):
                return node
        expected = 'set listener to the name or number of a node of the list, such as "!a1b2c3d4"'
        troubles.note(file, 0, f"there is no node {shown(options.listener)}", expected)
        return None
    mine = _MY_NUMBER.search(text)
    for node in nodes:
        if mine and node.number == int(mine[1]):
            return node
    expected = "say in [places] which node's list it is: listener = its name or number"
    troubles.note(file, 0, "nothing tells which node listened", expected)
    return None
