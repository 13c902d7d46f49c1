"""Describing GGUF files: real ones as their library reads them, and hostile ones within bounds."""

import random
import struct
import sys
import time
import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodes.models import describe as describe_module
from nodes.models.describe import Description, describe, run_probe
from nodes.models.device import Device, fits, memory_bytes, this_device
from nodes.models.header import Skipped, read_header
from nodes.models.probe import describe_header
from protocol.errors import LocalError

STRING, ARRAY, UINT32 = 8, 9, 4


def text(value):
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def key(name, kind, raw):
    return text(name) + struct.pack("<I", kind) + raw


def head(*keys, tensors=b"", tensor_count=0, key_count=None, version=3):
    count = len(keys) if key_count is None else key_count
    return b"GGUF" + struct.pack("<IQQ", version, tensor_count, count) + b"".join(keys) + tensors


ARCHITECTURE = key("general.architecture", STRING, text("llama"))
ONE_TENSOR = text("t") + struct.pack("<IQIQ", 1, 32, 0, 0)


def written_by_the_library(path, *, template=True, chat_vocabulary=3000, **keys):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Test Model")
    writer.add_context_length(2048)
    writer.add_block_count(4)
    writer.add_embedding_length(64)
    writer.add_head_count(8)
    writer.add_head_count_kv(2)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_license("mit")
    writer.add_languages(["en", "sw"])
    writer.add_token_list([f"token{number}" for number in range(chat_vocabulary)])
    writer.add_token_scores([0.5] * chat_vocabulary)
    if template:
        writer.add_chat_template("{{ messages }}")
    for name, value in keys.items():
        writer.add_string(name.replace("__", "."), value)
    writer.add_tensor("token_embd.weight", np.ones((chat_vocabulary, 64), dtype=np.float32))
    writer.add_tensor("blk.0.attn_q.weight", np.ones((64, 64), dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def in_process(path):
    return describe_header(read_header(path), path)


def refusal(tmp_path, data):
    path = tmp_path / "bad.gguf"
    path.write_bytes(data)
    with pytest.raises(LocalError) as caught:
        in_process(path)
    return str(caught.value)


def test_what_the_library_wrote_is_described(tmp_path):
    path = written_by_the_library(tmp_path / "m.gguf")
    assert in_process(path) == Description(
        title="Test Model",
        architecture="llama",
        parameters=3000 * 64 + 64 * 64,
        quantisation="Q8_0",
        context_tokens=2048,
        size_bytes=path.stat().st_size,
        chats=True,
        licence="mit",
        languages=("en", "sw"),
        vocabulary=3000,
        cache_bytes_per_token=4 * 2 * (8 + 8) * 2,
    )


def test_a_model_without_template_only_completes_text(tmp_path):
    assert not in_process(written_by_the_library(tmp_path / "m.gguf", template=False)).chats


def test_the_walk_reads_what_the_library_s_own_reader_reads(tmp_path):
    path = written_by_the_library(tmp_path / "m.gguf")
    ours, theirs = read_header(path), gguf.GGUFReader(path)
    fields = {name: field for name, field in theirs.fields.items() if not name.startswith("GGUF.")}
    assert set(ours.metadata) == set(fields)
    for name, value in ours.metadata.items():
        expected = fields[name].contents()
        if isinstance(value, Skipped):
            assert value.length == len(expected)
        else:
            assert (list(value) if isinstance(value, tuple) else value) == pytest.approx(expected)
    assert [tensor.elements for tensor in ours.tensors] == [int(tensor.n_elements) for tensor in theirs.tensors]
    assert ours.data_start == theirs.data_offset


@pytest.mark.model
def test_smollm2_is_what_its_makers_say(model_file):
    seen = in_process(model_file)
    assert (seen.parameters, seen.quantisation, seen.context_tokens) == (134_515_008, "Q4_1", 8192)
    assert seen.chats
    assert seen.vocabulary == 49_152
    assert seen.memory_bytes(2048) == pytest.approx(200e6, rel=0.1)


@pytest.mark.realtime
async def test_describing_happens_in_another_process(tmp_path):
    path = written_by_the_library(tmp_path / "m.gguf")
    before = set(sys.modules)
    seen = await describe(path)
    assert seen == in_process(path)
    assert Description.from_json(seen.to_json()) == seen
    assert not {name for name in set(sys.modules) - before if name.split(".")[0] in ("numpy", "gguf")}


@pytest.mark.realtime
async def test_errors_of_the_other_process_arrive_as_they_are(tmp_path):
    (tmp_path / "x.gguf").write_text("<html>")
    with pytest.raises(LocalError, match="looks like a web page"):
        await describe(tmp_path / "x.gguf")
    with pytest.raises(LocalError, match="No such file"):
        await describe(tmp_path / "none.gguf")


@pytest.mark.realtime
async def test_a_probe_that_dies_or_hangs_is_an_error_and_not_a_wait(monkeypatch, tmp_path):
    with pytest.raises(LocalError, match=r"exit status 1 and said: IndexError"):
        await run_probe("describe")
    dying = tmp_path / "python"
    dying.write_text("#!/bin/sh\nkill -ILL $$\n")
    dying.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(dying))
    with pytest.raises(LocalError, match="signal 4"):
        await run_probe("describe", "x.gguf")
    assert (await this_device()).processor == "CPU"
    dying.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(describe_module, "_PATIENCE_S", 0.2)
    with trio.fail_after(10), pytest.raises(LocalError, match="took longer"):
        await run_probe("describe", "x.gguf")


@pytest.mark.realtime
async def test_this_device_has_memory_and_a_processor():
    device = await this_device()
    assert device.processor in ("CPU", "GPU")
    assert device == Device(memory_bytes(), device.processor, device.processor_name)
    assert device.memory_bytes > 100_000_000


def test_a_model_fits_when_a_fifth_of_the_memory_stays_free():
    assert fits(800, 1000)
    assert not fits(801, 1000)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is empty"),
        (b"GGU", "starts with"),
        (b"PK\x03\x04", "zip archive"),
        (b"  <!doctype html>", "web page"),
        (b"GGUF", "cut short"),
        (b"GGUF\x03\0\0\0", "cut short"),
        (head(version=1), "its version is 1"),
        (head(version=3 << 24), "versions 2 and 3 are known"),
        (head(key_count=1 << 60), "claims 1,152,921,504,606,846,976 keys"),
        (head(key_count=60_000), "cut short"),
        (head(tensor_count=1 << 63), "tensors"),
        (head(key("a", STRING, struct.pack("<Q", 1 << 62))), "claims"),
        (head(key("a", STRING, struct.pack("<Q", 100))), "cut short"),
        (head(key("a", ARRAY, struct.pack("<IQ", STRING, 1 << 61))), "array items"),
        (head(key("a", ARRAY, struct.pack("<IQ", UINT32, 1 << 61))), "array items"),
        (head(key("a", ARRAY, struct.pack("<IQ", ARRAY, 1))), "array of type 9"),
        (head(key("a", ARRAY, struct.pack("<IQ", STRING, 2000) + text("") * 1999 + b"\xff" * 8)), "cut short"),
        (head(key("a", ARRAY, struct.pack("<IQ", STRING, 2000) + b"\xff" * 8 + text("") * 1999)), "cut short"),
        (head(key("a", 77, b"")), "value of type 77"),
        (head(ARCHITECTURE, ARCHITECTURE), "is there twice"),
        (head(ARCHITECTURE, key("general.alignment", UINT32, struct.pack("<I", 0))), "alignment is 0"),
        (head(ARCHITECTURE, key("general.alignment", UINT32, struct.pack("<I", 33))), "alignment is 33"),
        (head(ARCHITECTURE), "holds no model"),
        (head(tensors=ONE_TENSOR, tensor_count=1) + bytes(300), "holds no model"),
        (head(ARCHITECTURE, tensors=ONE_TENSOR, tensor_count=1), "more data than the file holds"),
        (head(ARCHITECTURE, tensors=text("t") + struct.pack("<I", 99), tensor_count=1) + bytes(99), "99 dimensions"),
        (
            head(ARCHITECTURE, tensors=text("t") + struct.pack("<IQIQ", 1, 32, 4000, 0), tensor_count=1) + bytes(300),
            "type 4000",
        ),
        (
            head(ARCHITECTURE, tensors=text("t") + struct.pack("<IQQIQ", 2, 1 << 63, 1 << 63, 0, 0), tensor_count=1),
            "more data than the file holds",
        ),
        (
            head(ARCHITECTURE, key("general.type", STRING, text("adapter")), tensors=ONE_TENSOR, tensor_count=1),
            "changes another model",
        ),
        (
            head(ARCHITECTURE, key("llama.pooling_type", UINT32, bytes(4)), tensors=ONE_TENSOR, tensor_count=1),
            "turns text into vectors",
        ),
        (
            head(ARCHITECTURE, key("split.count", 2, struct.pack("<H", 3)), tensors=ONE_TENSOR, tensor_count=1),
            "llama-gguf-split",
        ),
    ],
)
def test_what_is_no_model_is_refused_with_a_reason(tmp_path, data, words):
    assert words in refusal(tmp_path, data)


