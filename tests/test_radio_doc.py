"""docs/radio.md says what to do about everything that a radio, or meshai about a radio, can say."""

from dataclasses import replace
from pathlib import Path

import pytest

from nodes.bearers.deliveries import nak_words
from nodes.interfaces import ChannelKey, RadioChannel, RadioInfo
from nodes.radio_check import FIRMWARE_MIN, SetUp, check, judge
from nodes.radio_setup import CHANNEL_NAME

PAGE = " ".join((Path(__file__).parent.parent / "docs" / "radio.md").read_text().split())
INFO = RadioInfo(1, "Roof", "2.7.15.a", "EU_868", "LONG_FAST", 3, channels=(RadioChannel(1, "serial", ChannelKey.OWN),))
SET_UP = SetUp(1, "EU_868", 1, "serial", public=False, at_s=0)


def test_every_answer_of_a_radio_has_its_line():
    told = {words for number in range(1, 256) if not (words := nak_words(number)).startswith("the radio's error")}
    assert len(told) > 10
    assert {words for words in told if f"| {words} |" not in PAGE} == set()


@pytest.mark.parametrize(
    ("info", "set_up", "words"),
    [
        (INFO, None, "it was not set up for meshai yet, so it only listens"),
        (replace(INFO, region="UNSET"), SET_UP, "the radio has no region"),
        (replace(INFO, region=""), SET_UP, "the radio's region is unknown"),
        (replace(INFO, preset=""), SET_UP, "the radio has no known preset"),
        (replace(INFO, region="US"), SET_UP, "was set up for"),
        (replace(INFO, channels=()), SET_UP, "lost the channel"),
    ],
)
def test_every_reason_to_be_silent_has_its_line(info, set_up, words):
    assert words.removeprefix("it ") in judge(info, set_up, command="").silence
    assert f"| {words}" in PAGE


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"licensed": True}, "**Amateur radio (ham) mode**"),
        ({"ok_to_mqtt": True}, "*OK to MQTT*"),
        ({"role": "ROUTER"}, "Your own radio should be a CLIENT"),
        ({"hop_limit": 7}, "The hop limit is 3"),
        ({"firmware": "2.6.0"}, f"**{'.'.join(map(str, FIRMWARE_MIN))} or newer**"),
    ],
)
def test_every_doubtful_setting_is_explained(changes, words):
    assert list(check(replace(INFO, **changes)))
    assert words in PAGE


def test_the_channels_name_is_the_one_that_setting_up_takes():
    assert f"Why the channel is called `{CHANNEL_NAME}`" in PAGE
