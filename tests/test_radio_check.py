"""What is said about a radio's settings, and when meshai may send by it."""

from dataclasses import replace

import pytest

from nodes.interfaces import BROADCAST, ChannelKey, RadioChannel, RadioInfo, RadioNode, RadioRoute
from nodes.radio_check import SetUp, Severity, check, dropping_router, firmware_version, judge

PRIMARY = RadioChannel(0, "", ChannelKey.DEFAULT)
OURS = RadioChannel(1, "serial", ChannelKey.OWN)
GOOD = RadioInfo(0x1000, "Roof", "2.7.15.567b8ea", "EU_868", "LONG_FAST", 3, channels=(PRIMARY, OURS))
SET_UP = SetUp(0x1000, "EU_868", 1, "serial", public=False, at_s=1e9)
COMMAND = "meshai radio setup --radio serial"


def judged(info, set_up=SET_UP):
    return judge(info, set_up, command=COMMAND)


def changed(**fields):
    return replace(GOOD, **fields)


def test_a_good_radio_that_was_set_up_may_send_on_its_channel_and_nothing_is_said():
    verdict = judged(GOOD)
    assert (verdict.silence, verdict.channel, verdict.findings) == ("", 1, ())


def test_a_radio_that_was_never_set_up_only_listens_and_the_command_is_told():
    silence = judged(GOOD, None).silence
    assert "!00001000" in silence
    assert "only listens" in silence
    assert f"`{COMMAND}`" in silence


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (changed(region="UNSET"), "no region"),
        (changed(region=""), "region is unknown"),
        (changed(preset=""), "no known preset"),
        (changed(preset="WARP_SPEED"), "no known preset"),
        (changed(region="US"), "set up for EU_868 and is in US now"),
        (changed(channels=(PRIMARY,)), "lost the channel 'serial'"),
        (changed(channels=(PRIMARY, replace(OURS, key=ChannelKey.DEFAULT))), "lost the channel 'serial'"),
        (changed(channels=(PRIMARY, replace(OURS, key=ChannelKey.NONE))), "lost the channel 'serial'"),
        (changed(licensed=True, channels=(replace(PRIMARY, key=ChannelKey.NONE),)), "lost the channel"),
        (changed(channels=()), "lost the channel"),
    ],
)
def test_a_radio_that_is_not_as_it_was_set_up_only_listens(info, words):
    silence = judged(info).silence
    assert words in silence
    assert f"`{COMMAND}`" in silence


def test_a_channel_that_moved_is_found_by_its_name():
    verdict = judged(changed(channels=(PRIMARY, replace(OURS, index=5))))
    assert (verdict.silence, verdict.channel) == ("", 5)


def test_of_two_channels_of_one_name_the_one_that_was_chosen_is_used():
    twin = replace(OURS, index=3)
    assert judged(changed(channels=(PRIMARY, OURS, twin)), replace(SET_UP, channel_index=3)).channel == 3
    assert judged(changed(channels=(PRIMARY, OURS, twin))).channel == 1


def test_the_public_channel_is_used_where_the_owner_said_so_and_warned_about():
    public = SetUp(0x1000, "EU_868", 0, "", public=True, at_s=0)
    verdict = judged(GOOD, public)
    assert (verdict.silence, verdict.channel) == ("", 0)
    assert [finding.what for finding in verdict.findings] == ["messages go out on a public channel"]


def test_a_virtual_radio_may_always_send_since_nothing_leaves_the_computer():
    virtual = changed(firmware="2.8.0.virtual", channels=(PRIMARY,))
    assert judged(virtual, None).silence == ""
    assert judged(virtual, None).channel == 0
    assert judged(replace(virtual, channels=(PRIMARY, OURS))).channel == 1


@pytest.mark.parametrize("firmware", ["2.8.0.virtua1", "2.8.0.567b8ea", "virtual", ""])
def test_no_other_firmware_passes_for_virtual(firmware):
    assert judged(changed(firmware=firmware), None).silence


