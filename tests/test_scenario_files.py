"""Scenario files: what is read from them, and every mistake told with its file, its line and what was expected."""

import inspect
import re
import tomllib
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import LocalError
from simulator.scenario.locating import Lines
from simulator.scenario.parsing import FILE_BYTES_MAX, parse, read
from simulator.scenario.plan import BlockedPair, DevicePlan, Emergency, PeoplePlan, PowerSupply, RadioPlan
from simulator.scenario.reading import load, load_scenario, names, shipped, shipped_text, write_new
from simulator.scenario.sections import SHAPE_KEYS
from simulator.scenario.shapes import SHAPES
from simulator.scenario.trouble import PROBLEMS_MAX, ScenarioError

STREET = '[places]\nshape = "line"\nhouses = 4\n'


def problems(text, **how):
    with pytest.raises(ScenarioError) as caught:
        parse(text, name="ours", file="ours.toml", **how)
    assert str(caught.value).count("\n") == (len(caught.value.problems) if len(caught.value.problems) > 1 else 0)
    return {(problem.line, f"{problem.what}; {problem.expected}") for problem in caught.value.problems}


def the_problem(text, **how):
    (found,) = problems(text, **how)
    return found


def test_a_file_with_places_alone_has_all_defaults():
    scenario = parse(STREET, name="ours").scenario
    assert [place.name for place in scenario.places] == ["house 1", "house 2", "house 3", "house 4"]
    assert (scenario.title, scenario.hours, scenario.start_hour, scenario.terrain) == ("ours", 24.0, 6.0, "")
    assert scenario.radio == RadioPlan()
    assert scenario.people == PeoplePlan()


def test_every_section_is_read():
    scenario = parse(
        'title = "Ours"\nhours = 2\nstart = "18:30"\nfaults = { crash = 2, loss = 0.1 }\n'
        'devices = [ { name = "PC", at = "house 2", share_hours = "mon-fri 18-23" } ]\n'
        f'{STREET}[radio]\npreset = "medium_fast"\n[[radio.special]]\nat = ["house *"]\nrole = "router"\n'
        "power = { battery_wh = 10, solar_w = 2 }\n[people]\nlanguages = { en = 0.25, sw = 0.75 }\n"
        "[[people.emergencies]]\nat_hour = 1\n",
        name="ours",
    ).scenario
    assert (scenario.title, scenario.hours, scenario.start_hour) == ("Ours", 2.0, 18.5)
    assert scenario.radio.preset == "MEDIUM_FAST"
    assert scenario.radio.special[0].role == "ROUTER"
    assert scenario.radio.special[0].power == PowerSupply(10.0, 2.0)
    assert scenario.people.languages == {"en": 0.25, "sw": 0.75}
    assert scenario.people.emergencies == (Emergency(1.0),)
    assert scenario.devices == (DevicePlan("PC", at=("house 2",), share_hours="mon-fri 18-23"),)
    assert (scenario.faults.crash, scenario.faults.loss, scenario.faults.total) == (2, 0.1, 2)


