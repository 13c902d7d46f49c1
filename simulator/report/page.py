"""The report of a run as one HTML file that needs nothing else: no network, no fonts, no other file.

Names and texts come from people's files, so they are escaped wherever they stand, and the page's policy lets no script
run but its own. Opens no connection and writes no file; reads the page's parts that are shipped beside this module.
"""

from __future__ import annotations

import base64
import hashlib
import json
import unicodedata
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from statistics import fmean

from simulator.outcome import Asked, Outcome, Station, StationUse
from simulator.report.figures import (
    Bars,
    busiest_first,
    hops_bars,
    kinds_bars,
    pairs,
    seconds_bars,
    snr_limit_db,
)
from simulator.report.findings import BUSY_PERCENT, Finding, findings
from simulator.report.replay import Replay, replay
from simulator.summary import Summary, summary

__all__ = ["report_html"]

MAX_QUESTIONS = 20_000
"""So many questions have a row in the table at most."""
_SCRIPTS = ("base.js", "map.js", "replay.js", "charts.js")
_HIDDEN_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
_SEVERITY_WORDS = {"unknown": "Unknown", "bad": "Must mend", "warning": "Watch", "note": "Note", "good": "Good"}
_SEVERITY_SIGNS = {"unknown": "?", "bad": "\u00d7", "warning": "!", "note": "i", "good": "✓"}
_DASH = "\u2013"


def report_html(outcome: Outcome) -> str:
    """Return the whole page for `outcome`; equal outcomes give equal pages."""
    figures = summary(outcome)
    found = findings(outcome, figures)
    replayed = replay(outcome.sent)
    script = "\n".join(_part(name) for name in _SCRIPTS)
    style = _part("page.css")
    policy = (
        f"default-src 'none'; style-src 'sha256-{_hash(style)}'; script-src 'sha256-{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    values = {
        "policy": escape(policy),
        "title": _text(outcome.scenario.title or outcome.scenario.name),
        "about": _text(" ".join(outcome.scenario.about.split())),
        "settings": _settings(outcome),
        "share": _share(figures),
        "cards": _cards(figures),
        "findings": "\n".join(_finding(number, one) for number, one in enumerate(found)),
        "missing": _missing(outcome, replayed),
        "again": _text(f"meshai sim run {outcome.scenario.name} --seed {outcome.seed}"),
        "counts": _counts(outcome),
        "data": _embedded(_data(outcome, found, replayed)),
        "style": style,
        "script": script,
    }
    return _filled(_part("page.html"), values)


def _filled(template: str, values: dict[str, str]) -> str:
    """Put each value at its `{{name}}`, once and without looking at what was put in."""
    pieces = template.split("{{")
    made = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        made += (values[name], rest)
    return "".join(made)


def _part(name: str) -> str:
    return (files("simulator.report") / name).read_text("utf-8")


def _hash(part: str) -> str:
    return base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()


def _embedded(data: object) -> str:
    """JSON that can't end the element it stands in."""
    plain = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return plain.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _plain(text: str) -> str:
    """`text` without characters that are not seen and change how the rest is."""
    return "".join(
        letter
        for letter in text
        if unicodedata.category(letter) not in ("Cc", "Cs", "Zl", "Zp") and letter not in _HIDDEN_DIRECTIONS
    )


def _text(text: str) -> str:
    return escape(_plain(text)).replace(" %", "\u00a0%")


def _settings(outcome: Outcome) -> str:
    scenario = outcome.scenario
    houses = sum(station.is_house for station in outcome.stations)
    models = sum(bool(station.models) for station in outcome.stations)
    relays = len(outcome.stations) - houses
    items = (
        f"{houses} houses",
        f"{models} with a model",
        "1 relay on its own" if relays == 1 else f"{relays} relays on their own",
        f"{scenario.radio.preset}, {scenario.radio.region}",
        f"hop limit {scenario.radio.hop_limit}",
        f"firmware {scenario.radio.firmware}",
        f"{_hours(outcome.simulated_s)} from {_clock(scenario.start_hour)}",
        f"seed {outcome.seed}",
    )
    return "".join(f"<li>{_text(item)}</li>" for item in items)


