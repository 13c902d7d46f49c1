"""The file in which a sweep keeps its finished runs, so that one that was stopped can go on: one JSON object a line.

The first line says of which scenario and which variations they are; each other one is a run. A line is written when its
run is over; the last one may be cut short by a crash, and is then made again. Knows nothing of how runs are made.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from protocol.errors import LocalError
from simulator.scenario.plan import Scenario
from simulator.sweep import RunFigures
from simulator.variations import Axis

__all__ = ["RunsFile", "digest_of"]

_FORMAT = 1
_BYTES_MAX = 512 << 20
_LINE_BYTES_MAX = 64 << 10
_NAMES_MAX = 10_000


class RunsFile:
    """Runs that are kept; open it with `begun` or `resumed`, and use it as a context."""

    def __init__(self, path: Path, file: IO[bytes], runs: dict[tuple[int, int], RunFigures], *, is_new: bool) -> None:
        self.path = path
        self._is_new = is_new
        self._file = file
        self.runs = runs
        """Combination and seed -> what is kept of that run."""

    @classmethod
    def begun(cls, folder: Path, scenario: Scenario, axes: Sequence[Axis]) -> Self:
        """Begin a new file named after the scenario; never one that is there. Raises LocalError."""
        for number in range(1, _NAMES_MAX):
            path = folder / f"{scenario.name}-sweep{f'-{number}' if number > 1 else ''}.jsonl"
            try:
                file = path.open("xb", buffering=0)
            except FileExistsError:
                continue
            except (OSError, ValueError) as error:
                raise _unwritable(path, error) from None
            begun = cls(path, file, {}, is_new=True)
            begun._write(_header(scenario, axes))
            return begun
        raise LocalError(f"{folder} is full of sweeps of {scenario.name}", "", "move some of its files elsewhere")

    @classmethod
    def resumed(cls, path: Path, scenario: Scenario, axes: Sequence[Axis]) -> Self:
        """Go on with a file; raises LocalError when it can't be used, or holds runs of something else."""
        try:
            if path.stat().st_size > _BYTES_MAX:
                raise LocalError(f"{path} is too large", f"{_BYTES_MAX >> 20} MiB are the most")
            file = path.open("r+b", buffering=0)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise LocalError(f"{path} can't be used", why, "check the name and the folder") from None
        try:
            lines = _whole_lines(path, file)
            _compare(path, next(lines, None), _header(scenario, axes))
            runs = {}
            for number, form in enumerate(lines, 2):
                run = _run(path, number, form)
                runs[run.combination, run.seed] = run
        except BaseException:
            file.close()
            raise
        return cls(path, file, runs, is_new=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._is_new and not self.runs:  # nothing to go on from
            self.path.unlink(missing_ok=True)

    def keep(self, run: RunFigures) -> None:
        """Write down a run; raises LocalError when the disk takes no more."""
        self.runs[run.combination, run.seed] = run
        self._write(run.form())

    def _write(self, form: dict[str, Any]) -> None:
        line = json.dumps(form, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError as error:
            raise _unwritable(self.path, error) from None


def digest_of(scenario: Scenario) -> str:
    """The same for equal scenarios, in every process; of terrain, only the folder's name counts."""
    form = {**asdict(scenario), "terrain": Path(scenario.terrain).name}
    return hashlib.sha256(json.dumps(form, sort_keys=True).encode()).hexdigest()


def _header(scenario: Scenario, axes: Sequence[Axis]) -> dict[str, Any]:
    form = {
        "meshai_sweep": _FORMAT,
        "program": _version(),
        "scenario": scenario.name,
        "digest": digest_of(scenario),
        "vary": [{"key": axis.key, "values": axis.values} for axis in axes],
    }
    plain: dict[str, Any] = json.loads(json.dumps(form))
    return plain


def _version() -> str:
    try:
        return importlib.metadata.version("meshai-grid")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _compare(path: Path, found: Any, wanted: dict[str, Any]) -> None:
    """Raise LocalError unless the file is of this very sweep."""
    if not isinstance(found, dict) or found.get("meshai_sweep") != _FORMAT:
        raise LocalError(f"{path} is no file of runs", "its first line is something else", "name one that a sweep made")
    if found.get("digest") != wanted["digest"]:
        raise LocalError(
            f"{path} holds runs of another scenario",
            "its places, settings or people differ",
            "leave out --resume to begin a new file",
        )
    if found.get("vary") != wanted["vary"]:
        raise LocalError(
            f"{path} holds runs with other variations",
            f"they were {_vary_words(found.get('vary')) or 'none'}",
            "give the same --vary in the same order, or leave out --resume to begin a new file",
        )
    if found.get("program") != wanted["program"]:
        raise LocalError(
            f"{path} holds runs of another version of meshai",
            f"{str(found.get('program'))[:40]}, not {wanted['program']}: their figures can't be compared",
            "leave out --resume to begin a new file",
        )


def _vary_words(vary: Any) -> str:
    try:
        return ", ".join(f"{axis['key']}={','.join(map(str, axis['values']))}" for axis in vary)[:400]
    except (KeyError, TypeError):
        return ""


def _run(path: Path, number: int, form: Any) -> RunFigures:
    try:
        return RunFigures.from_form(form)
    except ValueError:
        raise _damaged(path, number) from None


def _whole_lines(path: Path, file: IO[bytes]) -> Iterator[Any]:
    """The lines as JSON; a last one that is cut short is taken off the file, which then ends where one may write."""
    end, number = 0, 0
    with path.open("rb") as reading:
        while line := reading.readline(_LINE_BYTES_MAX):
            number += 1
            if not line.endswith(b"\n"):
                if len(line) == _LINE_BYTES_MAX:
                    raise _damaged(path, number)
                break
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):
                raise _damaged(path, number) from None
            end += len(line)
    if end:
        file.truncate(end)
        file.seek(end)


def _damaged(path: Path, number: int) -> LocalError:
    return LocalError(f"line {number} of {path} is no run", "the file is damaged", "take that line out")


def _unwritable(path: Path, error: Exception) -> LocalError:
    why = getattr(error, "strerror", None) or str(error)
    return LocalError(f"{path} can't be written", why, "go to a folder that is yours, with room on its disk")
