"""Asking the web for bytes, with care: trusted certificates, https only, redirects followed by hand.

Knows addresses and HTTP, and nothing of models, wheels or disks. Plain http is refused except on this machine itself.
"""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import trio

from protocol.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    import httpx

__all__ = ["Interrupted", "Reply", "check_url", "new_client", "plain", "request", "tls_context"]

_REDIRECTS_MAX = 5
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Interrupted(Exception):
    """The exchange broke off; trying again may help. The text says why, in plain words."""


class Reply:
    """An open answer, with what the servers on the way to it said."""

    def __init__(self, response: httpx.Response, first_headers: Mapping[str, str]) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.first_headers = first_headers
        """Headers of the server that was asked, which may have sent us on to another."""
        self._response = response

    async def read(self, take: Callable[[bytes], Awaitable[None]]) -> None:
        """Hand the body to `take`, piece by piece.

        Raises Interrupted when the body breaks off, and what `take` raises, which ends the reading.
        """
        import httpx

        trouble: Exception | None = None
        try:
            with trio.CancelScope() as scope:
                async for piece in self._response.aiter_raw():
                    if trouble is None:
                        try:
                            await take(piece)
                        except Exception as error:  # raised again below
                            # Leaving the loop here would strand httpx's generators half-way; cancelled at their next
                            # wait they unwind.
                            trouble = error
                            scope.cancel()
        except httpx.TransportError as error:
            trouble = trouble or Interrupted(_reason(error))
        if trouble is not None:
            raise trouble


def check_url(url: str) -> None:
    """Raise LocalError unless `url` is https, or http to this machine itself."""
    import httpx

    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise LocalError(f"The text {url!r} is no web address", str(error)) from error
    if parsed.scheme == "https" and parsed.host:
        return
    if parsed.scheme == "http" and parsed.host in _LOOPBACK:
        return
    raise LocalError(
        f"The address {plain(url)} is refused",
        "only https is safe from being changed on the way" if parsed.scheme == "http" else "it is no https address",
        "Use an address that starts with https://",
    )


def plain(url: str) -> str:
    """Return `url` without name and password, for messages and records."""
    import httpx

    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return url
    return str(parsed.copy_with(username=None, password=None)) if parsed.userinfo else url


def tls_context() -> ssl.SSLContext:
    """Return a context that trusts the system's roots, those of SSL_CERT_FILE and SSL_CERT_DIR, and Mozilla's."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def new_client(timeout_s: float) -> httpx.AsyncClient:
    """Return a client that gives up on a server that is silent for `timeout_s`. The caller closes it."""
    import httpx

    return httpx.AsyncClient(
        verify=tls_context(),
        timeout=httpx.Timeout(timeout_s),
        # No compression: a part of a compressed file can't be continued.
        headers={"User-Agent": "meshai", "Accept-Encoding": "identity"},
        follow_redirects=False,
    )


@asynccontextmanager
async def request(client: httpx.AsyncClient, url: str, headers: Mapping[str, str]) -> AsyncIterator[Reply]:
    """GET `url`, following redirects to addresses that `check_url` allows.

    Raises LocalError for what trying again won't mend (no such file, not allowed, an untrusted certificate), and
    Interrupted for what it may.
    """
    import httpx

    first_headers: Mapping[str, str] | None = None
    target = httpx.URL(url)
    async with AsyncExitStack() as stack:
        for _ in range(_REDIRECTS_MAX + 1):
            check_url(str(target))
            try:
                response = await stack.enter_async_context(client.stream("GET", target, headers=headers))
            except httpx.TransportError as error:
                raise _unreachable(target, error) from error
            first_headers = first_headers or response.headers
            if not response.has_redirect_location:
                break
            try:
                target = response.url.join(response.headers["Location"])
            except httpx.InvalidURL as error:
                raise LocalError(f"The server of {plain(url)} sends us to no address", str(error)) from error
            await stack.aclose()
        else:
            raise LocalError(
                f"The server of {plain(url)} sends us in circles", f"after {_REDIRECTS_MAX} redirects we gave up"
            )
        _check_status(response.status_code, plain(str(target)))
        yield Reply(response, first_headers)


def _check_status(status: int, url: str) -> None:
    if status in (200, 206, 416):
        return
    if status in (408, 425, 429) or status >= 500:
        raise Interrupted(f"the server answered {status}")
    if status in (401, 403):
        raise LocalError(
            f"The file at {url} is not for everybody",
            f"the server answered {status}",
            "Log in there with a browser, accept its conditions, download the file and run `meshai models add FILE`",
        )
    why = "the server has no such file" if status in (404, 410) else "the server won't give it"
    raise LocalError(f"The file at {url} can't be fetched", f"{why} (it answered {status})", "Check the address")


def _unreachable(url: httpx.URL, error: httpx.TransportError) -> Exception:
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return LocalError(
                f"The server {url.host} can't be trusted",
                cause.verify_message or str(cause),
                "Check this device's clock; behind a proxy with its own certificate, name that in SSL_CERT_FILE",
            )
    return Interrupted(f"the server {url.host} can't be reached ({_reason(error)})")


def _reason(error: Exception) -> str:
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return "the server fell silent"
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
        return "the connection was cut"
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return str(error) or type(error).__name__


def _causes(error: BaseException) -> list[BaseException]:
    """Return `error` and all that led to it, groups included."""
    found: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        cause = left.pop()
        if cause is None or cause in found:
            continue
        found.append(cause)
        left += [cause.__cause__, cause.__context__]
        if isinstance(cause, BaseExceptionGroup):
            left += cause.exceptions
    return found
