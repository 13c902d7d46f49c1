"""`meshai sim list`, `new` and `check` as a person and as a program see them."""

import json

import pytest
from click.testing import CliRunner

from meshai.commands.sim import command


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def said(*arguments, code=0):
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == code, (result.output, result.exception)
    return result


def test_the_help_names_every_command():
    shown = said("--help").stdout
    for name in ("list", "new", "check", "radios"):
        assert said(name, "--help").stdout
        assert f"  {name} " in shown


def test_the_list_names_the_scenarios_with_their_titles():
    shown = said("list").stdout
    assert "village-40" in shown
    assert "A street of twelve houses" in shown
    scenarios = json.loads(said("list", "--json").stdout)["scenarios"]
    assert {"name", "title", "houses", "hours", "devices"} <= scenarios[0].keys()
    assert [each["houses"] for each in scenarios if each["name"] == "festival-1000"] == [1000]


def test_a_new_file_can_be_checked_and_is_never_overwritten(here):
    assert "meshai sim check ours.toml" in said("new", "ours", "--from", "blackout").stdout
    (here / "ours.toml").write_text((here / "ours.toml").read_text() + "# mine\n")
    assert "There is a file ours.toml already" in said("new", "ours", code=1).stderr
    assert (here / "ours.toml").read_text().endswith("# mine\n")
    assert json.loads(said("new", "two", "--json").stdout) == {"file": "two.toml", "from": "street"}
    shown = said("check", "ours.toml").stdout
    for words in (
        "36 houses, 2 relays",
        "MEDIUM_FAST, EU_868",
        "laptop in 4 places",
        "1 emergency",
        "6 hours from 17:00",
    ):
        assert words in shown
    form = json.loads(said("check", "ours.toml", "--json").stdout)
    assert form["ok"]
    assert form["devices"][0] == {"name": "gaming PC", "count": 2, "model": "qwen3-8b"}


def test_mistakes_are_told_with_their_lines_and_exit_with_1(here):
    (here / "bad.toml").write_text("hours = -1\n[places]\nshape = 'line'\n[radio]\npreset = 'LONGFAST'\n")
    told = said("check", "bad.toml", code=1).stderr
    assert "bad.toml, line 1: hours is -1; expected a number above 0" in told
    assert 'bad.toml, line 5: preset in [radio] is "LONGFAST"; perhaps "LONG_FAST" is meant' in told
    form = json.loads(said("check", "bad.toml", "--json", code=1).stdout)
    assert not form["ok"]
    assert [problem["line"] for problem in form["problems"]] == [1, 5]
    assert form["problems"][0]["found"] == "hours is -1"


def test_a_file_that_is_not_there_is_told():
    assert "there is no such file" in said("check", "nothing.toml", code=1).stderr
    assert "no scenario and no file" in said("check", "nothing", code=1).stderr
    assert json.loads(said("check", "nothing", "--json", code=1).stdout)["error"]


def test_what_could_rewrite_a_terminal_is_not_shown(here):
    (here / "odd.toml").write_text('title = "\\u001b[2Jnice"\n"\\u001b[2J" = 1\n[places]\nshape = "line"\n')
    assert "\x1b" not in said("check", "odd.toml", code=1).stderr
    (here / "odd.toml").write_text('title = "\\u001b[2Jnice"\n[places]\nshape = "line"\n')
    assert "\x1b" not in said("check", "odd.toml").stdout
