"""`meshai sim run`: a table for people, one JSON object for programs, a page, and an end that leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from meshai.cli import main

DIFFERS = {"wall_s", "cpu_s", "started", "machine"}
SHORT = ["sim", "run", "street", "--seed", "4", "--hours", "0.1"]


def run(*arguments):
    return CliRunner().invoke(main, [*SHORT, *arguments])


def test_it_tells_what_people_would_feel():
    told = run()
    assert told.exit_code == 0
    assert "A street of twelve houses" in told.output
    for word in ("answered", "half of them within", "air per answer", "busiest hour", "energy per answer"):
        assert word in told.output


def test_equal_runs_give_equal_json_but_for_time_and_machine():
    def forms(hash_seed):
        done = subprocess.run(
            [sys.executable, "-m", "meshai", *SHORT, "--json"],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    first, second = forms("1"), forms("2")
    assert first.keys() >= DIFFERS | {"seed", "scenario", "summary", "trace_hash"}
    assert first["seed"] == 4
    assert "seed" not in json.dumps(first["summary"])
    assert {key: first[key] for key in first.keys() - DIFFERS} == {key: second[key] for key in second.keys() - DIFFERS}


def test_a_report_is_one_page_that_loads_nothing_from_elsewhere(tmp_path):
    page = tmp_path / "out.html"
    told = run("--report", str(page))
    assert told.exit_code == 0
    assert str(page.name) in told.output.replace("\n", "")
    html = page.read_text()
    assert "Hills and walls unknown" in html
    assert "house 12" in html


@pytest.mark.parametrize("scenario", ["strete", "nowhere.toml"])
def test_an_unknown_scenario_is_told_in_one_sentence(scenario):
    told = CliRunner().invoke(main, ["sim", "run", scenario])
    assert told.exit_code == 1
    assert told.output.count("meshai:") == 1
    assert scenario in told.output


@pytest.mark.realtime
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_ends_at_once_and_leaves_nothing(number, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "meshai", "sim", "run", "blackout", "--report", str(tmp_path / "out.html")],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(tmp_path.glob("meshai-sim-*")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "Traceback" not in output + errors
    assert list(tmp_path.iterdir()) == []
