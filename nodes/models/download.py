"""One file over the web onto the disk: it goes on where it stopped, and is what was promised when it is done.

The bytes stand in `FILE.part`, what the server said of them beside it in `FILE.part.json`. A part is continued only
when the server can prove that the file is still the same, or a digest will. Knows nothing of models or wheels.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import trio

from nodes.models.disk import disk_error, exclusive, require_space, size_text
from nodes.models.web import Interrupted, Reply, plain, request
from protocol.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import FileIO
    from pathlib import Path

    import httpx

__all__ = ["PATIENCE_S", "Digest", "Downloaded", "Progress", "Remote", "Watch", "download", "file_digest"]

PATIENCE_S = (1.0, 2.0, 4.0)
"""Waits before trying again, after the first, second and third failure in a row that brought no byte."""

_BLOCK_BYTES = 1 << 20
_SPACE_CHECK_BYTES = 64 << 20
_RESTARTS_MAX = 3
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_LENGTH = re.compile(r"\d{1,18}")
_DIGEST_TAG = re.compile(r'"?([0-9a-f]{64})"?')


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a step has come."""

    step: str
    """`downloading`, `checking` or `unpacking`."""
    file: str
    done_bytes: int
    total_bytes: int
    """0 when unknown."""


Watch = Callable[[Progress], None]
"""Told of progress about once a megabyte; must return at once."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A file to download, and what is known of it beforehand."""

    url: str
    sha256: str = ""
    size_bytes: int = 0
    """0 when unknown."""
    magic: bytes = b""
    """What it must start with."""
    digest_in_header: bool = False
    """True for a server that names the file's digest in `X-Linked-ETag` or `ETag`, as the Hugging Face hub does."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A finished download, still under its `.part` name."""

    sha256: str
    size_bytes: int
    checked: bool
    """True when the digest is the one that was known beforehand, or that the server had named."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What the server said of the file in a `.part`."""

    url: str
    etag: str
    total_bytes: int