def test_a_folder_and_a_missing_file_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none.gguf"):
        with pytest.raises(LocalError, match="can't be read"):
            read_header(path)


def test_a_header_of_lies_costs_neither_time_nor_memory(tmp_path):
    strings = 1_000_000
    path = tmp_path / "big.gguf"
    with path.open("wb") as file:
        file.write(head(key("tokenizer.ggml.tokens", ARRAY, struct.pack("<IQ", STRING, strings)), key_count=60_000))
        file.truncate(file.tell() + 8 * strings)
    tracemalloc.start()
    start = time.monotonic()
    with pytest.raises(LocalError, match="cut short"):
        read_header(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000
    assert time.monotonic() - start < 60


def test_a_header_longer_than_any_model_s_is_refused(tmp_path):
    path = tmp_path / "long.gguf"
    with path.open("wb") as file:
        file.write(head(key("a", ARRAY, struct.pack("<IQ", 0, 100 << 20)), key_count=2))
        file.truncate(1 << 30)  # sparse: it takes no room
    with pytest.raises(LocalError, match="holds no model"):
        in_process(path)
    with path.open("r+b") as file:
        file.write(head(key("a", ARRAY, struct.pack("<IQ", 5, 40 << 20)), key_count=2))
    with pytest.raises(LocalError, match="longer than 128 MiB"):
        in_process(path)


def test_every_cut_of_a_model_is_refused(tmp_path):
    path = written_by_the_library(tmp_path / "m.gguf", chat_vocabulary=40)
    whole = path.read_bytes()
    for length in random.Random(1).sample(range(len(whole) - 64), 200):
        assert refusal(tmp_path, whole[:length])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_change_of_bytes_does_more_than_raise_our_error(tmp_path: Path, data):
    whole = bytearray(
        head(ARCHITECTURE, key("a", ARRAY, struct.pack("<IQ", STRING, 2) + text("x") * 2), tensor_count=1)
    )
    whole += ONE_TENSOR + bytes(200)
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(4, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "mangled.gguf"
    path.write_bytes(whole)
    try:
        seen = in_process(path)
    except LocalError:
        return
    assert seen.parameters >= 0