def _share(figures: Summary) -> str:
    share, low, high = figures.answered_percent, figures.answered_low_percent, figures.answered_high_percent
    if share is None or low is None or high is None:
        return f'<p class="big">{_DASH}</p><p>Nobody asked anything.</p>'
    return (
        f'<p class="big">{share:.0f}<span> %</span></p>'
        f"<p>of {figures.asked:,} questions got an answer</p>"
        f'<svg class="interval" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" '
        f'aria-label="between {low:.0f} and {high:.0f} percent">'
        f'<rect class="whole" width="100" height="6"/><rect class="share" width="{share:.2f}" height="6"/>'
        f'<rect class="range" x="{low:.2f}" y="2" width="{max(0.6, high - low):.2f}" height="2"/></svg>'
        f'<p class="small">Chance plays a part: expect {low:.0f} to {high:.0f} %.</p>'
    )


def _cards(figures: Summary) -> str:
    peak = max(figures.hours, key=lambda use: use.mean_percent, default=None)
    relay = figures.busiest_relay
    cards = (
        (
            "Half of the answers within",
            _seconds(figures.seconds_p50),
            f"95 % within {_seconds(figures.seconds_p95)}",
        ),
        ("From a cache", _share_text(figures.cached_percent), f"{figures.cached:,} questions cost no model time"),
        (
            "Air for an answer",
            _seconds(figures.air_per_answer_s),
            "all transmitters, failed questions included",
        ),
        (
            "Air in use, busiest hour",
            _share_text(peak.mean_percent if peak else None),
            f"at {_clock(peak.hour)}, mean of all radios; worst radio {peak.worst_percent:.0f} %" if peak else "",
        ),
        (
            "Busiest relay",
            relay.name if relay else _DASH,
            f"passed on {relay.relayed:,} packets; air there {_share_text(relay.utilisation_percent)} in use"
            if relay
            else "nobody passed anything on",
        ),
        (
            "Energy for an answer",
            f"{figures.energy_per_answer_wh:.1f} Wh" if figures.energy_per_answer_wh is not None else _DASH,
            "all radios and devices, waiting included",
        ),
    )
    return "".join(
        f"<li><h3>{_text(head)}</h3><p class='value'>{_text(value)}</p><p class='small'>{_text(note)}</p></li>"
        for head, value, note in cards
    )


def _finding(number: int, one: Finding) -> str:
    shows = bool(one.stations) or one.spot_m is not None
    button = f'<button type="button" class="show" data-finding="{number}">Show on the map</button>' if shows else ""
    return (
        f'<li class="finding {one.severity}"><span class="sign" aria-hidden="true">{_SEVERITY_SIGNS[one.severity]}'
        f'</span><div><h3><span class="word">{_SEVERITY_WORDS[one.severity]}</span> {_text(one.title)}</h3>'
        f"<p>{_text(one.advice)}</p></div>{button}</li>"
    )


def _missing(outcome: Outcome, replayed: Replay) -> str:
    if not outcome.sent:
        return "Packets were not kept in this run, so there is nothing to replay."
    notes = []
    if replayed.chatter_left_out:
        notes.append("Positions, telemetry and introductions of the radios are left out of the replay.")
    if replayed.ends_s is not None:
        notes.append(f"The replay ends after {_hours(replayed.ends_s)}: later packets are not in this file.")
    if notes:
        notes.insert(0, f"{replayed.shown:,} of {replayed.total:,} transmissions are shown.")
    return _text(" ".join(notes))