@pytest.mark.parametrize(
    ("start", "hour"),
    [('"06:00"', 6.0), ('"6"', 6.0), ("7.5", 7.5), ("08:15:00", 8.25), ('"0:30"', 0.5), ('"17 h"', 17.0)],
)
def test_a_time_of_the_day_is_read_however_it_is_written(start, hour):
    assert parse(f"start = {start}\n{STREET}", name="ours").scenario.start_hour == hour


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("titel = 'x'", 'unknown key "titel"; perhaps "title" is meant'),
        ("hours = 0", "hours is 0; expected a number above 0"),
        ("hours = inf", "hours is inf; expected a number"),
        ("hours = true", "hours is true; expected a number"),
        ("start = '25:00'", 'start is "25:00"; expected a time of the day'),
        ("start = 24", "start is 24; expected a time of the day"),
        ("radio = 3", "radio is 3; expected a table, written [radio]"),
        ("devices = 3", "devices is 3; expected tables, each written [[devices]]"),
        ("radio.preset = 'LONGFAST'", 'perhaps "LONG_FAST" is meant'),
        ("radio.region = 'EU'", "expected one of US, EU_433, EU_868"),
        ("radio.region = 'UNSET'", "expected one of US"),
        ("radio.role = 'ROUTR'", 'perhaps "ROUTER" is meant'),
        ("radio.path_loss = 'hatta-urban'", 'perhaps "hata-urban" is meant'),
        ("radio.firmware = '2.9'", "expected one of 2.8.0, 2.7.26"),
        ("radio.hop_limit = 8", "hop_limit in [radio] is 8; expected a whole number from 0 to 7"),
        ("radio.hop_limit = 2.5", "hop_limit in [radio] is 2.5; expected a whole number"),
        ("radio.preset = 'LONG_TURBO'", "LONG_TURBO is 500 kHz wide, the band of EU_868 250"),
        ("radio.power_dbm = 30", "expected at most 27, which is what EU_868 allows"),
        ("radio.chatter = 'yes'", "expected true or false"),
        ("people.alike = 1.5", "alike in [people] is 1.5; expected a share from 0 to 1"),
        ("people.questions_per_day = -1", "questions_per_day in [people] is -1; expected a number from 0"),
        ("people.languages = { xx = 1 }", '"xx" is unknown; expected one of ar, en'),
        ("people.languages = { en = 0.5 }", "the shares make 0.5 together; expected 1"),
        ("people.languages = {}", "expected shares that make 1 together"),
        ("people.emergencies = [{ at_hour = 30 }]", "an emergency 30 hours after the start; expected below 24"),
        ("people.emergencies = [{ share = 0.1 }]", '[people.emergencies] has no "at_hour"'),
        ("radio.special = [{ role = 'ROUTER' }]", '[radio.special] has no "at"; expected it, names of places'),
        ("radio.special = [{ at = 'house 9' }]", '"house 9" is no place; perhaps "house 4" is meant'),
        ("radio.special = [{ at = 'hill*' }]", '"hill*" is no place; expected a name from the map'),
        ("radio.special = [{ at = '*', power = { solar_w = 3 } }]", "a panel of 3 W without a battery"),
        ("devices = [{ name = 'PC' }]", "has neither count nor at"),
        ("devices = [{ name = 'PC', count = 1, at = '*' }]", "has both count and at"),
        ("devices = [{ name = 'PC', count = -1 }]", "count in [devices] is -1; expected a whole number from 1"),
        ("devices = [{ name = 'PC', count = 5 }]", '5 devices called "PC"; only 4 houses have no device yet'),
        (
            "devices = [{ name = 'PC', count = 1, share_hours = 'dusk' }]",
            'share_hours in [devices] is "dusk"; write them',
        ),
        ("devices = [{ name = 'PC', count = 1, on_hours = 7 }]", "expected hours in quotes"),
        ("devices = [{ name = 'PC', count = 1, tokens_per_s = 0 }]", "expected a number above 0"),
        ("devices = [{ name = 'PC', count = 1, idle_w = 50 }]", "expected busy_w to be no less than idle_w"),
        ("devices = [{ name = 'PC', count = 1 }, { name = 'PC', count = 1 }]", '"PC" is there twice'),
        ("faults = { loss = 2 }", "loss in [faults] is 2; expected a share from 0 to 1"),
        ("faults = { meteor = 2 }", 'unknown key "meteor" in [faults]'),
        ("terrain = 'nowhere'", 'terrain is "nowhere"; expected a folder'),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_was_expected(line, words, tmp_path):
    found = problems(f"about = 'x'\n{line}\n{STREET}", folder=tmp_path)
    assert {number for number, _ in found} == {2}
    assert any(words in told for _, told in found), found


