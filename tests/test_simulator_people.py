"""Who asks what and when: numbers as planned, texts real and attributed, the same for the same seed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from nodes.emergency import Emergencies
from nodes.emergency_plan import EmergencyPlan
from protocol.errors import LocalError
from simulator.people import LANGUAGES, answer_for, level, plan_day
from simulator.scenario.plan import Emergency, PeoplePlan

TEXTS = Path(__file__).parent.parent / "simulator" / "texts"
HOUSES = list(range(10, 50))


def planned(seed=1, hours=24.0, start_hour=6.0, houses=HOUSES, **people):
    return plan_day(PeoplePlan(**people), houses, start_hour=start_hour, hours=hours, rng=Random(f"people {seed}"))


def rows(language):
    return [json.loads(line) for line in (TEXTS / f"{language}.jsonl").read_text().splitlines()]


def cleaned(text):
    """Without marks of sounds and of writing direction."""
    text = unicodedata.normalize("NFC", re.sub(r"\[(breath|snap)\]\s*", "", text))
    return "".join(sign for sign in text if unicodedata.category(sign) != "Cf" or sign in "\u200c\u200d").strip()


# When


def test_as_many_questions_come_as_planned_wherever_the_day_begins():
    for start_hour in (0.0, 6.0, 20.5):
        counts = [len(planned(seed, 48, start_hour, questions_per_day=100)[0]) for seed in range(200)]
        assert sum(counts) / 200 == pytest.approx(200, abs=4), start_hour
        variance = sum((count - 200) ** 2 for count in counts) / 200
        assert 130 < variance < 280, start_hour  # a Poisson number varies by its mean


@pytest.mark.parametrize("peak", [1.0, 3.0])
def test_the_day_has_its_evening_peak_and_its_quiet_night(peak):
    questions, _ = planned(hours=240, start_hour=0, questions_per_day=5000, evening_peak=peak)
    hours = Counter(int(question.time_s / 3600 % 24) for question in questions)
    assert hours[19] / hours[12] == pytest.approx(peak, rel=0.1)
    assert hours[2] / hours[12] == pytest.approx(0.1, rel=0.3)
    assert [level(hour, peak) for hour in (3, 12, 20, 24 + 12)] == pytest.approx([0.1, 1, peak, 1])


def test_questions_are_sorted_and_lie_within_the_run():
    questions, texts = planned(hours=5, questions_per_day=2000, texts_per_day=500)
    for plan in (questions, texts):
        times = [one.time_s for one in plan]
        assert times == sorted(times)
        assert 0 <= times[0] < times[-1] < 5 * 3600
    assert {question.house for question in questions} == set(HOUSES)


def test_the_same_seed_plans_the_same_and_another_something_else():
    assert planned(1) == planned(1) != planned(2)


def test_nobody_asks_where_nobody_lives_or_nothing_is_planned():
    assert planned(houses=[]) == ([], [])
    assert planned(questions_per_day=0) == ([], [])


# What


def test_some_questions_are_repeated_word_for_word_and_a_few_of_them_often():
    questions, _ = planned(questions_per_day=4000, alike=0.3)
    counts = Counter(question.text for question in questions)
    repeats = sum(count - 1 for count in counts.values())
    assert repeats / len(questions) == pytest.approx(0.3, abs=0.03)
    assert counts.most_common(1)[0][1] > 10
    assert max(Counter(question.text for question in planned(questions_per_day=4000, alike=0)[0]).values()) == 1


def test_languages_have_their_shares():
    questions, _ = planned(questions_per_day=3000, languages={"sw": 0.75, "en": 0.25})
    assert Counter(question.language for question in questions)["sw"] / len(questions) == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_questions_short_enough_for_the_air(language):
    questions, texts = planned(questions_per_day=600, texts_per_day=50, alike=0, languages={language: 1})
    assert max(len(question.text.encode()) for question in questions) < 1500
    assert all(question.text.strip() and "\0" not in question.text for question in questions)
    assert max(len(text.text.encode()) for text in texts) < 800
    alarmed = [question.text for question in questions if Emergencies(EmergencyPlan()).notice(question.text)]
    assert alarmed == []


def test_in_an_emergency_most_houses_ask_once_and_mostly_the_same():
    questions, _ = planned(
        questions_per_day=0, emergencies=(Emergency(at_hour=2, minutes=20, share=0.7), Emergency(at_hour=30))
    )
    assert len(questions) == len({question.house for question in questions}) == 28
    assert all(2 * 3600 <= question.time_s < 2 * 3600 + 1200 and question.emergency for question in questions)
    assert len({question.text for question in questions}) < 18


@pytest.mark.parametrize(
    "people",
    [
        {"languages": {"tlh": 1}},
        {"languages": {}},
        {"languages": {"en": -1}},
        {"questions_per_day": -1},
        {"texts_per_day": 1e9},
        {"evening_peak": -1},
        {"emergencies": (Emergency(at_hour=1, share=2),)},
    ],
)
def test_what_cannot_be_planned_is_refused(people):
    with pytest.raises(LocalError):
        planned(**people)


# Answers


@pytest.mark.parametrize("language", LANGUAGES)
def test_answers_are_in_the_questions_language_and_as_long_as_wanted(language):
    known = " ".join(row["text"] for row in rows(language) if row["kind"] == "answer")
    for question in planned(questions_per_day=100, languages={language: 1})[0]:
        for chars in (40, 350, 2000):
            answer = answer_for(question.text, chars)
            assert chars - 30 < len(answer) <= chars
            assert answer.split()[0] in known
            assert answer[:25] in known


def test_an_answer_is_cut_at_a_word():
    whole, part = answer_for("Why?", 400), answer_for("Why?", 100)
    assert whole.startswith(part)
    assert whole[len(part)].isspace()
    assert len(answer_for("Why?", 1)) == 1


def test_questions_get_different_answers_and_the_same_one_the_same_in_every_process():
    assert len({answer_for(f"Why {number}?", 100) for number in range(100)}) > 8
    code = "from simulator.people import answer_for; print(ascii(answer_for('Why?', 200)))"
    for hash_seed in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": hash_seed}
        )
        assert told.stdout.strip() == ascii(answer_for("Why?", 200))


@pytest.mark.parametrize("chars", [0, 20_001])
def test_answers_of_impossible_lengths_are_refused(chars):
    with pytest.raises(LocalError):
        answer_for("Why?", chars)


# Texts


def test_every_text_names_a_source_that_is_attributed_and_nothing_else_is():
    attributed = set(re.findall(r"^\[(\w+)\]", (TEXTS / "ATTRIBUTION.txt").read_text(), re.MULTILINE))
    assert {row["src"] for language in LANGUAGES for row in rows(language)} == attributed | {"own"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_texts_are_held_out_ones_that_no_pack_was_made_from(language):
    held_out = (Path(__file__).parent / "benchmarks" / "data" / f"{language}.dev.jsonl").read_text()
    known = {cleaned(json.loads(line)["text"]) for line in held_out.splitlines()}
    assert {row["text"] for row in rows(language) if row["src"] != "own"} <= known
    kinds = Counter(row["kind"] for row in rows(language))
    assert min(kinds["prompt"], kinds["answer"]) > 10
    assert kinds["emergency"] == 4


def test_the_texts_stay_small_enough_to_travel_with_the_program():
    assert sum(path.stat().st_size for path in TEXTS.rglob("*") if path.is_file()) < 200_000
