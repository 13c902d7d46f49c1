"""`meshai sim plan` as a planner and as a program see it."""

import json

import pytest
from click.testing import CliRunner

from meshai.commands.sim.plan import command
from simulator.scenario.reading import load

HEAD = "name,latitude,longitude\n"
WEST = "".join(f"west {index},{47.5 + index / 5000:.4f},8.5\n" for index in range(3))
EAST = "".join(f"east {index},{47.5 + index / 5000:.4f},8.564\n" for index in range(3))
"""4.8 km to the east."""
TWO_GROUPS = HEAD + WEST + EAST


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def said(*arguments, code=0):
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == code, (result.output, result.exception)
    return result


def plan_of(*arguments):
    return json.loads(said(*arguments, "--json").stdout)


def test_a_plan_tells_what_to_buy_where_to_put_it_and_whether_it_works(here):
    (here / "houses.csv").write_text(TWO_GROUPS + "island,47.9,8.5\n")
    tried = ("--seeds", "1", "--hours", "0.3", "--workers", "1", "--questions-per-day", "300", "--models", "1")
    prices = ("--radio-price", "25", "--relay-price", "60")
    result = said("houses.csv", "--antenna-m", "3", *tried, *prices, "--out", "plan.toml", "--report", "report.html")
    for words in (
        "% of the questions were answered",
        "6 radios for as many houses",
        "1 relay: a radio, battery and panel, and a mast each",
        "Radios and relays cost 210.00 together.",
        "relay 1: 47.",
        " km ",
        "hop limit 3",
        "role ROUTER, rebroadcast mode ALL",
        "island: the nearest house that takes part is",
        "91 times of 100",
        "3 houses depend on the radio at relay 1 alone",
    ):
        assert words in result.stdout, words
    assert "Hills and walls are unknown" in result.stderr
    scenario = load("plan.toml").scenario
    assert [place.name for place in scenario.places if not place.is_house] == ["relay 1"]
    assert (scenario.hours, scenario.start_hour, scenario.people.questions_per_day) == (0.3, 18.0, 300.0)
    assert "<html" in (here / "report.html").read_text()


def test_as_json_the_same_map_gives_the_same_plan_and_the_file_repeats_its_runs(here):
    (here / "houses.csv").write_text(TWO_GROUPS)
    tried = (
        "--questions-per-day",
        "800",
        "--antenna-m",
        "3",
        "--seeds",
        "2",
        "--hours",
        "0.1",
        "--workers",
        "1",
        "--models",
        "2",
    )
    first, second = plan_of("houses.csv", *tried), plan_of("houses.csv", *tried)
    assert first == second
    assert first["buy"] == {"house_radios": 6, "relay_radios": 1, "masts_on_roofs": 0, "models": 2, "price": None}
    (relay,) = first["relays"]
    assert 8.515 < relay["longitude"] < 8.55
    assert relay["role"] == "ROUTER"
    assert first["tried"]["seeds"] == [1, 2]
    assert first["tried"]["violations"] == 0
    share = first["tried"]["answered_percent"]
    assert share["low"] <= share["mean"] <= share["high"]
    assert first["tried"]["asked"] >= first["tried"]["answered"] > 0


def test_without_runs_it_only_plans_and_metres_stay_metres(here):
    rows = "".join(f"h{index},{index * 4800 // 5},0\n" for index in (0, 5))
    (here / "houses.csv").write_text(f"name,x_m,y_m\n{rows}")
    shown = said("houses.csv", "--antenna-m", "3", "--seeds", "0").stdout
    assert "Will it work?" not in shown
    assert "m east, " in shown
    form = plan_of("houses.csv", "--antenna-m", "3", "--seeds", "0")
    assert form["relays"][0]["latitude"] is None
    assert form["tried"]["answered_percent"] is None


def test_higher_roofs_instead_of_relays_are_told_as_such(here):
    (here / "houses.csv").write_text("name,x_m,y_m\none,0,0\ntwo,2200,0\n")
    form = plan_of("houses.csv", "--seeds", "0")
    assert (form["buy"]["masts_on_roofs"], form["buy"]["relay_radios"]) == (1, 0)
    assert (
        "on the roof of one, 0 m east, 0 m north of the map's origin; antenna at 8 m"
        in said("houses.csv", "--seeds", "0").stdout
    )


def test_hostile_names_do_no_harm(here):
    (here / "houses.csv").write_text('name,x_m,y_m\n"a""b\\n",0,0\n"# = 1",30,0\n')
    said("houses.csv", "--seeds", "0", "--out", "plan.toml")
    assert [place.name for place in load("plan.toml").scenario.places] == ['a"b\\n', "# = 1"]


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        (HEAD + "one,47.5,8.5\n", (), "The map has one house"),
        (HEAD, (), "The map has no house"),
        (HEAD + "one,47.5,8.5\none,47.5,8.51\n", (), 'Two places are called "one"'),
        (HEAD + "one,47.5,8.5\ntwo,47.5,9.9\n", (), "No two houses can be joined"),
        (HEAD + "one,97.5,8.5\n", (), "houses.csv, line 2"),
        (TWO_GROUPS, ("--preset", "FAST"), "Unknown preset 'FAST'"),
        (TWO_GROUPS, ("--region", "MARS"), "Unknown region 'MARS'"),
        (TWO_GROUPS, ("--path-loss", "sea"), "Unknown path loss 'sea'"),
        (TWO_GROUPS, ("--power-dbm", "36"), "36 dBm are too many"),
        (TWO_GROUPS, ("--terrain", "nowhere"), "Can't read the terrain folder"),
        (TWO_GROUPS, ("--out", "plan.txt"), "scenario files end in .toml"),
        (TWO_GROUPS, ("--out", "there.toml"), "There is a file there.toml already"),
        (TWO_GROUPS, ("--out", "no/plan.toml"), "There is no folder no"),
        (TWO_GROUPS, ("--report", "page.html"), "nothing to report"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_runs(here, text, options, words):
    (here / "houses.csv").write_text(text)
    (here / "there.toml").write_text("mine")
    assert words in said("houses.csv", "--seeds", "0", *options, code=1).stderr
    assert (here / "there.toml").read_text() == "mine"


def test_a_map_that_is_not_there_is_told():
    assert "houses.csv: there is no such file" in said("houses.csv", code=1).stderr
