"""The language files: complete, honest about who made them, small enough for the air, and recognised in texts."""

from __future__ import annotations

import json
import re
import string
from pathlib import Path

import pytest

from nodes.languages import KINDS, ORIGINAL, fold, language, languages, likely
from nodes.languages.books import read_language
from nodes.languages.words import matcher, template_matcher
from nodes.phone_text.reading import command_in
from protocol.errors import LocalError

CODES = ["en", "ar", "es", "fr", "ha", "hi", "id", "pt", "sw", "xh", "yo", "zu"]
HEAD = 'language = "X"\ntranslator = "me"\nreviewer = ""\nreviewed = false\n'
DATA = Path(__file__).parent / "benchmarks" / "data"


def placeholders(template):
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_the_languages_of_the_text_packs_are_there():
    assert list(languages()) == CODES


@pytest.mark.parametrize("code", CODES)
def test_a_file_names_its_translator_and_whether_anybody_reviewed_it(code):
    book = language(code)
    assert book.translator
    assert book.reviewed == bool(book.reviewer)
    assert book.reviewed == (code == ORIGINAL), "drafts by machine stay unreviewed until somebody signs"


@pytest.mark.parametrize("code", CODES)
def test_phrases_take_the_same_values_as_the_english_ones_and_stay_short(code):
    english, book = language(ORIGINAL), language(code)
    assert book.phrases.keys() <= english.phrases.keys()
    for name, phrase in book.phrases.items():
        assert placeholders(phrase) == placeholders(english.phrases[name]), name
        assert len(phrase.encode()) <= 190, name
        assert phrase.isprintable(), name


@pytest.mark.parametrize("code", CODES)
def test_every_command_and_every_kind_of_emergency_has_words(code):
    book = language(code)
    assert book.commands.keys() == language(ORIGINAL).commands.keys()
    assert all(book.commands.values())
    assert all(word for words in book.commands.values() for word in words)
    assert set(book.alarms) == set(KINDS)
    assert all(pattern.pattern != "(?!)" for pattern in book.alarms.values())


@pytest.mark.parametrize("code", CODES)
def test_no_phrase_of_a_language_is_one_of_its_own_commands(code):
    words = {word for words in language(code).commands.values() for word in words}
    assert not [phrase for phrase in language(code).phrases.values() if fold(phrase) in words]


@pytest.mark.parametrize("code", CODES)
def test_the_words_that_help_and_the_hint_name_are_commands(code):
    book = language(code)
    named = book.say("help", ai="").rpartition(":")[2].strip(" .।")
    commands = [command_in(word, preferred=(code,)) for word in re.split("[,،]", named)]
    assert commands == [(name, code) for name in ("more", "ping", "status", "models", "forget")]
    hint = book.say("more", ai="").rpartition(":")[2].strip(" )")
    assert command_in(hint, preferred=(code,)) == ("more", code)


def test_a_missing_phrase_is_english():
    book = read_language("xx", HEAD + '[phrases]\nfailed = "Nichts."\n')
    assert book.say("failed") == "Nichts."
    assert book.say("wait", wait=3) == "Please wait 3 s, then ask."
    assert language("nowhere") is language(ORIGINAL)


@pytest.mark.parametrize(
    "text",
    [
        "language = ",
        'language = "X"',
        HEAD.replace('reviewer = ""', 'reviewer = "you"'),
        HEAD.replace("false", "true"),
        HEAD + "phrases = 3",
    ],
)
def test_a_file_that_can_not_be_meant_is_refused(text):
    with pytest.raises(LocalError, match=r"xx\.toml"):
        read_language("xx", text)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("  FIRE!!! ", "fire"),
        ("Fiiiire", "fire"),
        ("¿Dónde está?", "donde esta"),
        ("l'incendie", "l incendie"),
        ("ƙone ɓarawo", "kone barawo"),
        ("Ẹ̀JẸ̀", "eje"),
        ("ज़हर", "जहर"),
        ("الأَفْعى", "الافعي"),
        ("a\u200bb", "ab"),
        ("2000 €", "2000"),
    ],
)
def test_folding(text, folded):
    assert fold(text) == folded


def test_entries_match_whole_words_with_stars_and_gaps():
    pattern = matcher(["burn*", "drank ~ bleach", "can't swim"])
    assert pattern.search("he burned it")
    assert pattern.search("drank bleach")
    assert pattern.search("drank a whole big bottle") is None
    assert pattern.search("she drank a lot of bleach")
    assert not pattern.search("she drank a whole lot more of bleach")
    assert pattern.search(fold("He can\u2019t swim!"))
    assert not pattern.search("heartburn")
    assert not matcher([]).search("")


def test_a_phrase_is_recognised_whatever_was_filled_in():
    pattern = template_matcher("Please wait {wait} s, then ask.")
    assert pattern.fullmatch(fold("please wait 12 s, then ask"))
    assert not pattern.fullmatch(fold("please wait for me"))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Why is the sky blue?", "en"),
        ("Kwa nini anga ni bluu?", "sw"),
        ("¿Por qué el cielo es azul?", "es"),
        ("Pourquoi le ciel est-il bleu ?", "fr"),
        ("आसमान नीला क्यों है?", "hi"),
        ("لماذا السماء زرقاء وما هو السبب؟", "ar"),
        ("Mengapa langit itu biru?", "id"),
    ],
)
def test_a_questions_language_is_recognised(text, code):
    assert likely(text)[0] == code


def test_two_words_are_too_short_to_tell():
    assert likely("ok") == ()
    assert likely("") == ()


@pytest.mark.parametrize("code", CODES)
def test_held_out_prompts_are_rarely_taken_for_another_language(code):
    lines = (DATA / f"{code}.dev.jsonl").read_text(encoding="utf-8").splitlines()
    prompts = [form["text"] for form in map(json.loads, lines) if form["kind"] == "prompt"]
    wrong = [prompt for prompt in prompts if likely(prompt) and code not in likely(prompt)]
    assert len(wrong) <= len(prompts) // 10, wrong
