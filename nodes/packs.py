"""The text packs on this device: finds, checks and maps them, so that a node reads only the pages that it uses.

Packs that come with meshai must have the bytes their number stands for; each is hashed once, and again only when its
file changes. A community's own lie in the `packs` folder of this device. Knows nothing of how packs work.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from nodes.config import data_dir
from protocol.errors import LocalError
from protocol.text import LOCAL_IDS, REGISTERED, Loop, Pack, TextCoder, coder

__all__ = ["PackFile", "load_packs", "pack_files", "packs_dir", "shipped_dir", "text_coder"]

_CHECKED: Final = "checked.json"


@dataclass(frozen=True, slots=True)
class PackFile:
    """A pack's file on this device."""

    number: int
    name: str
    title: str
    path: Path
    size_bytes: int
    sha256: str
    """What its bytes must hash to; empty for a community's own."""


def shipped_dir() -> Path:
    """The folder of the packs that come with meshai."""
    return Path(str(files("protocol.text") / "packs"))


def packs_dir() -> Path:
    """The folder of packs made on this device or brought to it."""
    return data_dir() / "packs"


def pack_files() -> list[PackFile]:
    """Every pack on this device, by number. A community's own are named NUMBER-NAME.pack, with a number from 48 on."""
    found = []
    for pack in REGISTERED.values():
        path = shipped_dir() / f"{pack.name}.pack"
        if path.exists():
            found.append(PackFile(pack.number, pack.name, pack.title, path, path.stat().st_size, pack.sha256))
    for path in sorted(packs_dir().glob("*-*.pack")):
        number, _, name = path.stem.partition("-")
        if number.isdecimal() and int(number) in LOCAL_IDS:
            found.append(PackFile(int(number), name, "made by this community", path, path.stat().st_size, ""))
    return found


@cache
def load_packs() -> Mapping[int, Pack]:
    """Map every pack on this device, by number.

    Raises LocalError where a file is no pack, or not the one that its number stands for.
    """
    packs = {}
    checked = _Checked()
    for file in pack_files():
        if file.sha256 and not checked.holds(file):
            raise LocalError(
                f"the text pack {file.name!r} can't be used",
                f"{file.path} isn't the pack that its number stands for",
                "install meshai anew",
            )
        try:
            packs[file.number] = Pack(memoryview(_mapped(file.path)))
        except (LocalError, OSError, ValueError) as error:
            why = error.why if isinstance(error, LocalError) else str(error)
            raise LocalError(
                f"{file.path} can't be used as a text pack",
                why,
                "remove it, or train it anew with `meshai packs train`",
            ) from error
    return packs


@cache
def text_coder() -> TextCoder:
    """The coder with every pack on this device, shared by all that runs here.

    Compiled where `meshai packs train` left a compiled loop behind, else plain Python: the bytes are the same.
    """
    from nodes.text_loop import compiled_loop

    return TextCoder(load_packs(), loop=_Releasing(compiled_loop(build=False) or coder))


class _Releasing:
    """Gives the pages of the packs back after each text: else a node would grow by all the packs it ever used."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def encode(self, pack: Pack, text: bytes, *, about: bytes = b"", bytes_max: int) -> bytes | None:
        try:
            return self._loop.encode(pack, text, about=about, bytes_max=bytes_max)
        finally:
            _release()

    def decode(self, pack: Pack, data: bytes, *, about: bytes = b"", bytes_max: int) -> bytes:
        try:
            return self._loop.decode(pack, data, about=about, bytes_max=bytes_max)
        finally:
            _release()


class _Checked:
    """Which files were hashed before, by what the file system says of them."""

    def __init__(self) -> None:
        self._path = packs_dir() / _CHECKED
        try:
            known = json.loads(self._path.read_text())
            self._known: dict[str, str] = known if isinstance(known, dict) else {}
        except (OSError, ValueError):
            self._known = {}

    def holds(self, file: PackFile) -> bool:
        """Whether `file` has the bytes that its number stands for."""
        seen = file.path.stat()
        key = f"{file.path}:{seen.st_ino}:{seen.st_size}:{seen.st_mtime_ns}"
        if self._known.get(key) == file.sha256:
            return True
        with file.path.open("rb") as content:
            if hashlib.file_digest(content, "sha256").hexdigest() != file.sha256:
                return False
        self._known = {known: sha for known, sha in self._known.items() if not known.startswith(f"{file.path}:")}
        self._known[key] = file.sha256
        # A device that can't keep this checks again at the next start.
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps(self._known))
        return True


_maps: list[mmap.mmap] = []


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        _maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    return _maps[-1]


def _release() -> None:
    if hasattr(mmap, "MADV_DONTNEED"):
        for mapped in _maps:
            mapped.madvise(mmap.MADV_DONTNEED)
