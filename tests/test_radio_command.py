"""`meshai radio` as a person meets it, with a radio that stands in for a board at a cable."""

import json
import signal
import subprocess
import sys

import pytest
import trio
from admin_radio import AdminRadio
from click.testing import CliRunner

from meshai import setup
from meshai.api import Mesh
from meshai.cli import main
from meshai.commands import radio as radio_command
from meshai.setup import NodeOptions, judgement_of
from nodes.bearers import attached, meshtastic_admin, supervised_port
from nodes.bearers.attached import AttachedRadio
from nodes.bearers.meshtastic_link import read_link
from protocol.errors import LocalError

pytestmark = pytest.mark.realtime


class Typed:
    """Somebody at the keyboard, who types these lines and then nothing more."""

    def __init__(self, *lines):
        self._lines = iter(lines)

    async def next(self, prompt=""):
        await trio.lowlevel.checkpoint()
        return next(self._lines, None)


@pytest.fixture
def board(monkeypatch, tmp_path):
    """A board out of the box; `meshai radio` finds it at every port."""
    board = AdminRadio()
    monkeypatch.setenv("MESHAI_HOME", str(tmp_path))
    monkeypatch.setattr(radio_command, "radio_port", lambda spec, trace: board.port(trace))
    monkeypatch.setattr(radio_command, "StdinLines", Typed)
    monkeypatch.setattr(supervised_port, "_PAUSE_S_MIN", 0.02)
    monkeypatch.setattr(meshtastic_admin, "_ANSWER_S", 0.5)
    monkeypatch.setattr(meshtastic_admin, "_RESTART_BEGINS_S", 0.5)
    return board


def meshai(*arguments, status=0):
    """What `meshai radio …` prints, on both streams."""
    done = CliRunner().invoke(main, ["radio", *arguments])
    assert done.exit_code == status, done.output
    return done.output


def test_setting_up_shows_what_it_would_do_and_does_it_when_told_yes(board, monkeypatch):
    monkeypatch.setattr(radio_command, "StdinLines", lambda: Typed("y"))
    board.number_after_region = 0x2000
    printed = meshai("setup", "--region", "eu_868")
    assert "Roof !00001000: firmware 2.7.15.567b8ea" in printed
    assert "region EU_868 instead of UNSET" in printed
    assert "channel 1: 'serial', with the key of its own" in printed
    assert "!00002000 is set up: EU_868 (European Union and neighbours)" in printed
    assert "▄▄▄▄▄" in printed
    assert "Next: meshai up --radio serial" in printed
    assert board.lora.region == 3
    assert judgement_of("serial", board.info()).silence == ""


@pytest.mark.parametrize("answers", [(), ("n",), ("",), ("yellow",)])
def test_without_a_yes_nothing_is_changed(board, monkeypatch, answers):
    monkeypatch.setattr(radio_command, "StdinLines", lambda: Typed(*answers))
    assert "stays as it is" in meshai("setup", "--region", "EU_868", status=1)
    assert all(order.startswith("get_") for order in board.orders)
    assert "was not set up" in judgement_of("serial", board.info()).silence or board.lora.region == 0


def test_the_region_is_asked_for_with_its_law(board, monkeypatch):
    monkeypatch.setattr(radio_command, "StdinLines", lambda: Typed("us"))
    printed = meshai("setup", "--yes")
    assert "869.4 to 869.65 MHz, 27 dBm, at most 10 % of any hour" in printed
    assert board.lora.region == 1


def test_with_nobody_to_ask_the_region_must_be_named(board):
    assert "--region" in meshai("setup", "--yes", status=1)
    assert board.restarts == 0


def test_json_tells_everything_once_and_needs_a_yes(board):
    refused = json.loads(meshai("setup", "--region", "US", "--json", status=1).splitlines()[0])
    assert refused["fix"].startswith("add --yes")
    told = json.loads(meshai("setup", "--region", "US", "--yes", "--json"))
    assert told["radio"]["number"] == "!00001000"
    assert told["channel"] == {"index": 1, "name": "serial", "public": False}
    (shared,) = read_link(told["link"])
    assert shared.key == board.channels[1].settings.psk


def test_setting_up_again_changes_nothing_and_prints_the_same_link(board):
    first = json.loads(meshai("setup", "--region", "US", "--yes", "--json"))
    again = json.loads(meshai("setup", "--json"))
    assert again["changes"] == []
    assert again["link"] == first["link"]
    assert board.restarts == 1