def _counts(outcome: Outcome) -> str:
    counts = (
        f"{outcome.transmissions:,} transmissions, {outcome.receptions:,} receptions, "
        f"{outcome.collisions:,} lost because packets met."
    )
    check = f" Check sum of the run: {outcome.trace_hash[:16]}." if outcome.trace_hash else ""
    return _text(counts + check)


def _data(outcome: Outcome, found: Sequence[Finding], replayed: Replay) -> dict[str, object]:
    """What the page's script draws."""
    reasons: dict[str, int] = {}
    for each in outcome.asked:
        reasons.setdefault(each.why, len(reasons))
    return {
        "start_hour": outcome.scenario.start_hour,
        "simulated_s": outcome.simulated_s,
        "snr_limit_db": snr_limit_db(outcome),
        "busy_percent": BUSY_PERCENT,
        "stations": [_station(*pair) for pair in zip(outcome.stations, outcome.use, strict=True)],
        "pairs": [
            [pair.one, pair.other, _rounded(pair.there_db), _rounded(pair.back_db), pair.heard, pair.lost]
            for pair in pairs(outcome.links)
        ],
        "reasons": [_plain(reason) for reason in reasons],
        "questions": [_question(each, reasons) for each in outcome.asked[:MAX_QUESTIONS]],
        "questions_in_all": len(outcome.asked),
        "heat": [
            {"station": index, "percent": _whole(outcome.use[index].utilisation_by_hour)}
            for index in busiest_first(outcome.use)
        ],
        "heat_mean": _whole(_mean_by_hour(outcome.use)),
        "seconds": _bars(seconds_bars(outcome)),
        "hops": _bars(hops_bars(outcome)),
        "kinds": _bars(kinds_bars(outcome)),
        "findings": [{"stations": one.stations, "spot": one.spot_m} for one in found],
        "replay": replayed.form,
    }


def _station(station: Station, use: StationUse) -> dict[str, object]:
    by_hour = use.utilisation_by_hour
    return {
        "name": _plain(station.name),
        "x": round(station.x_m, 1),
        "y": round(station.y_m, 1),
        "height": round(station.height_m, 1),
        "role": _plain(station.role),
        "house": station.is_house,
        "models": [_plain(model) for model in station.models],
        "sent_s": round(use.sent_s, 1),
        "packets": use.packets,
        "relayed": use.relayed,
        "heard": use.heard,
        "lost": use.lost,
        "asked": use.asked,
        "answered": use.answered,
        "energy_wh": round(use.energy_wh, 1),
        "off_s": round(use.off_s),
        "mean": round(fmean(by_hour), 1) if by_hour else 0,
        "worst": round(max(by_hour), 1) if by_hour else 0,
    }


def _question(each: Asked, reasons: dict[str, int]) -> list[object]:
    return [
        round(each.time_s, 1),
        each.station,
        _plain(each.language),
        each.ending,
        round(each.seconds, 1),
        each.answered_by,
        each.hops,
        int(each.truncated),
        round(each.cost_s, 1),
        reasons[each.why],
        int(each.emergency),
    ]


def _mean_by_hour(use: Sequence[StationUse]) -> list[float]:
    columns = max((len(each.utilisation_by_hour) for each in use), default=0)
    return [
        fmean(each.utilisation_by_hour[column] for each in use if column < len(each.utilisation_by_hour))
        for column in range(columns)
    ]


def _bars(bars: Bars) -> dict[str, object]:
    return {"labels": bars.labels, "values": [round(value, 1) for value in bars.values]}


def _whole(percents: Iterable[float]) -> list[int]:
    return [round(percent) for percent in percents]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _share_text(percent: float | None) -> str:
    return _DASH if percent is None else f"{percent:.0f} %"


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return _DASH
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.3g} hours" if seconds >= 5400 else f"{seconds / 60:.0f} minutes"


def _clock(hour: float) -> str:
    minutes = round(hour * 60) % 1440
    return f"{minutes // 60:02}:{minutes % 60:02}"
