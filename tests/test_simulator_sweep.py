"""Sweeps: what is varied, what is kept of a run, and the figures with their ranges."""

from __future__ import annotations

import json
import xml.dom.minidom
from dataclasses import replace

import pytest

from protocol.errors import LocalError
from simulator.runsfile import RunsFile, digest_of
from simulator.scenario.plan import DevicePlan, PeoplePlan, Place, RadioPlan, Scenario, SpecialRadio
from simulator.spreading import in_processes
from simulator.sweep import FIGURES, Job, RunFigures, difference, estimate, row, t_quantile
from simulator.sweepplot import sweep_html, sweep_svg
from simulator.variations import axes_from, known_keys, variations


def tiny(**how: object) -> Scenario:
    """Four houses and one model, for three minutes."""
    values: dict[str, object] = {
        "hours": 0.05,
        "start_hour": 18.0,
        "devices": (DevicePlan("old laptop", count=1),),
        "people": PeoplePlan(questions_per_day=1200, patience_s=60, answer_chars=60),
    }
    places = tuple(Place(f"house {number}", 200.0 * number, 0.0) for number in range(1, 5))
    return Scenario("tiny", "Four houses", "", places, **values | how)  # type: ignore[arg-type]


def run(seed: int, answered: int, asked: int = 10, combination: int = 0, **how: object) -> RunFigures:
    values: dict[str, object] = {
        "seconds_p50": 4.0,
        "seconds_p95": 20.0,
        "air_s_per_answer": 3.0,
        "energy_wh_per_answer": None,
        "utilisation_percent": 5.0,
        "utilisation_percent_worst": 9.0,
        "violations": 0,
        "trace_hash": "ab",
    }
    return RunFigures(combination, seed, asked, answered, 0, **values | how)  # type: ignore[arg-type]


def varied(scenario: Scenario, *wishes: str) -> list[Scenario]:
    return [each.scenario for each in variations(scenario, axes_from(scenario, wishes))]


# What is varied


def test_all_combinations_are_made_the_last_key_changing_fastest():
    made = varied(tiny(), "preset=LONG_FAST,medium_fast", "hop_limit=3,5")
    assert [(each.radio.preset, each.radio.hop_limit) for each in made] == [
        ("LONG_FAST", 3),
        ("LONG_FAST", 5),
        ("MEDIUM_FAST", 3),
        ("MEDIUM_FAST", 5),
    ]
    assert varied(tiny()) == [tiny()]


@pytest.mark.parametrize(
    ("wish", "found"),
    [
        ("radio.preset=SHORT_FAST", lambda made: made.radio.preset == "SHORT_FAST"),
        ("firmware=2.7.26", lambda made: made.radio.firmware == "2.7.26"),
        ("chatter=false", lambda made: made.radio.chatter is False),
        ("power_dbm=14", lambda made: made.radio.power_dbm == 14.0),
        ("questions_per_day=50", lambda made: made.people.questions_per_day == 50.0),
        ("loss=0.25", lambda made: made.faults.loss == 0.25),
        ("hours=2", lambda made: made.hours == 2.0),
        ("start=06:30", lambda made: made.start_hour == 6.5),
        ("languages={en = 0.5, sw = 0.5}", lambda made: made.people.languages == {"en": 0.5, "sw": 0.5}),
        ("devices.0.tokens_per_s=3.5", lambda made: made.devices[0].tokens_per_s == 3.5),
        ("devices.old laptop.tokens_per_s=3.5", lambda made: made.devices[0].tokens_per_s == 3.5),
        ("old laptop.tokens_per_s=3.5", lambda made: made.devices[0].tokens_per_s == 3.5),
        ("share_hours=18-23", lambda made: made.devices[0].share_hours == "18-23"),
        ('share_hours="18-20, 6-8"', lambda made: made.devices[0].share_hours == "18-20, 6-8"),
        ("count=2", lambda made: made.devices[0].count == 2),
        ("at=house 3", lambda made: (made.devices[0].at, made.devices[0].count) == (("house 3",), 0)),
    ],
)
def test_a_key_is_found_in_full_or_short_and_its_value_read_as_in_a_file(wish, found):
    (made,) = varied(tiny(), wish)
    assert found(made), made