def test_a_neighbour_joins_with_the_link(board, monkeypatch):
    link = json.loads(meshai("setup", "--region", "US", "--yes", "--json"))["link"]
    neighbour = AdminRadio(0x2000)
    monkeypatch.setattr(radio_command, "radio_port", lambda spec, trace: neighbour.port(trace))
    told = json.loads(meshai("setup", "--region", "US", "--link", link, "--yes", "--json"))
    assert told["radio"]["number"] == "!00002000"
    assert neighbour.channels[1].settings.psk == board.channels[1].settings.psk


def test_what_needs_care_is_told_once_before_anything_is_written(board):
    board.firmware = "2.6.11.60ec05e"
    printed = meshai("setup", "--region", "US", "--yes")
    assert printed.count("older than 2.7.15") == 1
    assert printed.index("older than 2.7.15") < printed.index("Written")


def test_a_bad_link_is_told_before_the_radio_is_touched(board):
    assert "no Meshtastic channel link" in meshai("setup", "--link", "https://example.org/", status=1)
    assert board.orders == []


def test_the_public_channel_is_warned_about_and_has_no_link(board):
    printed = meshai("setup", "--region", "US", "--public-channel", "--yes")
    assert "Warning: messages go out on a public channel" in printed
    assert "https://meshtastic.org" not in printed
    judgement = judgement_of("serial", board.info())
    assert (judgement.silence, judgement.channel) == ("", 0)


def test_what_the_radio_does_not_keep_is_not_remembered(board):
    board.vanishes_at = "commit_edit_settings"
    assert "did not keep the settings" in meshai("setup", "--region", "US", "--yes", status=1)
    board.set_lora(region=1)
    assert "was not set up" in judgement_of("serial", board.info()).silence


def test_check_tells_what_needs_care_and_changes_nothing(board):
    board.firmware = "2.6.11.60ec05e"
    board.set_lora(region=3, hop_limit=7, config_ok_to_mqtt=True)
    printed = meshai("check", "--radio", "tcp:radio.local")
    for words in ("older than 2.7.15", "OK to MQTT", "hop limit is 7", "private key", "Listening only"):
        assert words in printed
    assert "meshai radio setup --radio tcp:radio.local" in printed
    assert board.orders == []
    told = json.loads(meshai("check", "--json"))
    assert told["radio"]["region"] == "EU_868"
    assert {finding["severity"] for finding in told["findings"]} == {"warning", "note"}
    assert "was not set up" in told["silence"]


def test_check_of_a_radio_that_was_set_up_is_content(board):
    meshai("setup", "--region", "US", "--yes")
    assert "meshai may send by this radio." in meshai("check")


def test_what_the_radio_says_of_itself_cannot_rewrite_the_terminal(board):
    board.firmware = "2.8\x1b[2J\n.0"
    board.set_channel(2, "a\x1b]0;b\x07", bytes(32))
    assert "\x1b" not in meshai("check")


def test_list_names_the_ports_that_look_like_radios(board, monkeypatch):
    monkeypatch.setattr(attached, "attached_radios", lambda: (AttachedRadio("/dev/ttyUSB0", "Silicon Labs CP210x"),))
    assert "meshai radio setup --radio serial:/dev/ttyUSB0" in meshai("list")
    assert json.loads(meshai("list", "--json")) == {"radios": [{"port": "/dev/ttyUSB0", "chip": "Silicon Labs CP210x"}]}
    monkeypatch.setattr(attached, "attached_radios", lambda: ())
    assert "No radio is plugged in" in meshai("list")


async def test_a_node_with_a_radio_that_was_not_set_up_sends_nothing_and_names_the_command(
    board, monkeypatch, tmp_path
):
    board.set_lora(region=3, tx_enabled=True)
    monkeypatch.setattr(setup, "radio_port", lambda spec, trace: board.port(trace))
    options = NodeOptions(name="n", radio="serial:/dev/ttyUSB0", model="none", state=tmp_path / "n")
    with trio.fail_after(20):
        async with Mesh.start(options) as mesh:
            with pytest.raises(LocalError, match=r"run `meshai radio setup --radio serial:/dev/ttyUSB0`"):
                await mesh.answer("Why?", deadline_s=2)
            assert "only listens" in (await mesh.status())["problems"][0]
    assert board.orders == []


def test_ctrl_c_while_it_asks_leaves_nothing_behind(tmp_path):
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from admin_radio import AdminRadio; from meshai.commands import radio\n"
        "from meshai.cli import main\n"
        "radio.radio_port = lambda spec, trace: AdminRadio().port(trace)\n"
        "main(['radio', 'setup', '--region', 'US'])"
    )
    environment = {"MESHAI_HOME": str(tmp_path), "PATH": ""}
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        while "channel 1" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 128 + signal.SIGINT
        assert "Traceback" not in process.stderr.read()
    assert not (tmp_path / "radios.json").exists()
