"""The models on this device: listing, finding by name, adopting files where they are, and letting go of them.

Brings the registry and the disk together. Fetches nothing, and never copies or deletes a file of the user's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from nodes.config import models_dir
from nodes.models.catalogue import NAME, catalogue
from nodes.models.describe import describe
from nodes.models.device import fits, memory_bytes
from nodes.models.disk import disk_error
from nodes.models.registry import Model, change_registry, read_registry
from protocol.errors import LocalError
from protocol.limits import NAME_BYTES_MAX

__all__ = [
    "CONTEXT_TOKENS",
    "Adoption",
    "Removal",
    "adopt",
    "default_model",
    "described",
    "find_model",
    "free_name",
    "installed",
    "remember",
    "remove",
    "short_name",
    "unfinished",
]

CONTEXT_TOKENS = 4096
"""Context with which a model is judged to fit this device's memory."""

_FIRST_MODEL = "Run `meshai models get smollm2-135m` to fetch a small one"
_QUANTISATION = re.compile(r"[-._]*(?:ud-)?(?:i?q\d\w*|b?f16|f32|mxfp4\w*|tq\d\w*)$")
_FILLER = re.compile(r"[-._]*(?:gguf|instruct|chat|it)(?=[-._]|$)")


@dataclass(frozen=True, slots=True)
class Adoption:
    """What came of adopting a file or folder."""

    models: tuple[Model, ...]
    refused: tuple[tuple[Path, LocalError], ...]
    """GGUF files below a folder that can't be used, and why."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What `remove` did."""

    name: str
    path: Path
    deleted: bool
    """False for an adopted file, which was only forgotten."""


def installed(folder: Path | None = None) -> list[Model]:
    """Return the models on this device by name: fetched, adopted, and GGUF files put into the models folder by hand.

    A remembered model whose file is gone is among them, `missing`. Raises LocalError when the list is damaged.
    """
    folder = folder or models_dir()
    models = [model.as_found() for model in read_registry(folder)]
    taken = {model.name for model in models}
    known = {model.path for model in models}
    for path in sorted(folder.glob("*.gguf")):
        if path not in known and path.is_file():
            model = _of_file(path, taken)
            taken.add(model.name)
            models.append(model)
    return sorted(models, key=lambda model: model.name)


def find_model(name_or_path: str, folder: Path | None = None) -> Model:
    """Return the model called `name_or_path`, or the one in the file at that path, which needs no adopting.

    Raises LocalError when there is none, or its file is gone.
    """
    models = installed(folder)
    path = Path(name_or_path).expanduser().absolute()
    found = next((model for model in models if model.name == name_or_path), None)
    found = found or next((model for model in models if model.path == path), None)
    if found and found.missing:
        raise LocalError(
            f"The file of {found.name} is gone",
            f"it was at {found.path}",
            "Put it back or plug in its disk, or forget it with `meshai models remove " + found.name + "`",
        )
    if found:
        return found
    if path.is_file():
        return _of_file(path, set())
    if catalogue().find(name_or_path):
        raise LocalError(
            f"The model {name_or_path} isn't on this device yet", "", f"Run `meshai models get {name_or_path}`"
        )
    names = ", ".join(model.name for model in models)
    raise LocalError(
        f"No model is called {name_or_path!r}",
        f"this device has {names}" if names else "this device has no model",
        "Name one of those" if names else _FIRST_MODEL,
    )


def default_model(folder: Path | None = None) -> Model:
    """Return the model to use when the user names none.

    That is the one with most parameters among those that fit this device's memory, one that chats before one that
    only completes text. Raises LocalError when there is none, or none fits.
    """
    present = [model for model in installed(folder) if not model.missing]
    if not present:
        raise LocalError("There is no model on this device", "", _FIRST_MODEL)
    memory = memory_bytes()
    fitting = [model for model in present if fits(_needed_bytes(model), memory)]
    if not fitting:
        names = ", ".join(model.name for model in present)
        raise LocalError(f"No model here fits this device's memory ({names})", "", _FIRST_MODEL)
    return max(fitting, key=_worth)


async def adopt(path: Path, *, name: str = "", folder: Path | None = None) -> Adoption:
    """Remember the GGUF file at `path`, or every one below the folder there, to be used in place.

    Raises LocalError when there is nothing, or nothing usable, or `name` is taken or no name.
    """
    folder = folder or models_dir()
    # A thread, because walking a large or slow disk takes as long as it takes.
    files = await trio.to_thread.run_sync(_files_at, path, abandon_on_cancel=True)
    if name and len(files) > 1:
        raise LocalError(f"{path} holds {len(files)} models", "one name can't stand for all", "Adopt them one by one")
    if name and not NAME.fullmatch(name):
        raise LocalError(f"The name {name!r} can't be given to a model", _NAME_RULE)
    models: list[Model] = []
    refused: list[tuple[Path, LocalError]] = []
    for file in files:
        try:
            description = await describe(file)
        except LocalError as error:
            refused.append((file, error))
            continue
        stat = file.stat()
        models.append(
            Model(
                name=name or short_name(file),
                path=file,
                source="here",
                licence=description.licence,
                size_bytes=stat.st_size,
                mtime_ns=stat.st_mtime_ns,
                adopted=True,
                description=description,
            )
        )
    if not models:
        raise refused[0][1]
    kept: list[Model] = []

    def change(known: list[Model]) -> list[Model]:
        for model in models:
            same = next((other for other in known if other.path == model.path), None)
            others = [other for other in known if other is not same]
            taken = {other.name for other in others}
            if name and name in taken:
                raise LocalError(f"Another model is called {name}", "", "Choose another name")
            if same:
                model = replace(same.as_found(), name=name or same.name, description=model.description)
            else:
                model = replace(model, name=free_name(model.name, taken))
            known = [*others, model]
            kept.append(model)
        return known

    change_registry(folder, change)
    return Adoption(tuple(kept), tuple(refused))


