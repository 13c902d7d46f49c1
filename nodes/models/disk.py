"""Writing files so that a full disk, a crash or a second meshai never costs what was there before.

Knows nothing of models. Every OSError that a user can do something about leaves here as a LocalError.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from protocol.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from pathlib import Path

__all__ = [
    "SPARE_BYTES",
    "disk_error",
    "exclusive",
    "free_bytes",
    "make_folder",
    "move_durably",
    "require_space",
    "size_text",
    "write_durably",
]

SPARE_BYTES = 64_000_000
"""Room left free on purpose: a device whose disk is filled to the last byte stops working altogether."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def size_text(count: float) -> str:
    """Return a number of bytes for people, in decimal units as shops sell them: `98 MB`, `5.0 GB`."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}" if count < 10 * size else f"{count / size:.0f} {unit}"
    return f"{count:.0f} bytes"


def disk_error(path: Path, error: OSError, fix: str = "") -> LocalError:
    """Turn an OSError met at `path` into what happened, why and what to do."""
    if error.errno in _FULL:
        return LocalError(
            f"The disk is full at {path.parent}",
            error.strerror or "",
            fix or "Free some room, or set MESHAI_HOME to a folder on a larger disk, and run the same command again",
        )
    if error.errno in _FORBIDDEN:
        return LocalError(
            f"{path} can't be used",
            error.strerror or "",
            fix or "Give yourself the right to it, or set MESHAI_HOME to a folder of your own",
        )
    return LocalError(f"{path} can't be used", error.strerror or str(error), fix)


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents. Raises LocalError when the system refuses."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(folder, error) from error


def free_bytes(folder: Path) -> int:
    """Return the room on the disk that holds `folder`, which must exist."""
    return shutil.disk_usage(folder).free


def require_space(folder: Path, needed_bytes: int, purpose: str) -> None:
    """Raise LocalError unless the disk of `folder` has room for `needed_bytes` and the spare room beyond."""
    free = free_bytes(folder)
    if needed_bytes + SPARE_BYTES <= free:
        return
    raise LocalError(
        f"Too little room for {purpose}",
        f"it takes {size_text(needed_bytes)} more and {size_text(SPARE_BYTES)} must stay free, "
        f"and {folder} has {size_text(free)}",
        f"Free {size_text(needed_bytes + SPARE_BYTES - free)}, or set MESHAI_HOME to a folder on a larger disk",
    )


@contextmanager
def exclusive(path: Path, busy: LocalError | None = None) -> Iterator[FileIO]:
    """Open `path` for reading and writing, creating it, and hold its lock against other processes.

    With `busy` it is raised when somebody else holds the lock; without, we wait, so only for locks held briefly.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise disk_error(path, error) from error
    with os.fdopen(handle, "r+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            if busy is None:
                raise disk_error(path, error) from error
            raise busy from None
        yield file


def move_durably(source: Path, target: Path) -> None:
    """Rename `source` over `target` in the same folder, so that after a power cut one of the two is there, whole."""
    try:
        with source.open("rb") as file:
            os.fsync(file.fileno())
        source.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise disk_error(target, error) from error


def write_durably(path: Path, data: bytes) -> None:
    """Replace the file at `path` by `data` at once: a reader, or a power cut, sees the old bytes or the new.

    The caller keeps other writers out.
    """
    new = path.with_name(f"{path.name}.new")
    try:
        with new.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise disk_error(path, error) from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
