"""What a node takes of a small device: memory, time to be ready, time for `--help`.

A node without a model holds a virtual radio over TCP, as it would a real one; memory is the summed PSS of its
processes (Linux `/proc/PID/smaps_rollup`), the radio's own process not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

MEGABYTE = 1024  # smaps_rollup counts in KiB


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def descendants(pid: int) -> list[int]:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def pss_mb(pid: int) -> float:
    total = 0
    for one in descendants(pid):
        for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / MEGABYTE


class Command:
    """A meshai command that prints JSON lines, ended with the block."""

    def __init__(self, *arguments: str) -> None:
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "meshai", *arguments, "--json", "--leave-with-stdin"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=20)

    def until(self, *keys: str) -> dict:
        """Read lines until one holds each of `keys`; returns that of the last key."""
        waiting = set(keys)
        line: dict = {}
        while waiting:
            line = json.loads(self.process.stdout.readline())
            waiting -= {key for key in keys if key in line or line.get("fact") == key}
        return line


def node(stack: ExitStack, folder: str, name: str, model: str) -> tuple[Command, float]:
    """Start radio and node; returns the node and the seconds until it was ready, radio connected."""
    radios = stack.enter_context(Command("sim", "radios", "--nodes", "1", "--preset", "SHORT_FAST"))
    port = radios.until("radio")["port"]
    up = stack.enter_context(
        Command(
            "up", "--name", name, "--radio", f"tcp:127.0.0.1:{port}", "--model", model, "--state", f"{folder}/{name}"
        )
    )
    up.until("ready", "radio.up")
    return up, time.perf_counter() - up.started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer runs, 5 s instead of 60 s before memory is read")
    quick = parser.parse_args().quick
    settle_s, runs = (5, 3) if quick else (60, 10)

    tell(f"--help, {runs} times")
    helps = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "meshai", "--help"], stdout=subprocess.DEVNULL, check=True)
        helps.append(time.perf_counter() - started)

    bare = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        bare.append(time.perf_counter() - started)

    with tempfile.TemporaryDirectory(prefix="meshai-") as folder:
        ready = []
        for run in range(runs):
            with ExitStack() as stack:
                tell(f"start of a node without a model, {run + 1} of {runs}")
                ready.append(node(stack, folder, f"n{run}", "none")[1])
        with ExitStack() as stack:
            tell(f"a node without a model, {settle_s} s")
            up, _ = node(stack, folder, "bare", "none")
            time.sleep(settle_s)
            node_mb = pss_mb(up.process.pid)
        with ExitStack() as stack:
            tell(f"a node with a model, {settle_s} s")
            model = os.environ.get("MESHAI_MODEL_FILE", "smollm2-135m")
            up, model_ready_s = node(stack, folder, "model", model)
            time.sleep(settle_s)
            node_with_model_mb = pss_mb(up.process.pid)

    figures = {
        "node_mb": round(node_mb, 1),
        "ready_s": round(statistics.median(ready), 3),
        "help_s": round(statistics.median(helps), 3),
        "node_with_model_mb": round(node_with_model_mb, 1),
        "model_ready_s": round(model_ready_s, 3),
    }
    peer = {"bare_python_s": round(statistics.median(bare), 3)}
    settings = {"runs": runs, "settle_s": settle_s, "model": "smollm2-135m", "python": sys.version.split()[0]}
    print(json.dumps({"figures": figures, "peer": peer, "settings": settings}))


if __name__ == "__main__":
    main()
