"""Every packet of a run in little room, so that the page can replay a day.

The text of one transmission would name all that heard it. Here it names only those for whom it went otherwise than
usual: most receivers of a sender hear nearly all that it sends. Pure; the page's script turns it back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from simulator.outcome import Sent

__all__ = ["CHATTER", "KINDS", "MAX_EXCEPTIONS", "MAX_REPLAYED", "Replay", "replay"]

KINDS = (
    "question",
    "answer",
    "beacon",
    "control",
    "text",
    "nodeinfo",
    "position",
    "telemetry",
    "routing",
    "other",
)
CHATTER = frozenset({"nodeinfo", "position", "telemetry"})
"""What radios send of their own accord: left out first where there is too much to replay."""
MAX_REPLAYED = 60_000
"""Transmissions that a page replays at most; a page of so many has some 3 MB and opens in a second."""
MAX_EXCEPTIONS = 500_000
"""Receptions that went otherwise than usual, in a page at most."""
_ABSENT, _HEARD, _LOST = 0, 1, 2
_STATES = 3
_TICKS_A_SECOND = 100


@dataclass(frozen=True, slots=True)
class Replay:
    """Transmissions as columns, and what was left out."""

    form: dict[str, object]
    """For the page's script; see `replay`."""
    shown: int
    total: int
    chatter_left_out: bool
    """Whether the radios' own chatter is missing."""
    ends_s: float | None
    """Seconds after the start from which on everything is missing; None where nothing is."""


def replay(sent: Sequence[Sent], *, max_replayed: int = MAX_REPLAYED, max_exceptions: int = MAX_EXCEPTIONS) -> Replay:
    """Put `sent` into columns: time since the one before in 1/100 s, sender, kind, packet, relayed, airtime.

    `usual` holds for each sender what its receivers usually do, as `receiver * 3 + state` with the states 0 absent,
    1 heard, 2 lost; `otherwise` the receivers for whom a transmission went differently, in the same form, as many as
    `exceptions` says. Airtimes and kinds are indices into lists of their own.
    """
    ordered = sorted(sent, key=lambda one: one.time_s)
    total = len(ordered)
    chatter_left_out = total > max_replayed
    if chatter_left_out:
        ordered = [one for one in ordered if one.kind not in CHATTER]
    usual = _usual(ordered[:max_replayed])
    airtimes: dict[float, int] = {}
    times, airs, exceptions = [], [], []
    otherwise: list[int] = []
    last_ticks, kept = 0, 0
    for one in ordered[:max_replayed]:
        differing = _differing(one, usual.get(one.station, {}))
        if len(otherwise) + len(differing) > max_exceptions:
            break
        ticks = round(one.time_s * _TICKS_A_SECOND)
        times.append(ticks - last_ticks)
        airs.append(airtimes.setdefault(round(one.airtime_s, 3), len(airtimes)))
        exceptions.append(len(differing))
        otherwise.extend(differing)
        last_ticks = ticks
        kept += 1
    shown = ordered[:kept]
    numbers: dict[int, int] = {}
    form: dict[str, object] = {
        "kinds": KINDS,
        "airtimes": list(airtimes),
        "usual": {
            str(station): [receiver * _STATES + state for receiver, state in sorted(states.items())]
            for station, states in sorted(usual.items())
        },
        "time": times,
        "station": [one.station for one in shown],
        "kind": [KINDS.index(one.kind if one.kind in KINDS else "other") for one in shown],
        "packet": [numbers.setdefault(one.packet, len(numbers)) for one in shown],
        "relayed": "".join("1" if one.relayed else "0" for one in shown),
        "airtime": airs,
        "exceptions": exceptions,
        "otherwise": otherwise,
    }
    ends_s = ordered[kept].time_s if kept < len(ordered) else None
    return Replay(form, kept, total, chatter_left_out, ends_s)


def _usual(sent: Sequence[Sent]) -> dict[int, dict[int, int]]:
    """Sender -> receiver -> the state it had most often, absent ones left out."""
    counts: dict[int, Counter[tuple[int, int]]] = {}
    sends: Counter[int] = Counter()
    for one in sent:
        sends[one.station] += 1
        mine = counts.setdefault(one.station, Counter())
        for receiver in one.heard_by:
            mine[receiver, _HEARD] += 1
        for receiver in one.lost_at:
            mine[receiver, _LOST] += 1
    usual: dict[int, dict[int, int]] = {}
    for station, mine in counts.items():
        usual[station] = {}
        for receiver in {receiver for receiver, _ in mine}:
            heard, lost = mine[receiver, _HEARD], mine[receiver, _LOST]
            absent = sends[station] - heard - lost
            if max(heard, lost) > absent:
                usual[station][receiver] = _HEARD if heard >= lost else _LOST
    return usual


def _differing(one: Sent, usual: dict[int, int]) -> list[int]:
    state = dict.fromkeys(one.heard_by, _HEARD) | dict.fromkeys(one.lost_at, _LOST)
    return [
        receiver * _STATES + state.get(receiver, _ABSENT)
        for receiver in sorted(state.keys() | usual.keys())
        if state.get(receiver, _ABSENT) != usual.get(receiver, _ABSENT)
    ]
