"""Making a pack: the same bytes compiled or not, from any machine; and what can't become one is said."""

import lzma
import os
import shutil
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_packs import SENTENCES, TINY, pieces, tiny_bytes, tiny_pack

from nodes.pack_pieces import minutes_without_compiler, read_pieces
from nodes.pack_training import Recipe, recipe_for, table, train
from nodes.text_loop import compiled_loop
from protocol.errors import LocalError, RemoteError
from protocol.text import Pack, coder

needs_compiler = pytest.mark.skipif(shutil.which(os.environ.get("CC", "cc")) is None, reason="there is no C compiler")


def unwatched(step, done, of):
    assert 0 <= done <= of


@pytest.fixture(scope="module")
def loop():
    built = compiled_loop()
    assert built is not None
    return built


# Compiled and plain give the same


@needs_compiler
def test_a_pack_trained_with_the_compiled_loop_has_the_same_bytes(loop):
    assert train("tiny", pieces(), TINY, loop=loop, watch=unwatched) == tiny_bytes()


@needs_compiler
@settings(deadline=None, max_examples=60)
@given(
    text=st.one_of(st.text(max_size=60), st.lists(st.sampled_from(SENTENCES), max_size=3).map(" ".join)),
    about=st.sampled_from(("", *SENTENCES)),
)
def test_compiled_and_plain_code_to_the_same_bytes(text, about):
    plain, known = text.replace("\0", "").encode(), about.encode()
    loop, pack = compiled_loop(), tiny_pack()
    data = coder.encode(pack, plain, about=known, bytes_max=1000)
    assert loop.encode(pack, plain, about=known, bytes_max=1000) == data
    assert loop.decode(pack, data, about=known, bytes_max=1000) == plain
    assert loop.encode(pack, plain, about=known, bytes_max=len(data) - 1) is None


@needs_compiler
@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=40))
def test_compiled_and_plain_refuse_the_same_data(noise):
    outcomes = []
    for one in (coder, compiled_loop()):
        try:
            outcomes.append(one.decode(tiny_pack(), noise, bytes_max=50))
        except RemoteError as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]


@needs_compiler
@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=400))
def test_a_pack_with_wrong_bytes_inside_keeps_the_compiled_loop_within_it(changes):
    data = bytearray(tiny_bytes())
    for at, value in changes:
        data[256 + at % (len(data) - 256)] = value
    pack, loop = Pack(bytes(data)), compiled_loop()
    plain = SENTENCES[1].encode()
    assert loop.decode(pack, loop.encode(pack, plain, bytes_max=1000), bytes_max=1000) == plain


@needs_compiler
def test_compiled_tables_with_little_room_are_the_same(loop):
    data = b"\0".join(pieces()) + b"\0"
    offsets = array("Q", [0])
    for piece in pieces():
        offsets.append(offsets[-1] + len(piece) + 1)
    ranks = bytes(min(byte, 255) for _ in range(256) for byte in range(256))
    for kind in TINY.kinds:
        for room in (1, 40, 300, 10**6):
            for left_out in (bytes(len(pieces())), bytes([1, 0, 0, 0] * 10)):
                ours = table(data, offsets, left_out, kind, ranks, room)
                assert loop.table(data, offsets, left_out, kind, ranks, room) == ours
                assert len(ours[1]) <= room * 1.5 + 40


def test_without_a_compiler_there_is_no_compiled_loop(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    assert compiled_loop.__wrapped__() is None


@needs_compiler
def test_the_compiled_loop_is_built_once_and_only_when_asked(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / name))
    assert compiled_loop.__wrapped__(build=False) is None
    assert compiled_loop.__wrapped__() is not None
    (built,) = (tmp_path / "meshai").iterdir()
    made = built.stat().st_mtime_ns
    assert compiled_loop.__wrapped__(build=False) is not None
    assert built.stat().st_mtime_ns == made


@needs_compiler
def test_a_compiler_that_fails_leaves_plain_python(monkeypatch, tmp_path):
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / name))
    monkeypatch.setenv("CC", "false")
    assert compiled_loop.__wrapped__() is None


# Making a pack


def test_the_same_pieces_give_the_same_bytes_and_others_give_others():
    small = Recipe(room=50, kinds=(2, 9), local_contexts=(0,))
    first = train("small", pieces(), small, loop=None, watch=unwatched)
    assert train("small", pieces(), small, loop=None, watch=unwatched) == first
    assert train("small", pieces(3), small, loop=None, watch=unwatched) != first


def test_more_room_makes_shorter_texts():
    sizes = []
    for room in (5, 2000):
        pack = Pack(
            train("x", pieces(), Recipe(room=room, kinds=(3, 5), local_contexts=()), loop=None, watch=unwatched)
        )
        sizes.append(sum(len(coder.encode(pack, one.encode(), bytes_max=10**4)) for one in SENTENCES))
    assert sizes[1] < sizes[0]


def test_too_little_text_is_refused():
    with pytest.raises(LocalError, match="15 pieces of text and takes at least 16"):
        train("x", [b"a few words"] * 15, Recipe(), loop=None, watch=unwatched)


def test_each_pack_has_a_recipe():
    assert recipe_for("en").room > recipe_for("any other").room
    assert len(recipe_for("any other").turns) > 1


# What a pack is made from


def test_pieces_are_read_from_text_and_xz(tmp_path):
    (tmp_path / "a.txt").write_text("one\nline\n\n  two \n\n \n\nthree\n")
    with lzma.open(tmp_path / "b.txt.xz", "wb") as file:
        file.write(b"four\n\nstill four\0five")
    paths = [tmp_path / "a.txt", tmp_path / "b.txt.xz"]
    assert read_pieces(paths) == [b"one\nline", b"  two ", b"three", b"four\n\nstill four", b"five"]
    assert read_pieces(paths, longest=5) == [b"three", b"five"]
    assert minutes_without_compiler([bytes(10**6)] * 4) >= 5


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [("x.txt", b"\xff\xfe", "is no UTF-8"), ("x.xz", b"no archive", "can't be read"), ("x.xz", b"", "can't be read")],
)
def test_what_is_no_text_is_refused_with_the_reason(tmp_path, name, content, why):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LocalError, match=why):
        read_pieces([tmp_path / name])


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("nodes.pack_pieces._TEXT_BYTES_MAX", 1 << 20)
    with lzma.open(tmp_path / "bomb.xz", "wb") as file:
        file.write(bytes(2 << 20))
    with pytest.raises(LocalError, match="more than 1 MB"):
        read_pieces([tmp_path / "bomb.xz"])