def test_a_short_key_means_the_setting_of_all_rather_than_that_of_some():
    scenario = tiny(radio=RadioPlan(special=(SpecialRadio(("house 1",), role="ROUTER"),)))
    (made,) = varied(scenario, "role=CLIENT_MUTE")
    assert (made.radio.role, made.radio.special[0].role) == ("CLIENT_MUTE", "ROUTER")
    (made,) = varied(scenario, "special.0.role=CLIENT_MUTE")
    assert (made.radio.role, made.radio.special[0].role) == ("CLIENT", "CLIENT_MUTE")


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ("presset=LONG_FAST", '"preset" is meant'),
        ("zzz=1", "radio.hop_limit, "),
        ("tokens_per_s=1", "devices.old laptop.tokens_per_s, devices.phone.tokens_per_s"),
        ("hop_limit=8", "a whole number from 0 to 7"),
        ("hop_limit=three", "a whole number from 0 to 7"),
        ("role=CLEINT", '"CLIENT"'),
        ("hop_limit=3,3", "3 twice"),
        ("role=CLIENT,,ROUTER", "empty value"),
        ("hop_limit", "KEY=VALUE"),
        ("=3", "KEY=VALUE"),
        ("title=Ours", "nothing is called"),
        ("preset=SHORT_TURBO", "wider than the band of EU_868"),
        ("power_dbm=33", "EU_868 allows"),
        ("0.at=hut", '"hut" is no place'),
        ("asymmetry_db=" + "1," * 5000, "too much"),
        ("hop_limit=" + "[" * 3000, "can't set"),
    ],
)
def test_a_wrong_wish_is_told_with_what_would_do(wish, told):
    scenario = tiny(devices=(DevicePlan("old laptop", count=1), DevicePlan("phone", count=1)))
    with pytest.raises(LocalError) as caught:
        varied(scenario, wish)
    assert told.casefold() in str(caught.value).casefold()


def test_a_key_named_twice_and_too_many_combinations_are_refused():
    with pytest.raises(LocalError, match=r"radio\.hop_limit"):
        varied(tiny(), "hop_limit=3", "radio.hop_limit=5")
    many = ",".join(map(str, range(1, 100)))
    with pytest.raises(LocalError, match="too many combinations"):
        varied(tiny(), f"questions_per_day={many}", f"answer_chars={many}")


def test_every_key_that_is_told_can_be_varied():
    scenario = tiny()
    for key in known_keys(scenario):
        assert "radio.hop_limit" in known_keys(scenario)
        with pytest.raises(LocalError) as caught:
            axes_from(scenario, [f'{key}={{ nobody = "wants this" }}'])
        assert key in str(caught.value)


# Figures and their ranges


@pytest.mark.parametrize(
    ("degrees", "value"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (29, 2.045), (100, 1.984)]
)
def test_students_t_is_that_of_the_printed_tables(degrees, value):
    assert t_quantile(degrees) == pytest.approx(value, abs=0.0006)


def test_a_mean_has_the_range_that_one_finds_by_hand():
    # Deviation of 1 to 5 is sqrt(10 / 4) = 1.5811; 2.776 * 1.5811 / sqrt(5) = 1.963.
    found = estimate([1, 2, None, 3, 4, 5])
    assert found is not None
    assert (found.mean, found.runs) == (3.0, 5)
    assert (found.low, found.high) == (pytest.approx(1.037, abs=0.001), pytest.approx(4.963, abs=0.001))


def test_a_range_keeps_to_what_can_be_and_needs_two_runs():
    found = estimate([90.0, 100.0], low=0, high=100)
    assert found is not None
    assert (found.mean, found.low, found.high) == (95.0, pytest.approx(31.47, abs=0.01), 100)
    alone = estimate([7.0])
    assert alone is not None
    assert (alone.mean, alone.low, alone.high) == (7.0, None, None)
    assert estimate([None]) is None


def test_where_all_seeds_agree_the_number_of_questions_makes_the_range():
    found = row([run(seed, 10) for seed in range(1, 4)]).figures["answered_percent"]
    # Wilson's for 30 of 30: 1 / (1 + 1.96^2 / 30) = 0.8865.
    assert found is not None
    assert (found.mean, found.low, found.high) == (100.0, pytest.approx(88.65, abs=0.01), 100.0)


def test_a_row_does_not_depend_on_the_order_in_which_runs_end():
    runs = [run(seed, seed, seconds_p50=1 / seed, violations=seed == 3) for seed in range(1, 8)]
    assert row(runs) == row(reversed(runs))
    assert row(runs).violated == (3,)
    assert (row(runs).asked, row(runs).answered) == (70, 28)


def test_a_figure_that_no_run_tells_is_none():
    silent = row([run(seed, 0, asked=0, seconds_p50=None) for seed in (1, 2)])
    assert silent.figures["answered_percent"] is None
    assert silent.figures["seconds_p50"] is None


def test_scenarios_are_compared_seed_by_seed():
    answered = FIGURES[0]
    before = [run(seed, count) for seed, count in enumerate((1, 4, 7, 2, 5), 1)]
    after = [run(seed, count) for seed, count in enumerate((3, 5, 9, 4, 6), 1)]
    # Changes are 20, 10, 20, 20, 10: mean 16, deviation 5.477; 2.776 * 5.477 / sqrt(5) = 6.8.
    found = difference(answered, reversed(before), after)
    assert found is not None
    assert found.change.mean == pytest.approx(16)
    assert (found.change.low, found.change.high) == (pytest.approx(9.2, abs=0.01), pytest.approx(22.8, abs=0.01))
    assert found.beyond_chance is True
    same = difference(answered, before, before)
    assert same is not None
    assert same.beyond_chance is False
    one = difference(answered, before, after[:1])
    assert one is not None
    assert one.beyond_chance is None
    assert difference(answered, before, [run(9, 3)]) is None


# Runs, and the file that keeps them