def remember(model: Model, folder: Path) -> None:
    """Put `model` on the list in `folder`, in the place of any other of its name or path."""

    def change(known: list[Model]) -> list[Model]:
        return [*(other for other in known if other.name != model.name and other.path != model.path), model]

    change_registry(folder, change)


def remove(name: str, folder: Path | None = None) -> Removal:
    """Let go of the model called `name`: delete a file that meshai fetched, or half of one; forget an adopted one.

    Raises LocalError when there is none, or it is a file that somebody put into the models folder by hand.
    """
    folder = folder or models_dir()
    model = next((model for model in installed(folder) if model.name == name), None)
    if model is None:
        return _remove_unfinished(name, folder)
    if model.adopted and model.path.parent == folder and not model.missing:
        raise LocalError(
            f"The model {name} wasn't fetched by meshai", "it is your own file", f"Delete {model.path} yourself"
        )
    if not model.adopted:
        _delete(model.path)
    change_registry(folder, lambda known: [other for other in known if other.name != name])
    return Removal(name, model.path, deleted=not model.adopted)


def unfinished(folder: Path | None = None) -> list[Path]:
    """Return the downloads that were broken off: `.part` files, of models or of wheels, in the models folder."""
    return sorted((folder or models_dir()).glob("*.part"))


async def described(model: Model, folder: Path | None = None) -> Model:
    """Return `model` with its description, looking into the file when nobody has since it last changed.

    What is learnt of a model on the list or in the folder is kept there. Raises LocalError when the file holds no
    usable model.
    """
    folder = folder or models_dir()
    if model.description:
        return model
    description = await describe(model.path)
    model = replace(model, description=description, licence=model.licence or description.licence)
    if model.path.parent == folder or any(other.path == model.path for other in read_registry(folder)):
        remember(model, folder)
    return model


def short_name(path: Path) -> str:
    """Return a name for the model in the file at `path`, made from the file's: `Qwen3-8B-Q4_K_M.gguf` is `qwen3-8b`."""
    name = path.name.lower().removesuffix(".part").removesuffix(".gguf")
    name = _FILLER.sub("", _QUANTISATION.sub("", name))
    name = re.sub(r"[^a-z0-9._-]+", "-", name)[:NAME_BYTES_MAX].strip("-._")
    return name or "model"


def free_name(name: str, taken: set[str]) -> str:
    """Return `name`, numbered when it is among `taken`."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name[: NAME_BYTES_MAX - 1 - len(str(number))]}-{number}"
    return free


_NAME_RULE = f"it must be of 1 to {NAME_BYTES_MAX} letters a to z, digits, dots, dashes and underscores"


def _files_at(path: Path) -> list[Path]:
    path = path.expanduser().absolute()
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise LocalError(f"There is nothing at {path}", "", "Name a GGUF file, or a folder that holds some")
    files = sorted(path.rglob("*.gguf"))
    if not files:
        raise LocalError(f"There is no GGUF file below {path}", "", "Name a folder that holds .gguf files")
    return files


def _of_file(path: Path, taken: set[str]) -> Model:
    stat = path.stat()
    return Model(free_name(short_name(path), taken), path, "here", "", stat.st_size, stat.st_mtime_ns, adopted=True)


def _needed_bytes(model: Model) -> int:
    return model.description.memory_bytes(CONTEXT_TOKENS) if model.description else model.size_bytes


def _worth(model: Model) -> tuple[bool, int]:
    # Of a model that nobody looked into, the size of its file is all there is to go by; half a byte a parameter.
    if model.description is None:
        return False, model.size_bytes * 2
    return model.description.chats, model.description.parameters


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise disk_error(path, error) from error


def _remove_unfinished(name: str, folder: Path) -> Removal:
    entry = catalogue().find(name)
    files = {entry.file, *(piece.wheel for piece in entry.pieces)} if entry else set()
    parts = [
        part for part in unfinished(folder) if part.name.removesuffix(".part") in files or short_name(part) == name
    ]
    if not parts:
        raise LocalError(f"No model is called {name!r}", "", "`meshai models` lists those on this device")
    for part in parts:
        _delete(part)
        _delete(part.with_name(f"{part.name}.json"))
    return Removal(name, parts[0], deleted=True)