class Digest:
    """SHA-256 of a file, kept up as it grows."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self.size_bytes = 0

    def add(self, data: bytes | bytearray) -> None:
        """Take in the next bytes."""
        self._sha256.update(data)
        self.size_bytes += len(data)

    def hexdigest(self) -> str:
        """Return the digest of all bytes so far, in lower-case hex."""
        return self._sha256.hexdigest()


async def download(
    client: httpx.AsyncClient,
    remote: Remote,
    part: Path,
    watch: Watch,
    *,
    reserve_bytes: int = 0,
    patience_s: Sequence[float] = PATIENCE_S,
) -> Downloaded:
    """Bring `remote` to `part`, going on with what is there. `reserve_bytes` of room are needed for what comes after.

    Interrupted, cancelled or out of room, it keeps `part`; bytes that turn out to be wrong are deleted. Raises
    LocalError.
    """
    busy = LocalError(f"{part} is being downloaded by another meshai", "", "Wait for that one, or stop it")
    with exclusive(part, busy) as file:
        job = _Job(client, remote, part, file, watch, reserve_bytes)
        try:
            return await job.run(patience_s)
        except OSError as error:
            raise disk_error(part, error) from error
        finally:
            job.leave_nothing_empty()


async def file_digest(path: Path, file: FileIO, watch: Watch) -> Digest:
    """Return the digest of the open `file` at `path`, and leave it at its end."""
    digest = Digest()
    total = file.seek(0, 2)
    file.seek(0)
    while await trio.to_thread.run_sync(_read_into, file, digest):
        watch(Progress("checking", path.name, digest.size_bytes, total))
    return digest


def _read_into(file: FileIO, digest: Digest) -> int:
    data = file.read(_BLOCK_BYTES)
    digest.add(data)
    return len(data)


class _Job:
    def __init__(
        self,
        client: httpx.AsyncClient,
        remote: Remote,
        part: Path,
        file: FileIO,
        watch: Watch,
        reserve_bytes: int,
    ) -> None:
        self._client = client
        self._remote = remote
        self._part = part
        self._file = file
        self._watch = watch
        self._reserve_bytes = reserve_bytes
        self._notes = part.with_name(f"{part.name}.json")
        self._name = part.name.removesuffix(".part")
        self._promised = remote.sha256
        self._total = remote.size_bytes
        self._restarts = 0

    async def run(self, patience_s: Sequence[float]) -> Downloaded:
        """Try until it is done or no attempt brings a byte any more."""
        failures = 0
        while True:
            before = self._file.seek(0, 2)
            try:
                return await self._attempt()
            except Interrupted as error:
                failures = failures + 1 if self._file.seek(0, 2) <= before else 1
                if failures > len(patience_s):
                    raise self._stopped(str(error)) from error
                await trio.sleep(patience_s[failures - 1])

    def leave_nothing_empty(self) -> None:
        """Remove the part when there is nothing in it."""
        if not self._file.seek(0, 2):
            self._discard()

    async def _attempt(self) -> Downloaded:
        known = self._read_notes()
        have = self._file.seek(0, 2)
        if have and not self._can_continue(known, have):
            self._start_over()
            have = 0
        digest = await file_digest(self._part, self._file, self._watch) if have else Digest()
        if have and have == self._total:
            return self._judge(digest)
        headers = {"Range": f"bytes={have}-"} if have else {}
        if have and known and known.etag:
            headers["If-Range"] = known.etag
        async with request(self._client, self._remote.url, headers) as reply:
            if reply.status == 416:
                self._start_over()
                raise Interrupted("the server has less than what we have")
            start, total = self._place(reply, have, known.etag if known else "")
            if start != have:
                self._start_over()
                digest = Digest()
            if not self._promised and self._remote.digest_in_header:
                tag = reply.first_headers.get("X-Linked-ETag") or reply.first_headers.get("ETag", "")
                match = _DIGEST_TAG.fullmatch(tag)
                self._promised = match[1] if match else ""
            self._expect_size(reply, total)
            require_space(self._part.parent, max(0, self._total - start) + self._reserve_bytes, self._name)
            self._write_notes(reply)
            await self._receive(reply, digest)
        if self._total and digest.size_bytes < self._total:
            raise Interrupted("the connection was cut")
        return self._judge(digest)

    def _stopped(self, why: str) -> LocalError:
        have = self._file.seek(0, 2)
        if not have:
            return LocalError(
                f"The file {self._name} can't be downloaded",
                why,
                "Connect to the internet and run the same command again, or bring the file on a stick and run "
                "`meshai models add FILE`",
            )
        of = f" of {size_text(self._total)}" if self._total else ""
        return LocalError(
            f"The download of {self._name} stopped after {size_text(have)}{of}",
            why,
            "What is there is kept: run the same command again and it goes on from there",
        )

    def _can_continue(self, known: _Known | None, have: int) -> bool:
        if known is None or known.url != plain(self._remote.url) or not (known.etag or self._remote.sha256):
            return False
        self._total = self._total or known.total_bytes
        return not self._total or have <= self._total

    def _place(self, reply: Reply, have: int, etag: str) -> tuple[int, int]:
        """Return where the body starts in the file, and the file's size or 0."""
        if reply.headers.get("Content-Encoding", "identity") != "identity":
            raise LocalError(
                f"The file at {plain(self._remote.url)} comes compressed", "it can't be checked or continued that way"
            )
        length = reply.headers.get("Content-Length", "")
        size = int(length) if _LENGTH.fullmatch(length) else 0
        if reply.status == 200:
            return 0, size
        match = _RANGE.fullmatch(reply.headers.get("Content-Range", ""))
        if not match or int(match[1]) != have:
            self._start_over()
            raise Interrupted("the server sent another part of the file than we asked for")
        if etag and reply.headers.get("ETag", etag) != etag:
            self._start_over()
            raise Interrupted("the file was replaced on the server meanwhile")
        return have, 0 if match[3] == "*" else int(match[3])

    def _expect_size(self, reply: Reply, total: int) -> None:
        linked = reply.first_headers.get("X-Linked-Size", "")
        expected = self._remote.size_bytes or (int(linked) if _LENGTH.fullmatch(linked) else 0)
        if expected and total and total != expected:
            self._discard()
            raise LocalError(
                f"The file at {plain(self._remote.url)} is not the one we know",
                f"it has {total:,} bytes instead of {expected:,}",
                "It may have been replaced there: look for a newer meshai, or name the address and digest yourself",
            )
        self._total = total or expected

    async def _receive(self, reply: Reply, digest: Digest) -> None:
        block = bytearray()
        unseen = digest.size_bytes == 0
        space_checked_at = digest.size_bytes

        async def take(piece: bytes) -> None:
            nonlocal block, unseen, space_checked_at
            block += piece
            if unseen and len(block) >= len(self._remote.magic):
                self._check_start(block)
                unseen = False
            if self._total and digest.size_bytes + len(block) > self._total:
                self._discard()
                raise LocalError(
                    f"The server of {plain(self._remote.url)} sends more than it announced",
                    f"more than {self._total:,} bytes",
                    "Don't trust it; try another source",
                )
            if len(block) < _BLOCK_BYTES:
                return
            # Taken out of `block` first: what is being written must not be written again below.
            full, block = block, bytearray()
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._store, full, digest)
            self._watch(Progress("downloading", self._name, digest.size_bytes, self._total))
            if digest.size_bytes >= space_checked_at + _SPACE_CHECK_BYTES:
                space_checked_at = digest.size_bytes
                require_space(self._part.parent, max(0, self._total - digest.size_bytes), self._name)

        try:
            await reply.read(take)
        except (Interrupted, trio.Cancelled, KeyboardInterrupt):
            # Each byte counts on a slow line. A disk that refuses them now will say so again.
            with suppress(OSError):
                self._store(block, digest)
            raise
        if unseen:
            self._check_start(block)
        self._store(block, digest)
        self._watch(Progress("downloading", self._name, digest.size_bytes, self._total))

    def _check_start(self, block: bytearray) -> None:
        magic = self._remote.magic
        if block[: len(magic)] == magic:
            return
        self._discard()
        page = block.lstrip()[:1] == b"<"
        raise LocalError(
            f"The file at {plain(self._remote.url)} is not what we look for",
            "the server sent a web page" if page else f"it starts with {bytes(block[:8])!r} instead of {magic!r}",
            "Give the address of the file itself, not of the page about it" if page else "Check the address",
        )

    def _judge(self, digest: Digest) -> Downloaded:
        found = digest.hexdigest()
        if self._promised and found != self._promised:
            self._discard()
            raise LocalError(
                f"The file {self._name} is not the one that was promised",
                f"its SHA-256 is {found} instead of {self._promised}",
                "It was deleted. Run the same command again; if that happens twice, don't trust the source",
            )
        with suppress(FileNotFoundError):
            self._notes.unlink()
        return Downloaded(found, digest.size_bytes, bool(self._promised))

    def _store(self, block: bytearray, digest: Digest) -> None:
        left = memoryview(block)
        while left:
            left = left[self._file.write(left) :]
        digest.add(block)

    def _start_over(self) -> None:
        self._restarts += 1
        if self._restarts > _RESTARTS_MAX:
            raise LocalError(
                f"The file at {plain(self._remote.url)} keeps changing", "", "Try another source, or later"
            )
        self._file.seek(0)
        self._file.truncate()

    def _discard(self) -> None:
        with suppress(FileNotFoundError):
            self._notes.unlink()
        with suppress(FileNotFoundError):
            self._part.unlink()

    def _read_notes(self) -> _Known | None:
        # Notes that can't be read cost a new start and nothing else.
        try:
            data = json.loads(self._notes.read_bytes())
            return _Known(str(data["url"]), str(data["etag"]), int(data["total_bytes"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write_notes(self, reply: Reply) -> None:
        etag = reply.headers.get("ETag", "")
        # A weak tag promises the same meaning, not the same bytes.
        known = _Known(plain(self._remote.url), "" if etag.startswith("W/") else etag, self._total)
        self._notes.write_text(json.dumps(asdict(known)), "utf-8")