@pytest.mark.parametrize(
    ("places", "line", "words"),
    [
        ("", 1, "there is no [places]"),
        ("places = 3", 1, "places is 3; expected a table"),
        ("[places]\n", 1, "says neither shape nor file"),
        ("[places]\nshape = 'lines'", 2, 'perhaps "line" is meant'),
        ("[places]\nshape = 'line'\nfile = 'x.csv'", 3, "has both shape and file"),
        ("[places]\nshape = 'line'\nhouses = 1", 3, "expected a whole number from 2"),
        ("[places]\nshape = 'line'\nradius_m = 5", 3, 'unknown key "radius_m" in [places]'),
        ("[places]\nshape = 'line'\nlistener = 'x'", 3, 'unknown key "listener"'),
        ("[places]\nfile = 'x.csv'\nlayout_seed = 2", 3, 'unknown key "layout_seed"'),
        ("[places]\nshape = 'line'\nlatitude = 2", 1, "one is missing"),
        ("[[places.extra]]\nname = 'tower'\nx_m = 1\ny_m = 1", 1, "the map has one place; expected at least two"),
        ("[places]\nshape = 'line'\n[[places.extra]]\nx_m = 1", 3, 'has no "name"'),
        ("[places]\nshape = 'line'\n[[places.extra]]\nname = 'a*'\nx_m = 1\ny_m = 1", 4, "without * ? [ ]"),
        ("[places]\nshape = 'line'\n[[places.extra]]\nname = ''\nx_m = 1\ny_m = 1", 4, "expected a name"),
        ("[places]\nshape = 'line'\n[[places.extra]]\nname = 'a'\nx_m = 1", 3, '"a" has no position'),
        ("[places]\nshape = 'line'\n[[places.extra]]\nname = 'a'\nlatitude = 1\nlongitude = 1", 3, "the map in metres"),
        ("[places]\nshape = 'line'\n[[places.extra]]\nname = 'house 2'\nx_m = 1\ny_m = 1", 3, '"house 2" is already'),
        ("[places]\nshape = 'line'\n[[places.blocked]]\nbetween = ['house 1']", 4, "between holds 1 names"),
        ("[places]\nshape = 'line'\n[[places.blocked]]\nbetween = ['house 1', 'hose 2']", 4, '"hose 2" is no place'),
        ("[[places.extra]]\nname='a'\nx_m=1\ny_m=1\n[[places.extra]]\nname='a'\nx_m=2\ny_m=1", 5, "ours.toml, line 1"),
        (
            "[[places.extra]]\nname='a'\nx_m=1\ny_m=1\nkind='relay'\n[[places.extra]]\nname='b'\nx_m=2\ny_m=1",
            1,
            "there is no house, only relays",
        ),
    ],
)
def test_a_mistake_in_the_places_is_told_with_its_line(places, line, words):
    number, told = the_problem(places)
    assert (number, words in told) == (line, True), (number, told)


def test_several_mistakes_are_told_at_once_in_the_order_of_their_lines():
    with pytest.raises(ScenarioError) as caught:
        parse(f"hours = -1\n{STREET}[people]\nalike = 2\n[radio]\nhop_limit = 9\n", name="ours", file="ours.toml")
    assert [problem.line for problem in caught.value.problems] == [1, 6, 8]
    assert str(caught.value).startswith("3 things in ours.toml need mending:\n  ours.toml, line 1: hours is -1;")


def test_not_more_than_ten_mistakes_are_told():
    with pytest.raises(ScenarioError) as caught:
        parse("\n".join(f"key{number} = 1" for number in range(500)), name="ours")
    assert len(caught.value.problems) == PROBLEMS_MAX
    assert str(caught.value).startswith("More than 10 things")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("hours = 1\n[places\n", 2),
        ("title = Our street\n", 1),
        ("hours = 1\nhours = 2\n", 2),
        ("hours = ", 1),
        (f"{STREET}about = '''\nno end", 5),
        ("x = " + "[\n" * 5000, 0),
        (f"{STREET}n = {'9' * 900}\n" + "n" * 2000, 5),
        (".".join("a" * 3000) + " = 1", 1),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(text, line):
    assert the_problem(text)[0] == line


