"""`meshai sim sweep` and `compare` as a person meets them: real processes, Ctrl-C, and going on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from meshai.commands.sim import compare, sweep
from simulator.runsfile import RunsFile
from simulator.scenario.reading import load_scenario
from simulator.sweep import Job, row, run_job
from simulator.variations import axes_from, variations

pytestmark = pytest.mark.realtime

SCENARIO = """
title = "Four houses"
hours = {hours}
start = "18:00"
[places]
shape = "line"
houses = 4
spacing_m = 200
[[devices]]
name = "laptop"
count = {count}
[people]
questions_per_day = 600
patience_s = 60
answer_chars = 60
"""
VARY = ("--vary", "hop_limit=0,3", "--vary", "preset=MEDIUM_FAST")
SWEEP = [sys.executable, "-c", "from meshai.commands.sim.sweep import command; command()"]
TIMEOUT_S = 180


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with scenarios in it."""
    monkeypatch.chdir(tmp_path)
    for name, hours, count in (("tiny", 0.05, 1), ("longer", 0.2, 1), ("richer", 0.05, 3)):
        (tmp_path / f"{name}.toml").write_text(SCENARIO.format(hours=hours, count=count))
    return tmp_path


def expected(scenario: str, seeds: int) -> list[dict]:
    """What a sweep must tell of each combination, run here one after the other."""
    base = load_scenario(scenario)
    forms = []
    for number, each in enumerate(variations(base, axes_from(base, VARY[1::2]))):
        made = row(run_job(Job(number, seed, each.scenario)) for seed in range(1, seeds + 1))
        figures = {name: found.form() if found else None for name, found in made.figures.items()}
        forms.append({"vary": dict(each.changes), "asked": made.asked, "answered": made.answered, **figures})
    return forms


def session(leader: int) -> list[str]:
    """Processes that are alive in the session of that leader."""
    told = subprocess.run(
        ["ps", "-o", "stat=,args=", "-s", str(leader)], capture_output=True, text=True, check=False
    ).stdout
    return [line for line in told.splitlines() if line.strip() and not line.startswith("Z")]


def test_ctrl_c_keeps_the_finished_runs_leaves_nothing_running_and_the_sweep_goes_on(folder):
    arguments = ["longer.toml", *VARY, "--seeds", "3", "--json"]
    running = subprocess.Popen(
        [*SWEEP, *arguments, "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    file = folder / "longer-sweep.jsonl"
    try:
        ends_s = time.monotonic() + TIMEOUT_S
        while not file.exists() or file.read_bytes().count(b"\n") < 3:
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < ends_s, "no run was finished"
            time.sleep(0.02)
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to all of them
        out, err = running.communicate(timeout=TIMEOUT_S)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 130, err
    assert (out, session(running.pid)) == ("", [])
    assert "Traceback" not in err, err
    assert not list(folder.glob("meshai-sweep-*"))
    kept = file.read_bytes().count(b"\n") - 1
    assert 2 <= kept < 6, err
    assert f"{kept} of 6 runs are kept in longer-sweep.jsonl" in err
    assert "meshai sim sweep longer.toml --vary hop_limit=0,3" in err
    assert err.rstrip().endswith("--resume longer-sweep.jsonl")

    file.write_bytes(file.read_bytes()[:-20])  # as if the power had failed while it was written
    done = subprocess.run(
        [*SWEEP, *arguments, "--workers", "1", "--resume", file.name, "--plot", "out.svg"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{kept - 1} of 6 runs are there already" in done.stderr
    assert file.read_bytes().count(b"\n") == 7
    told = json.loads(done.stdout)
    assert (told["scenario"], told["seeds"], told["first_seed"]) == ("longer", 3, 1)
    assert [{**form, "violated_seeds": []} for form in expected("longer.toml", 3)] == told["combinations"]
    assert (folder / "out.svg").read_text().startswith("<svg")


def test_a_sweep_that_is_whole_is_shown_again_without_a_run(folder):
    base = load_scenario("tiny.toml")
    with RunsFile.begun(folder, base, ()) as kept:
        for seed in (1, 2, 3):
            kept.keep(run_job(Job(0, seed, base)))
    arguments = ["tiny.toml", "--seeds", "2", "--first-seed", "2", "--resume", "tiny-sweep.jsonl"]
    shown = CliRunner().invoke(sweep.command, [*arguments, "--plot", "out.html"])
    assert shown.exit_code == 0, shown.output
    assert "Four houses, 2 seeds each" in shown.stdout
    assert "<svg" in (folder / "out.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["tiny.toml", "--vary", "presset=LONG_FAST"], 'Perhaps "preset" is meant'),
        (["tiny.toml", "--vary", "hop_limit=9"], "Expected a whole number from 0 to 7"),
        (["tiny.toml", "--plot", "out.png"], "end in .svg or .html"),
        (["tiny.toml", "--plot", "nowhere/out.svg"], "no folder"),
        (["tiny.toml", "--resume", "nowhere.jsonl"], "No such file"),
        (["tiny.toml", "--resume", "tiny.toml"], "damaged"),
        (["hamlet"], "hamlet"),
        (["tiny.toml", "--scheduler", "nowhere"], "No scheduler of Dask's answers at nowhere"),
    ],
)
def test_what_can_not_be_is_told_before_anything_runs(folder, arguments, told):
    done = CliRunner().invoke(sweep.command, arguments)
    assert done.exit_code == 1
    assert told in done.stderr
    assert not list(folder.glob("*.jsonl"))


def test_without_dask_the_sweep_says_what_to_install(folder):
    code = "import sys; sys.modules['distributed'] = None; from meshai.commands.sim.sweep import command; command()"
    done = subprocess.run(
        [sys.executable, "-c", code, "tiny.toml"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 1
    assert "pip install 'meshai-grid[sweep]'" in done.stderr
    assert not list(folder.glob("*.jsonl"))


def test_only_a_sweep_that_runs_imports_dask():
    code = (
        "import sys, simulator.spreading, simulator.runsfile, meshai.commands.sim.sweep, meshai.commands.sim.compare;"
        "sys.exit({'dask', 'distributed', 'rich'} & set(sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_two_scenarios_are_compared_side_by_side(folder):
    arguments = ["tiny.toml", "richer.toml", "--seeds", "3", "--workers", "1"]
    done = CliRunner().invoke(compare.command, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [one["scenario"] for one in told["scenarios"]] == ["tiny", "richer"]
    first, second = (one["seconds_p50"]["mean"] for one in told["scenarios"])
    assert told["differences"]["seconds_p50"]["mean"] == pytest.approx(second - first, abs=0.002)
    shown = CliRunner().invoke(compare.command, ["tiny.toml", "tiny.toml", "--seeds", "2", "--workers", "1"])
    assert shown.exit_code == 0, shown.output
    assert "+0.0" in shown.stdout
    assert " yes" not in shown.stdout
