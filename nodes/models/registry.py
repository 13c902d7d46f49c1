"""The list of models that this device remembers, and the file that keeps it.

`models.json` in the models folder. It is replaced whole and at once, by one process at a time, and one that can't be
understood is never written over. Knows nothing of catalogues or networks and looks into no model.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nodes.models.describe import Description
from nodes.models.disk import exclusive, make_folder, write_durably
from protocol.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["REGISTRY", "Model", "change_registry", "read_registry"]

REGISTRY = "models.json"

_FORMAT = 1
_LOCK = ".models.lock"


@dataclass(frozen=True, slots=True)
class Model:
    """A model file on this device."""

    name: str
    path: Path
    source: str
    """Where it came from: `pypi:PROJECT`, `hf:OWNER/REPO/FILE`, a URL, or `here` for a file nobody fetched."""
    licence: str
    """As the catalogue or the file itself names it; empty when neither does."""
    size_bytes: int
    mtime_ns: int
    """Modification time; with the size it tells whether the file is still the one that was looked at."""
    sha256: str = ""
    """Digest of the file when it was fetched; empty when it never was computed."""
    checked: bool = False
    """True when `sha256` is what the catalogue, the user or the server had promised."""
    adopted: bool = False
    """True for the user's own file, which meshai uses where it is and never deletes."""
    description: Description | None = None
    """What its header says; None until somebody looked, and after the file changed."""

    @property
    def missing(self) -> bool:
        """True when the file is gone, as on a disk that isn't plugged in."""
        return not self.path.is_file()

    def as_found(self) -> Model:
        """Return this model as its file is now: what was known of another content is forgotten."""
        try:
            found = self.path.stat()
        except OSError:
            return self
        if (found.st_size, found.st_mtime_ns) == (self.size_bytes, self.mtime_ns):
            return self
        return replace(
            self,
            size_bytes=found.st_size,
            mtime_ns=found.st_mtime_ns,
            sha256="",
            checked=False,
            description=None,
        )


def read_registry(folder: Path) -> list[Model]:
    """Return the models remembered in `folder`, by name; none where there is no list yet.

    Raises LocalError when the list is damaged or a newer meshai wrote it.
    """
    path = folder / REGISTRY
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from error
    try:
        data = json.loads(text)
        if data["format"] > _FORMAT:
            raise LocalError(f"{path} was written by a newer meshai", "", "Use that one, or bring this one up to date")
        return [_from_json(folder, item) for item in data["models"]]
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error


def change_registry(folder: Path, change: Callable[[list[Model]], list[Model]]) -> None:
    """Replace the list in `folder` by what `change` makes of it, keeping other processes out meanwhile.

    Raises LocalError when the list is damaged (it stays as it is) or can't be written.
    """
    make_folder(folder)
    with exclusive(folder / _LOCK):
        models = sorted(change(read_registry(folder)), key=lambda model: model.name)
        data = {"format": _FORMAT, "models": [_to_json(folder, model) for model in models]}
        write_durably(folder / REGISTRY, json.dumps(data, indent=1, ensure_ascii=False).encode() + b"\n")


def _to_json(folder: Path, model: Model) -> dict[str, Any]:
    # A path within the folder is kept relative, so that the folder can be moved.
    path = model.path.relative_to(folder) if model.path.is_relative_to(folder) else model.path
    return {
        "name": model.name,
        "path": str(path),
        "source": model.source,
        "licence": model.licence,
        "size_bytes": model.size_bytes,
        "mtime_ns": model.mtime_ns,
        "sha256": model.sha256,
        "checked": model.checked,
        "adopted": model.adopted,
        "description": model.description.to_json() if model.description else None,
    }


def _from_json(folder: Path, item: Mapping[str, Any]) -> Model:
    description = item["description"]
    return Model(
        name=str(item["name"]),
        path=folder / Path(item["path"]),
        source=str(item["source"]),
        licence=str(item["licence"]),
        size_bytes=int(item["size_bytes"]),
        mtime_ns=int(item["mtime_ns"]),
        sha256=str(item["sha256"]),
        checked=bool(item["checked"]),
        adopted=bool(item["adopted"]),
        description=None if description is None else Description.from_json(description),
    )


def _damaged(path: Path, why: str) -> LocalError:
    return LocalError(
        f"The list of models at {path} is damaged",
        why,
        f"Nothing was changed. Mend it, or move it away with `mv {path} {path}.old`: models in that folder are found "
        "again, those elsewhere need `meshai models add PATH`",
    )
