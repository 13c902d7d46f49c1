"""`meshai models` as a person and as a program see it."""

import json
import shutil

import pytest
from click.testing import CliRunner

from meshai.commands.models import command

pytestmark = pytest.mark.realtime


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MESHAI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "home" / "models").mkdir(parents=True)
    return tmp_path / "home"


def said(*arguments, code=0):
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == code, (result.output, result.exception)
    return result


def test_without_a_model_the_next_command_is_named(home):
    assert "Next: meshai models get smollm2-135m" in said().stdout
    answer = json.loads(said("--json").stdout)
    assert answer["models"] == []
    assert answer["device"]["processor"] in ("CPU", "GPU")


def test_a_model_is_shown_with_all_that_its_file_says(home, tiny_gguf):
    said("add", str(tiny_gguf))
    (model,) = json.loads(said("--json").stdout)["models"]
    assert model["name"] == "tiny"
    assert model["parameters"] == 32
    assert model["quantisation"] == "F32"
    assert model["context_tokens"] == 512
    assert model["chats"] is True
    assert model["fits"] is True
    assert model["adopted"] is True
    line = next(line for line in said().stdout.splitlines() if line.startswith("tiny"))
    assert {"tiny", "F32", "512", "chat", "yes", "unknown"} <= set(line.split())
    assert "models run on the" in said("list").stdout


def test_missing_unusable_and_unfinished_files_are_listed_as_such(home, tiny_gguf):
    said("add", str(tiny_gguf))
    tiny_gguf.unlink()
    (home / "models" / "bad.gguf").write_text("<html>")
    (home / "models" / "half.gguf.part").write_bytes(b"GGUF")
    result = said()
    assert "missing" in result.stdout
    assert "unusable" in result.stdout
    assert "looks like a web page" in result.stderr
    assert "Unfinished: half.gguf.part" in result.stderr
    answer = json.loads(said("--json").stdout)
    assert {model["name"]: model["missing"] for model in answer["models"]} == {"bad": False, "tiny": True}
    assert len(answer["unfinished"]) == 1


def test_a_hostile_title_can_t_write_to_the_terminal(home, tiny_gguf):
    name = "x\x1b[2Jy.gguf"
    shutil.copy(tiny_gguf, tiny_gguf.with_name(name))
    said("add", str(tiny_gguf.with_name(name)))
    assert "\x1b" not in said().stdout


def test_the_catalogue_says_what_fits_and_what_nobody_tried(home):
    result = said("--catalogue").stdout
    assert "none known" in result
    assert "tiny-aya-earth" in result
    answer = json.loads(said("--catalogue", "--json").stdout)
    models = {model["name"]: model for model in answer["models"]}
    assert models["smollm2-135m"]["tried"] is True
    assert models["qwen3-8b"]["tried"] is False
    assert isinstance(models["qwen3-8b"]["fits"], bool)
    assert {language["code"] for language in answer["languages"]} >= {"en", "sw", "ar"}


def test_adopting_and_removing_answer_in_json_too(home, tiny_gguf):
    answer = json.loads(said("adopt", str(tiny_gguf), "--name", "mine", "--json").stdout)
    assert [model["name"] for model in answer["models"]] == ["mine"]
    assert json.loads(said("remove", "mine", "--json").stdout)["deleted"] is False
    assert tiny_gguf.exists()


def test_errors_are_a_sentence_and_a_code(home):
    result = said("get", "no-such-model", code=1)
    assert "The catalogue has no model called 'no-such-model'" in result.stderr
    assert result.stdout == ""
    assert json.loads(said("remove", "none", "--json", code=1).stdout)
    (home / "models" / "models.json").write_text("{")
    assert "is damaged" in said(code=1).stderr


@pytest.mark.model
def test_getting_a_model_that_lies_there_unlisted_checks_it_once(home, model_file):
    (home / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf").symlink_to(model_file)
    first = json.loads(said("get", "smollm2-135m", "--json").stdout)
    assert first["new"] is False
    assert first["model"]["checked"] is True
    assert "is here already" in said("get", "smollm2-135m").stdout
