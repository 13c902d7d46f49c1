"""The report of a run: one page that needs nothing else, says what was found, and lets no name do anything."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from random import Random

import pytest
from outcomes import both_ways, outcome, station, village

from simulator.outcome import Asked, LinkUse, Outcome, Sent
from simulator.report import report_html
from simulator.report.figures import hops_bars, pairs, seconds_bars
from simulator.report.replay import CHATTER, KINDS, replay

VOID = {"meta", "input", "br", "link", "img", "hr"}
NASTY = '</script><script>alert(1)</script><img src=x onerror="alert(2)">&amp;\u202e{{data}}'


class Reading(HTMLParser):
    """Checks that elements close in order, and gathers what is there."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(page)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)


def data_of(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def run() -> Outcome:
    return village(7, houses=14, models=3, questions=80, hours=8)


@pytest.fixture(scope="module")
def page(run: Outcome) -> str:
    return report_html(run)


def test_every_element_closes_and_ids_are_used_once(page: str) -> None:
    ids = [attributes["id"] for _, attributes in Reading(page).elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_page_loads_nothing_from_anywhere(page: str) -> None:
    for tag, attributes in Reading(page).elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base"), tag
        assert "src" not in attributes, tag
        assert (attributes.get("href") or "#").startswith("#"), attributes
    without_names = page.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttpRequest|import\(", without_names)


def test_the_policy_lets_no_script_run_but_the_pages_own(page: str) -> None:
    reading = Reading(page)
    policy = next(at["content"] for _, at in reading.elements if at.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "unsafe" not in policy
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert script
    assert style
    for part in (script[1], style[1]):
        assert base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() in unescape(policy)
    assert not any(name.startswith("on") or name == "style" for _, at in reading.elements for name in at)


def test_every_field_that_is_used_has_a_label(page: str) -> None:
    reading = Reading(page)
    inside_labels = re.findall(r"<label[^>]*>.*?</label>", page, re.DOTALL)
    for tag, attributes in reading.elements:
        if tag in ("select", "input"):
            labelled = any(f'id="{attributes["id"]}"' in label for label in inside_labels)
            assert labelled or attributes.get("aria-label"), attributes


def test_names_and_texts_from_files_stay_text() -> None:
    stations = [station(NASTY), station("B", 500, 0, NASTY)]
    asked = [Asked(5, 0, NASTY, "failed", 9.0, why=NASTY), Asked(6, 0, "en", "answered", 9.0, 1, 1)]
    hostile = outcome(stations, both_ways((0, 1)), asked)
    hostile.violations = [NASTY]
    hostile.scenario = replace(hostile.scenario, name=NASTY, title=NASTY, about=NASTY)
    hostile.use[0].relayed = 3
    page = report_html(hostile)
    reading = Reading(page)
    assert sum(tag == "script" for tag, _ in reading.elements) == 2
    assert not any(tag == "img" for tag, _ in reading.elements)
    assert "alert(1)</script>" not in page
    assert "\u202e" not in page
    assert NASTY.replace("\u202e", "") in reading.texts["h1"][0] + "".join(reading.texts["h1"][1:])
    places = data_of(page)["stations"]
    assert isinstance(places, list)
    assert places[0]["name"] == NASTY.replace("\u202e", "")


def test_the_numbers_that_matter_and_the_findings_are_there_without_any_script(page: str, run: Outcome) -> None:
    answered = sum(each.ending != "failed" for each in run.asked)
    assert f'<p class="big">{100 * answered / 80:.0f}<span> %</span></p>' in page
    assert "of 80 questions got an answer" in page
    assert "Hill relay" in page
    assert page.index("Hills and walls unknown.") < page.index("Must mend")
    assert f"{run.transmissions:,} transmissions" in page
    assert "meshai sim run village-40 --seed 7" in page


def test_equal_runs_give_equal_pages(page: str) -> None:
    assert report_html(village(7, houses=14, models=3, questions=80, hours=8)) == page


def test_a_run_without_packets_says_that_there_is_nothing_to_replay(run: Outcome) -> None:
    assert "nothing to replay" in report_html(replace(run, sent=[]))


def test_a_run_in_which_nothing_is_has_a_page_too() -> None:
    page = report_html(outcome([station("Alone")], []))
    assert "Nobody asked anything." in page
    Reading(page)


def played(form: dict[str, object]) -> list[tuple[float, int, str, bool, float, list[int], list[int]]]:
    """What the page's script makes of the columns."""
    columns: dict[str, list[int]] = form  # type: ignore[assignment]
    usual: dict[str, list[int]] = form["usual"]  # type: ignore[assignment]
    made = []
    ticks = at = 0
    for index, step in enumerate(columns["time"]):
        ticks += step
        sender = columns["station"][index]
        states = {code // 3: code % 3 for code in usual[str(sender)]}
        for code in columns["otherwise"][at : at + columns["exceptions"][index]]:
            states[code // 3] = code % 3
        at += columns["exceptions"][index]
        heard, lost = ([one for one, state in sorted(states.items()) if state == wanted] for wanted in (1, 2))
        airtime_s = columns["airtimes"][columns["airtime"][index]]
        relayed = columns["relayed"][index] == "1"
        made.append((ticks / 100, sender, KINDS[columns["kind"][index]], relayed, airtime_s, heard, lost))
    return made


def expected(sent: list[Sent]) -> list[tuple[float, int, str, bool, float, list[int], list[int]]]:
    return [
        (
            round(one.time_s * 100) / 100,
            one.station,
            one.kind,
            one.relayed,
            round(one.airtime_s, 3),
            sorted(one.heard_by),
            sorted(one.lost_at),
        )
        for one in sent
    ]


def test_the_replay_is_what_was_sent(run: Outcome) -> None:
    replayed = replay(run.sent)
    assert json.loads(json.dumps(played(replayed.form))) == json.loads(json.dumps(expected(run.sent)))
    assert (replayed.shown, replayed.total, replayed.ends_s) == (len(run.sent), len(run.sent), None)


@pytest.mark.parametrize("seed", range(5))
def test_the_replay_holds_for_packets_that_nobody_or_anybody_hears(seed: int) -> None:
    rng = Random(f"replay {seed}")
    sent = []
    for number in range(60):
        others = rng.sample(range(5, 12), rng.randint(0, 7))
        cut = rng.randint(0, len(others))
        kind = rng.choice(KINDS)
        sent.append(Sent(number / 4, rng.randrange(5), 0.5, kind, 9, True, tuple(others[:cut]), tuple(others[cut:])))
    assert played(replay(sent).form) == expected(sent), f"seed {seed}"


def test_too_many_packets_leave_out_chatter_first_then_the_end_and_say_so(run: Outcome) -> None:
    wanted = [one for one in run.sent if one.kind not in CHATTER]
    replayed = replay(run.sent, max_replayed=len(wanted))
    assert (replayed.shown, replayed.chatter_left_out, replayed.ends_s) == (len(wanted), True, None)
    shorter = replay(run.sent, max_replayed=100)
    assert (shorter.shown, shorter.ends_s) == (100, wanted[100].time_s)
    assert replay(run.sent, max_exceptions=50).ends_s is not None


def test_a_page_says_how_much_of_the_run_it_replays(run: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.report.page.replay", lambda sent: replay(sent, max_replayed=100))
    page = report_html(run)
    assert f"100 of {len(run.sent):,} transmissions are shown." in page
    assert "The replay ends after" in page


def test_a_day_of_a_village_stays_small() -> None:
    assert len(report_html(village(2))) < 6_000_000


def test_both_directions_of_a_link_are_one_line() -> None:
    joined = pairs([LinkUse(2, 1, -3.0, 4, 1), LinkUse(1, 2, 5.0, 6, 0), LinkUse(0, 1, 1.0)])
    assert [(pair.one, pair.other, pair.there_db, pair.back_db, pair.heard, pair.lost) for pair in joined] == [
        (0, 1, 1.0, None, 0, 0),
        (1, 2, 5.0, -3.0, 10, 1),
    ]


def test_every_answer_stands_in_one_bar() -> None:
    rng = Random("bars")
    for count in (1, 3, 200):
        asked = [Asked(0, 0, "en", "answered", rng.expovariate(1 / 40), 1, rng.randint(1, 4)) for _ in range(count)]
        asked.append(Asked(0, 0, "en", "failed", 300.0))
        run = outcome([station("A"), station("B")], [], asked)
        assert sum(seconds_bars(run).values) == count
        assert sum(hops_bars(run).values) == count
        assert len(seconds_bars(run).labels) <= 16
