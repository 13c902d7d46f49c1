"""What is planned for a radio, from what it is and what its owner wants."""

from dataclasses import replace
from random import Random

import pytest

from nodes.interfaces import ChannelKey
from nodes.radio_law import REGIONS, law_line
from nodes.radio_setup import (
    CHANNEL_NAME,
    ChannelSlot,
    Settings,
    SharedChannel,
    Wishes,
    check_kept,
    plan_setup,
)
from protocol.budget import DUTY_CYCLE
from protocol.errors import LocalError

PUBLIC = ChannelSlot(0, "", b"\x01", ChannelKey.DEFAULT, used=True)
FREE = tuple(ChannelSlot(index) for index in range(1, 8))
FRESH = Settings("EU_868", "LONG_FAST", True, False, False, False, (PUBLIC, *FREE))
KEY, OTHER_KEY = bytes(range(32)), bytes(32)


def planned(settings=FRESH, **wishes):
    return plan_setup(settings, Wishes(**wishes), Random(1).randbytes)


def a_slot(index, name, key=KEY, worth=ChannelKey.OWN):
    return ChannelSlot(index, name, key, worth, used=True)


def having(*slots, settings=FRESH):
    """The settings with these slots in place of the free ones."""
    by_index = {slot.index: slot for slot in slots}
    return replace(settings, slots=tuple(by_index.get(slot.index, slot) for slot in settings.slots))


def shared(name="serial", key=KEY, region="EU_868", preset="LONG_FAST"):
    return SharedChannel(name, key, region, preset)


def test_a_channel_with_a_fresh_key_is_made_in_the_first_free_place():
    plan = planned(having(a_slot(1, "family")))
    assert (plan.slot.index, plan.slot.name, len(plan.slot.key)) == (2, CHANNEL_NAME, 32)
    assert plan.changes == ("channel 2: 'serial', with the key of its own",)
    assert (plan.changes_channel, plan.changes_lora, plan.public) == (True, False, False)


def test_every_radio_gets_another_key():
    rng = Random(1)
    keys = {plan_setup(FRESH, Wishes(), rng.randbytes).slot.key for _ in range(10)}
    assert len(keys) == 10


def test_a_radio_that_is_as_it_should_be_is_left_alone():
    plan = planned(having(a_slot(1, CHANNEL_NAME)))
    assert plan.changes == ()
    assert not plan.changes_lora
    assert not plan.changes_channel
    assert plan.slot.key == KEY


def test_a_channel_of_ones_own_is_used_by_name_also_when_it_is_the_primary_one():
    primary = replace(FRESH, slots=(a_slot(0, "village"), *FREE))
    assert planned(primary, channel="village").slot.index == 0
    assert planned(primary, channel="village").changes == ()


@pytest.mark.parametrize("worth", [ChannelKey.DEFAULT, ChannelKey.NONE])
def test_a_public_channel_is_not_taken_for_a_private_one(worth):
    with pytest.raises(LocalError, match="everyone reads along"):
        planned(having(a_slot(1, "serial", b"\x01", worth)))


def test_without_a_free_place_nothing_is_removed():
    full = having(*(a_slot(index, f"c{index}") for index in range(1, 8)))
    with pytest.raises(LocalError, match="no room for a channel"):
        planned(full)
    assert planned(full, channel="c3").slot.index == 3


def test_a_radio_without_a_region_needs_one_and_the_law_is_told():
    unset = replace(FRESH, region="UNSET", transmits=False)
    with pytest.raises(LocalError, match=r"no region.*869.4 to 869.65 MHz, 27 dBm, at most 10 % of any hour"):
        planned(unset)
    plan = planned(unset, region="US")
    assert plan.changes[:2] == ("region US instead of UNSET", "transmitter on instead of off")
    assert plan.changes_lora


@pytest.mark.parametrize("region", ["", "UNSET"])
def test_a_region_that_is_unknown_needs_naming_too(region):
    with pytest.raises(LocalError, match="has no region"):
        planned(replace(FRESH, region=region))


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"region": "ATLANTIS"}, "unknown region 'ATLANTIS'"),
        ({"preset": "WARP"}, "unknown preset 'WARP'"),
        ({"channel": "much too long a name"}, "can't be a channel's name"),
        ({"channel": "ünïcödé!"}, "can't be a channel's name"),
        ({"channel": "a\nb"}, "can't be a channel's name"),
        ({"channel": "  "}, "can't be a channel's name"),
        ({"channel": "Admin"}, "can't be meshai's channel"),
        ({"channel": "gpio"}, "can't be meshai's channel"),
        ({"public": True, "channel": "none"}, "has no channel 'none'"),
    ],
)
def test_what_cannot_be_is_refused(wishes, words):
    with pytest.raises(LocalError) as refused:
        planned(**wishes)
    assert words in f"{refused.value.what} {refused.value.why}"


