"""The packs on this device: the shipped ones are what the registry says, a community's own join them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from text_packs import SENTENCES, pieces, tiny_bytes

from meshai.commands.packs import command
from nodes import packs
from nodes.packs import PackFile, load_packs, pack_files, packs_dir, shipped_dir, text_coder
from protocol.errors import LocalError
from protocol.text import REGISTERED, TextCoder

DOC = Path(__file__).parent.parent / "docs" / "compact-text.md"
SPOKEN = {
    "en": "How do I treat a snake bite while the doctor is on the way?",
    "sw": "Je, nifanye nini nikiumwa na nyoka kabla ya daktari kufika?",
    "ha": "Me zan yi idan maciji ya sare ni kafin likita ya zo?",
    "yo": "Kí ni kí n ṣe bí ejò bá bù mí jẹ kí dókítà tó dé?",
    "zu": "Ngenzeni uma ngilunywe yinyoka ngaphambi kokuba kufike udokotela?",
    "xh": "Ndenze ntoni xa ndilunywe yinyoka phambi kokuba kufike ugqirha?",
    "es": "¿Qué hago si me muerde una serpiente antes de que llegue el médico?",
    "fr": "Que faire si un serpent me mord avant l'arrivée du médecin ?",
    "pt": "O que faço se uma cobra me morder antes de o médico chegar?",
    "hi": "डॉक्टर के आने से पहले साँप काट ले तो मैं क्या करूँ?",
    "ar": "ماذا أفعل إذا لدغتني أفعى قبل وصول الطبيب؟",
    "id": "Apa yang harus saya lakukan jika digigit ular sebelum dokter datang?",
    "code": "def mean(values):\n    return sum(values) / len(values)\n",
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MESHAI_HOME", str(tmp_path / "home"))
    for cached in (load_packs, text_coder):
        cached.cache_clear()
    yield tmp_path / "home"
    for cached in (load_packs, text_coder):
        cached.cache_clear()


def said(*arguments, code=0):
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == code, (result.output, result.exception)
    return result


def test_every_registered_pack_is_shipped_with_its_bytes_and_its_notice(home):
    assert {file.number for file in pack_files()} == set(REGISTERED)
    assert set(load_packs()) == set(REGISTERED)
    for pack in REGISTERED.values():
        assert load_packs()[pack.number].name == pack.name
        notice = (shipped_dir() / f"{pack.name}.LICENCE.txt").read_text()
        assert "CC BY" in notice


GOLDEN = re.findall(r"^\| (\d+) \| `(.+)` \| `([0-9a-f]+)` \|$", DOC.read_text(), re.MULTILINE)


@pytest.mark.parametrize(("number", "text", "data"), GOLDEN)
def test_golden_vectors_of_the_documentation_hold(home, number, text, data):
    one_pack = TextCoder({int(number): load_packs()[int(number)]}) if int(number) > 1 else TextCoder({})
    assert one_pack.encode(text, readable=-1).hex() == data
    assert one_pack.decode(bytes.fromhex(data), max_bytes=len(text.encode())) == text


def test_every_pack_has_a_golden_vector():
    assert {int(number) for number, _, _ in GOLDEN} >= {0, *REGISTERED}


@pytest.mark.parametrize("language", sorted(SPOKEN))
def test_each_language_is_short_in_its_own_pack(home, language):
    text_coder_ = text_coder()
    (number,) = (pack.number for pack in REGISTERED.values() if pack.name == language)
    data = text_coder_.encode(SPOKEN[language], readable=text_coder_.bitmap)
    assert data[0] == number
    assert len(data) < 0.5 * len(SPOKEN[language].encode())
    assert text_coder_.decode(data, max_bytes=1000) == SPOKEN[language]


def test_a_file_is_hashed_once_and_again_when_it_changes(home, tmp_path, monkeypatch):
    path = tmp_path / "en.pack"
    path.write_bytes(tiny_bytes())
    hashed = []
    digest = packs.hashlib.file_digest
    monkeypatch.setattr(packs.hashlib, "file_digest", lambda *how: hashed.append(1) or digest(*how))
    good = PackFile(2, "en", "English", path, 1, packs.hashlib.sha256(tiny_bytes()).hexdigest())
    monkeypatch.setattr(packs, "pack_files", lambda: [good])
    for _ in range(2):
        load_packs.cache_clear()
        assert set(load_packs()) == {2}
    assert len(hashed) == 1
    path.write_bytes(tiny_bytes()[:-2] + b"zz")
    load_packs.cache_clear()
    with pytest.raises(LocalError, match="isn't the pack that its number stands for"):
        load_packs()
    (packs_dir() / "checked.json").write_text("[]")
    path.write_bytes(tiny_bytes())
    assert set(load_packs()) == {2}


def test_a_communitys_own_pack_joins_the_shipped_ones(home, tmp_path):
    text = tmp_path / "ours.txt"
    text.write_bytes(b"\0".join(pieces()))
    made = json.loads(said("train", "ours", str(text), "--number", "50", "--json").stdout)
    assert made["path"] == str(packs_dir() / "50-ours.pack")
    assert made["pieces"] == len(pieces())
    (packs_dir() / "12-strange.pack").write_bytes(tiny_bytes())
    listed = json.loads(said("--json").stdout)["packs"]
    assert [pack["number"] for pack in listed] == [*REGISTERED, 50]
    assert listed[-1]["ours"] is False
    assert "50  ours" in said("list").stdout
    coder = text_coder()
    data = coder.encode(SENTENCES[3] + " 2.", readable=coder.bitmap)
    assert data[0] == 50
    assert coder.decode(data, max_bytes=100) == SENTENCES[3] + " 2."


@pytest.mark.parametrize(
    ("content", "why"), [(b"", "empty"), (b"<html>" * 100, "doesn't begin"), (tiny_bytes()[:-2], "sizes")]
)
def test_a_communitys_file_that_is_no_pack_is_named(home, content, why):
    packs_dir().mkdir(parents=True)
    (packs_dir() / "48-bad.pack").write_bytes(content)
    with pytest.raises(LocalError, match=rf"48-bad\.pack can't be used .*{why}"):
        load_packs()


def test_a_pack_can_be_written_elsewhere_and_its_making_is_shown(home, tmp_path):
    text, out = tmp_path / "ours.txt", tmp_path / "out.pack"
    text.write_text("\n\n".join(piece.decode().replace("\n", " ") for piece in pieces()))
    result = said("train", "ours", str(text), "--out", str(out))
    assert "made from 40 pieces" in result.stdout
    assert "learning, " in result.stderr
    assert out.stat().st_size > 100_000
    assert not packs_dir().exists()


def test_what_can_not_become_a_pack_is_refused(home, tmp_path):
    text = tmp_path / "ours.txt"
    text.write_text("too little")
    assert "takes at least 16" in said("train", "ours", str(text), code=1).stderr
    assert "plain letters" in said("train", "ours/../x", str(text), code=1).stderr


def test_without_a_compiler_the_time_is_told(home, tmp_path, monkeypatch):
    monkeypatch.setattr("nodes.text_loop.compiled_loop", lambda: None)
    text = tmp_path / "ours.txt"
    text.write_text("too little")
    assert "takes about 1 min" in said("train", "ours", str(text), code=1).stderr


@pytest.mark.realtime
def test_coding_with_every_pack_leaves_little_memory_behind(home):
    script = (
        "import resource, sys\n"
        "from nodes.packs import text_coder\n"
        "coder = text_coder()\n"
        "for text in sys.argv[1:]:\n"
        "    assert coder.decode(coder.encode(text, readable=coder.bitmap), max_bytes=1000) == text\n"
        "print(open('/proc/self/statm').read().split()[1], resource.getpagesize())\n"
    )
    if not sys.platform.startswith("linux"):
        script = script.replace("open('/proc/self/statm').read().split()[1]", "0")
    told = subprocess.run([sys.executable, "-c", script, *SPOKEN.values()], check=True, capture_output=True, text=True)
    pages, page_bytes = map(int, told.stdout.split())
    assert pages * page_bytes < 50e6
