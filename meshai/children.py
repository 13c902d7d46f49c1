"""Other meshai commands run as processes of their own, as in life: started, read line by line, and surely ended."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from protocol.errors import LocalError

__all__ = ["Child", "child"]

_LINE_BYTES_MAX = 1 << 20
_STDERR_CHARS = 400
_GRACE_S = 5.0


class Child:
    """A running meshai command that prints JSON lines."""

    def __init__(self, name: str, process: trio.Process, log: Path, hear: Callable[[dict[str, Any]], None]) -> None:
        self._name = name
        self._process = process
        self._log = log
        self._hear = hear
        self._lines: list[dict[str, Any]] = []
        self._more = trio.lowlevel.ParkingLot()
        self._ended = False

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    async def line(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for a line that is `wanted`, past ones included; raises LocalError when the command ends before."""
        seen = 0
        while True:
            for form in self._lines[seen:]:
                seen += 1
                if wanted(form):
                    return form
            if self._ended:
                error = self._log.read_text(errors="replace").strip()[-_STDERR_CHARS:]
                raise LocalError(f"{self._name} stopped", error or f"exit code {self._process.returncode}")
            await self._more.park()

    async def read(self) -> None:
        """Read its lines until it closes its output."""
        rest = b""
        assert self._process.stdout is not None
        async for data in self._process.stdout:
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                form = json.loads(line)
                if "transmission" not in form:
                    self._lines.append(form)
                self._hear(form)
            if len(rest) > _LINE_BYTES_MAX:
                raise LocalError(f"{self._name} printed too long a line")
            self._more.unpark_all()
        await self._process.wait()
        self._ended = True
        self._more.unpark_all()


@asynccontextmanager
async def child(
    name: str, *arguments: str, folder: Path, hear: Callable[[dict[str, Any]], None] = lambda form: None
) -> AsyncIterator[Child]:
    """Run `meshai ARGUMENTS` while the block lasts; `hear` gets each line that it prints.

    It is asked to end with SIGTERM, killed after 5 s, and ends by itself when this process vanishes.
    """
    log = folder / f"{name}.log"
    command = [sys.executable, "-P", "-m", "meshai", *arguments, "--json", "--leave-with-stdin"]
    with log.open("wb") as errors:
        process = await trio.lowlevel.open_process(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
    running = Child(name, process, log, hear)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.read)
            yield running
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            if process.poll() is None:
                process.terminate()
                with trio.move_on_after(_GRACE_S):
                    await process.wait()
            if process.poll() is None:
                process.kill()
                await process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    await pipe.aclose()