def test_a_run_gives_the_same_figures_here_and_in_other_processes_and_one_that_fails_is_named():
    jobs = [Job(number, 3, each) for number, each in enumerate(varied(tiny(), "hop_limit=0,3"))]
    broken = Job(0, 4, tiny(devices=(DevicePlan("laptop", count=9),)), "count 9")
    with in_processes(1) as spread:
        here = list(spread(jobs))
        with pytest.raises(LocalError, match=r"count 9, seed 4: .*too many"):
            list(spread([broken]))
    with in_processes(2) as spread:
        elsewhere = sorted(spread(jobs), key=lambda each: each.combination)
        with pytest.raises(LocalError, match=r"count 9, seed 4: .*too many"):
            list(spread([broken]))
    assert here == elsewhere
    assert all(each.asked and each.trace_hash for each in here)


def test_a_cut_file_goes_on_wherever_it_was_cut(tmp_path):
    scenario, axes = tiny(), axes_from(tiny(), ["hop_limit=3,5", "languages={en = 1}"])
    runs = [run(seed, 5, combination=number) for seed in (1, 2) for number in (0, 1)]
    with RunsFile.begun(tmp_path, scenario, axes) as kept:
        for one in runs:
            kept.keep(one)
    whole = kept.path.read_bytes()
    begins = len(whole.split(b"\n")[0]) + 1
    for cut in range(begins, len(whole) + 1, 7):
        kept.path.write_bytes(whole[:cut])
        with RunsFile.resumed(kept.path, scenario, axes) as again:
            count = whole[begins:cut].count(b"\n")
            assert list(again.runs.values()) == runs[:count], cut
            for one in runs[count:]:
                again.keep(one)
        assert kept.path.read_bytes() == whole


def test_a_file_of_something_else_is_refused_and_left_as_it_is(tmp_path):
    scenario, axes = tiny(), axes_from(tiny(), ["hop_limit=3,5"])
    with RunsFile.begun(tmp_path, scenario, axes) as kept:
        kept.keep(run(1, 5))
    whole = kept.path.read_bytes()
    header, line, _ = whole.split(b"\n")
    later = json.dumps({**json.loads(header), "program": "99"}).encode()

    def refused(told: str, *, scenario: Scenario = scenario, wishes: tuple[str, ...] = ("hop_limit=3,5",)) -> None:
        before = kept.path.read_bytes()
        with pytest.raises(LocalError, match=told):
            RunsFile.resumed(kept.path, scenario, axes_from(scenario, wishes))
        assert kept.path.read_bytes() == before

    refused("another scenario", scenario=replace(scenario, hours=2.0))
    refused(r"other variations: they were radio\.hop_limit=3,5", wishes=("hop_limit=3,7",))
    refused("other variations", wishes=())
    for text, told in (
        (b"", "no file of runs"),
        (b"hello\n", "ine 1 .*damaged"),
        (b"[]\n", "no file of runs"),
        (header, "no file of runs"),
        (later + b"\n", "another version"),
        (header + b"\n{}\n" + line + b"\n", "ine 2 .*damaged"),
        (header + b"\n" + line.replace(b'"seed":1', b'"seed":NaN') + b"\n", "ine 2 .*damaged"),
        (header + b"\n" + b"[" * 50_000 + b"\n", "ine 2 .*damaged"),
        (header + b"\n" + b" " * 200_000, "ine 2 .*damaged"),
    ):
        kept.path.write_bytes(text)
        refused(told)
    with pytest.raises(LocalError, match="No such file"):
        RunsFile.resumed(tmp_path / "nowhere.jsonl", scenario, axes)


def test_a_new_file_replaces_none_and_an_empty_one_is_not_left(tmp_path):
    for name in ("tiny-sweep.jsonl", "tiny-sweep-2.jsonl"):
        with RunsFile.begun(tmp_path, tiny(), ()) as kept:
            kept.keep(run(1, 5))
        assert kept.path == tmp_path / name
    with RunsFile.begun(tmp_path, tiny(), ()) as kept:
        assert kept.path.exists()
    assert not kept.path.exists()
    with pytest.raises(LocalError, match="can't be written"):
        RunsFile.begun(tmp_path / "nowhere", tiny(), ())


def test_the_digest_tells_scenarios_apart_but_not_folders():
    assert digest_of(tiny()) == digest_of(tiny())
    assert digest_of(tiny(terrain="/a/tiles")) == digest_of(tiny(terrain="b/tiles"))
    assert digest_of(tiny()) != digest_of(tiny(people=replace(tiny().people, alike=0.31)))


# The picture


def test_the_picture_is_whole_in_itself_and_well_formed():
    rows = [row([run(seed, seed) for seed in (1, 2, 3)]), row([run(1, 0, asked=0, seconds_p50=None)])]
    svg = sweep_svg('Houses <&> "hills"', ["preset LONG_FAST", "x" * 300], rows)
    document = xml.dom.minidom.parseString(svg)
    assert len(document.getElementsByTagName("circle")) == 8
    assert "no answers" in svg
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    assert sweep_html("Houses", ["a", "b"], rows).count("<svg") == 1