def test_a_number_beyond_all_measure_is_a_mistake():
    assert "expected a number above 0" in the_problem(f"hours = {'9' * 900}\n{STREET}")[1]


def test_a_file_that_is_too_large_or_no_text_or_not_there_is_told(tmp_path):
    large, latin, folder = tmp_path / "large.toml", tmp_path / "latin.toml", tmp_path / "folder.toml"
    large.write_text("#" * FILE_BYTES_MAX + "\n")
    latin.write_bytes(b"hours = 1\n# caf\xe9\n")
    folder.mkdir()
    for path, words in (
        (large, "the file is too large"),
        (latin, "latin.toml, line 2: the text is not UTF-8"),
        (folder, "no such file"),
        (tmp_path / "none.toml", "no such file"),
    ):
        with pytest.raises(ScenarioError) as caught:
            read(path)
        assert words in str(caught.value)


def test_a_byte_order_mark_and_line_ends_of_windows_are_read(tmp_path):
    path = tmp_path / "ours.toml"
    path.write_bytes(b"\xef\xbb\xbf" + f"hours = 2\n{STREET}".replace("\n", "\r\n").encode())
    assert read(path).scenario.hours == 2.0
    path.write_bytes(path.read_bytes() + b"spacing = 4\r\n")
    with pytest.raises(ScenarioError) as caught:
        read(path)
    assert caught.value.problems[0].line == 5


def test_blocked_pairs_are_meant_by_names_and_patterns():
    text = f"{STREET}[[places.blocked]]\nbetween = ['house 1', 'house *']\nloss_db = 9\n"
    assert parse(text, name="ours").scenario.blocked == tuple(
        BlockedPair("house 1", f"house {number}", 9.0) for number in (2, 3, 4)
    )


def test_a_place_can_be_added_to_a_shape_and_a_map_be_put_on_the_earth():
    mast = "[[places.extra]]\nname = 'mast'\nlatitude = -1.29\nlongitude = 36.83\n"
    text = f"{STREET}latitude = -1.29\nlongitude = 36.82\n{mast}"
    places = parse(text, name="ours").scenario.places
    assert places[-1].name == "mast"
    assert not places[-1].is_house
    assert places[-1].x_m == pytest.approx(1111.7, abs=1)
    assert places[0].latitude == pytest.approx(-1.29, abs=0.001)


def test_terrain_needs_degrees(tmp_path):
    (tmp_path / "tiles").mkdir()
    assert "a map without degrees" in the_problem(f"terrain = 'tiles'\n{STREET}", folder=tmp_path)[1]
    text = f"terrain = 'tiles'\n{STREET}latitude = 1\nlongitude = 1\n"
    assert parse(text, name="ours", folder=tmp_path).scenario.terrain == str(tmp_path / "tiles")


@pytest.mark.parametrize("name", names())
def test_a_scenario_that_ships_is_read_and_explained(name):
    scenario = load_scenario(name)
    assert scenario.name == name
    assert scenario.title == shipped()[name]
    assert scenario.devices
    keys = set(re.findall(r"^(\w+) = ", shipped_text(name), re.MULTILINE)) - {"title", "about"}
    explained = set(re.findall(r"^(\w+) = .*# \w", shipped_text(name), re.MULTILINE))
    assert keys <= explained


def test_the_named_scenarios_ship():
    wanted = "street apartment-block village-40 hill-relay two-valleys festival-1000 solar-week blackout"
    assert set(wanted.split()) <= set(names())
    assert len(load_scenario("festival-1000").places) == 1000
    assert load_scenario("solar-week").hours == 168
    assert load_scenario("blackout").people.emergencies
    village = load_scenario("village-40")
    assert (len(village.places), sum(device.count for device in village.devices)) == (40, 8)