@pytest.mark.parametrize(
    ("info", "severity", "words"),
    [
        (changed(region="UNSET"), Severity.STOP, "no region"),
        (changed(region=""), Severity.STOP, "region is unknown"),
        (changed(preset=""), Severity.STOP, "no known preset"),
        (changed(firmware="2.7.14.abc"), Severity.WARNING, "older than 2.7.15"),
        (changed(firmware="1.3.9"), Severity.WARNING, "older than 2.7.15"),
        (changed(firmware=""), Severity.WARNING, "does not tell its firmware"),
        (changed(firmware="homebrew"), Severity.WARNING, "does not tell its firmware"),
        (changed(role="ROUTER"), Severity.WARNING, "role is ROUTER"),
        (changed(role="ROUTER_LATE"), Severity.WARNING, "role is ROUTER_LATE"),
        (changed(role="REPEATER"), Severity.WARNING, "role is REPEATER"),
        (changed(licensed=True), Severity.WARNING, "amateur radio"),
        (changed(ok_to_mqtt=True), Severity.WARNING, "OK to MQTT"),
        (changed(hop_limit=7), Severity.NOTE, "hop limit is 7"),
    ],
)
def test_a_doubtful_setting_is_told_with_reason_and_remedy(info, severity, words):
    (finding,) = check(info, OURS)
    assert finding.severity is severity
    assert words in finding.what
    assert finding.why
    assert finding.fix


@pytest.mark.parametrize("role", ["CLIENT", "CLIENT_MUTE", "CLIENT_BASE", ""])
def test_the_usual_roles_are_nothing_to_tell(role):
    assert not list(check(changed(role=role), OURS))


def test_a_radio_on_the_network_gives_its_private_key_to_whoever_reaches_it():
    (finding,) = check(GOOD, OURS, over_network=True)
    assert "private key" in finding.why
    assert "USB" in finding.fix


def test_an_uplinked_channel_is_warned_about():
    (finding,) = check(GOOD, replace(OURS, uplink=True))
    assert "uplinked" in finding.what


def test_in_ham_mode_the_reason_is_the_law_and_not_the_channels_key():
    (finding,) = check(changed(licensed=True), replace(OURS, key=ChannelKey.NONE))
    assert "forbids secrets" in finding.why


def test_a_channel_without_a_key_is_public():
    (finding,) = check(GOOD, replace(PRIMARY, key=ChannelKey.NONE))
    assert "public channel" in finding.what


@pytest.mark.parametrize(
    ("firmware", "version"),
    [
        ("2.7.15.567b8ea", (2, 7, 15)),
        ("2.8.0", (2, 8, 0)),
        ("2.8", None),
        ("", None),
        ("two.eight.0", None),
        ("2.7.99999999999", None),
        ("2.7.²", None),
    ],
)
def test_a_version_is_read_or_refused(firmware, version):
    assert firmware_version(firmware) == version


NODES = {
    1: RadioNode(1, "Alice", "CLIENT", True),
    2: RadioNode(2, "Hill", "ROUTER", True),
    3: RadioNode(3, "", "CLIENT_HIDDEN", False),
    4: RadioNode(4, "Tower", "ROUTER_LATE", False),
}


def test_the_router_on_the_way_is_named_with_its_mode_and_what_its_owner_can_change():
    finding = dropping_router(RadioRoute(9, (1, 2)), NODES)
    assert "Hill (!00000002)" in finding.what
    assert "ROUTER" in finding.why
    assert "CORE_PORTNUMS_ONLY" in finding.why
    assert "ALL" in finding.fix


def test_a_relay_for_its_own_channels_only_is_named_by_its_number_where_it_has_no_name():
    finding = dropping_router(RadioRoute(9, (3,)), NODES)
    assert "!00000003" in finding.what
    assert "LOCAL_ONLY" in finding.why


@pytest.mark.parametrize("relays", [(), (1,), (4,), (77,), (BROADCAST,)])
def test_nobody_is_blamed_without_reason(relays):
    assert dropping_router(RadioRoute(9, relays), NODES) is None