def test_a_custom_modem_setting_needs_a_preset():
    with pytest.raises(LocalError, match="custom setting"):
        planned(replace(FRESH, preset=""))
    assert (
        "preset LONG_FAST instead of a custom setting" in planned(replace(FRESH, preset=""), preset="LONG_FAST").changes
    )


def test_the_public_channel_is_used_only_when_asked_for_and_nothing_is_made():
    plan = planned(public=True)
    assert (plan.slot, plan.public, plan.changes) == (PUBLIC, True, ())
    assert planned(having(a_slot(2, "club", b"", ChannelKey.NONE)), public=True, channel="club").slot.index == 2


def test_in_ham_mode_private_is_refused_with_the_law_and_public_is_possible():
    ham = replace(FRESH, licensed=True)
    with pytest.raises(LocalError, match="forbids secrets"):
        planned(ham)
    with pytest.raises(LocalError, match="forbids secrets"):
        planned(ham, link=(shared(),))
    assert planned(ham, public=True).slot == PUBLIC


def test_ok_to_mqtt_is_cleared_only_on_request():
    on = replace(FRESH, ok_to_mqtt=True)
    assert planned(on).ok_to_mqtt
    plan = planned(on, clear_mqtt=True)
    assert not plan.ok_to_mqtt
    assert "`OK to MQTT` off instead of on" in plan.changes
    assert not planned(clear_mqtt=True).changes_lora


def test_where_the_serial_module_is_on_its_traffic_on_our_channel_is_told():
    on = replace(FRESH, serial_module=True)
    assert "Serial module" in planned(on).remarks[0]
    assert planned(on, channel="meshai").remarks == ()
    assert planned().remarks == ()


def test_a_neighbours_channel_is_added_and_the_others_stay():
    settings = having(a_slot(1, "family", OTHER_KEY))
    plan = planned(settings, link=(shared(),))
    assert plan.slot == a_slot(2, "serial")
    assert plan.changes == ("channel 2: 'serial', with the key that the link gives",)


def test_a_neighbours_channel_that_is_there_already_is_used():
    plan = planned(having(a_slot(4, "serial")), link=(shared(),))
    assert (plan.slot.index, plan.changes) == (4, ())


def test_a_neighbours_channel_of_the_same_name_is_added_beside_ours():
    plan = planned(having(a_slot(1, "serial", OTHER_KEY)), link=(shared(),))
    assert (plan.slot.index, plan.slot.key) == (2, KEY)


def test_of_several_channels_in_a_link_ours_or_the_named_one_is_meant():
    link = (shared("", b"\x01"), shared("family"), shared("serial", OTHER_KEY))
    assert planned(link=link).slot.name == "serial"
    assert planned(link=link, channel="family").slot.name == "family"
    assert planned(link=link[:2]).slot.name == "family"


@pytest.mark.parametrize(
    ("link", "channel", "words"),
    [
        ((shared("", b"\x01"), shared("", b"")), "", "only public channels"),
        ((shared("one"), shared("two")), "", "'one', 'two'"),
        ((shared("one"),), "two", "'one'"),
        ((shared(preset="SHORT_FAST"),), "", "can't hear one another.*--preset SHORT_FAST"),
        ((shared(region="US"),), "", "can't hear one another.*--region US"),
        ((shared("admin"),), "", "can't be meshai's channel"),
        ((shared(""),), "", "can't be a channel's name"),
    ],
)
def test_a_link_that_does_not_fit_is_refused(link, channel, words):
    with pytest.raises(LocalError, match=words):
        planned(link=link, channel=channel)


def test_a_link_that_names_no_air_is_taken_for_this_one():
    assert planned(link=(shared(region="", preset=""),)).slot.name == "serial"


def test_a_link_from_another_preset_is_joined_with_that_preset():
    plan = planned(link=(shared(preset="SHORT_FAST"),), preset="SHORT_FAST")
    assert plan.changes[0] == "preset SHORT_FAST instead of LONG_FAST"


def test_what_was_kept_is_compared_with_the_plan():
    plan = planned()
    kept = having(plan.slot)
    check_kept(plan, kept)
    for other in (
        replace(kept, region="US"),
        replace(kept, preset=""),
        replace(kept, transmits=False),
        replace(kept, ok_to_mqtt=True),
        FRESH,
        having(replace(plan.slot, name="other")),
        having(replace(plan.slot, key=OTHER_KEY)),
    ):
        with pytest.raises(LocalError, match="did not keep"):
            check_kept(plan, other)


def test_every_region_with_a_duty_cycle_says_so():
    for region in REGIONS:
        assert ("% of any hour" in law_line(region)) == (region in DUTY_CYCLE)