def test_a_file_goes_before_a_name_when_it_ends_in_toml_or_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(load_scenario("street").places) == 12
    (tmp_path / "street.toml").write_text(STREET)
    assert len(load_scenario("street.toml").places) == 4
    assert len(load_scenario("street").places) == 12
    (tmp_path / "street").write_text(STREET)
    assert len(load_scenario("street").places) == 4
    with pytest.raises(LocalError, match="no scenario and no file"):
        load("strasse")


def test_a_new_file_is_a_copy_and_never_replaces_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_new("ours", "blackout")
    assert path.name == "ours.toml"
    assert load_scenario("ours.toml").places == load_scenario("blackout").places
    for name, model, words in (
        ("ours", "street", "a file ours.toml already"),
        ("no/folder", "street", "can't be written"),
        ("x", "streeet", 'erhaps "street" is meant'),
        ("a\0b", "street", "can't be written"),
    ):
        with pytest.raises(LocalError) as caught:
            write_new(name, model)
        assert words in str(caught.value)


def test_the_keys_of_a_shape_are_the_parameters_of_its_function():
    assert SHAPE_KEYS.keys() == SHAPES.keys()
    for name, shape in SHAPES.items():
        parameters = inspect.signature(shape).parameters
        assert SHAPE_KEYS[name].keys() == parameters.keys() - {"rng"}
        for key, kind in SHAPE_KEYS[name].items():
            if key != "columns":  # 0 stands for as wide as long
                assert kind.take(parameters[key].default) == parameters[key].default


def test_each_key_is_found_on_its_line():
    text = (
        'a = 1\n"b c".d = [ # one\n  1,\n  { e = """\n# no = comment\n""", f = 3 },\n]\n'
        "[t.u]\nx = 'a # b'\n[[list]]\nk = 1\n[[list]]\n[list.sub]\nk = 2\n[[list.deep]]\n[[list.deep]]\n"
        "z = { y = { w = 1 } }\n"
    )
    lines = Lines(text)
    for path, line in {
        ("a",): 1,
        ("b c", "d"): 2,
        ("b c", "d", 0): 3,
        ("b c", "d", 1): 4,
        ("b c", "d", 1, "e"): 4,
        ("b c", "d", 1, "f"): 6,
        ("t", "u", "x"): 9,
        ("list", 0, "k"): 11,
        ("list", 1): 12,
        ("list", 1, "sub", "k"): 14,
        ("list", 1, "deep", 1, "z", "y", "w"): 17,
        ("list", 1, "nothing"): 12,
        ("nothing",): 1,
    }.items():
        assert lines.of(path) == line, path


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_damaged_file_is_read_or_told_and_nothing_else(seed):
    rng = Random(seed)
    name = rng.choice(names())
    text = list(shipped_text(name))
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(text))
        match rng.randrange(3):
            case 0:
                text[at] = rng.choice("[]{}=\"'#.,\n-9ax ")
            case 1:
                del text[at : at + rng.randint(1, 20)]
            case _:
                text[at:at] = rng.choice(["[[", "]]", "= 1\n", "-", "1e9", "\n", "nan", "'''", "[x]\n", "\0"])
    with suppress(ScenarioError):
        parse("".join(text), name=name)


@settings(max_examples=150, deadline=None)
@given(
    form=st.recursive(
        st.one_of(st.integers(), st.booleans(), st.text(max_size=5)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.text('abé ."', max_size=3), inner, max_size=3)
        ),
        max_leaves=10,
    )
)
def test_lines_are_found_in_any_toml(form):
    text = f"[t]\nfirst = 1\nvalue = {_toml(form)}\nlast = 2\n"
    assert tomllib.loads(text)["t"]["last"] == 2
    lines = Lines(text)
    assert (lines.of(("t", "value")), lines.of(("t", "last"))) == (3, 4)


def _toml(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_quoted(key)} = {_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text):
    return '"' + "".join(f"\\U{ord(character):08x}" for character in text) + '"'
