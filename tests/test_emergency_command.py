"""`meshai emergency`, and what `meshai ask` and `up` say of emergencies, as a person meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.realtime


@pytest.fixture
def meshai(tmp_path):
    def run(*arguments):
        environment = {**os.environ, "MESHAI_HOME": str(tmp_path), "COLUMNS": "100"}
        command = [sys.executable, "-m", "meshai", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, env=environment, check=False, input=""
        )

    return run


def test_numbers_are_set_shown_and_told(meshai):
    shown = meshai("emergency", "show")
    assert "numbers   none" in shown.stdout
    assert "No local numbers are set" in shown.stderr
    set_ = ["set", "--number", "Ambulance 112", "--number", "Poison: Line 0800", "--person", "Amina, blue house"]
    assert meshai("emergency", *set_).returncode == 0
    assert meshai("emergency", "set", "--language", "en").returncode == 0, "what is not named stays"
    plan = json.loads(meshai("emergency", "show", "--json").stdout)
    assert (plan["language"], plan["numbers"], plan["people"]) == ("en", ["Ambulance 112"], ["Amina, blue house"])
    assert plan["kinds"] == {"poison": ["Line 0800"]}
    tried = meshai("emergency", "try", "she drank bleach").stdout
    assert "Call: Line 0800, Ambulance 112. Near: Amina, blue house." in tried
    assert json.loads(meshai("emergency", "try", "--json", "good morning").stdout)["notice"] is None


def test_a_frightened_question_is_answered_even_where_nobody_can(meshai):
    meshai("emergency", "set", "--number", "Ambulance 112")
    asked = meshai("ask", "my", "house", "is", "on", "fire")
    assert asked.returncode == 0
    assert asked.stdout.startswith("Emergency? Get people to help NOW. Call: Ambulance 112.")
    assert "The machine has no answer." in asked.stdout
    form = json.loads(meshai("ask", "--json", "my house is on fire").stdout)
    assert form["source"] == "fixed"
    assert form["text"].startswith(form["notice"])


def test_a_damaged_file_costs_the_numbers_and_not_the_answer(meshai, tmp_path):
    (tmp_path / "emergency.toml").write_text("numbers = [")
    assert "No local numbers are set here" in meshai("ask", "fire").stdout
    shown = meshai("emergency", "show")
    assert shown.returncode == 1
    assert "The emergency numbers can't be read" in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["emergency", "set", "--language", "tlh"], "No language 'tlh'"),
        (["emergency", "set", "--number", "x" * 70], "can't be told"),
        (["up", "--language", "tlh"], "No language 'tlh'"),
        (["up", "--block", "12"], "is no radio's number"),
        (["up", "--phones", "all"], "--phones"),
    ],
)
def test_what_can_not_be_meant_is_refused_in_a_sentence(meshai, arguments, words):
    done = meshai(*arguments)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr
