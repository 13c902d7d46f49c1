"""Links that carry a channel, as Meshtastic's apps print and scan them."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtastic.protobuf import apponly_pb2, config_pb2

from nodes.bearers.meshtastic_link import LINK_CHARS_MAX, make_link, read_link
from nodes.interfaces import ChannelKey
from nodes.radio_setup import ChannelSlot, SharedChannel
from protocol.errors import LocalError

KEY = bytes(range(32))
LORA = config_pb2.Config.LoRaConfig(
    use_preset=True, region=3, hop_limit=3, tx_enabled=True, tx_power=27, ignore_mqtt=True
)


def code(*settings, **lora):
    """A link's last part."""
    channels = apponly_pb2.ChannelSet(settings=[apponly_pb2.ChannelSet().settings.add(**one) for one in settings])
    channels.lora_config.CopyFrom(config_pb2.Config.LoRaConfig(**lora))
    return base64.urlsafe_b64encode(channels.SerializeToString()).decode().rstrip("=")


def test_a_link_brings_back_what_went_into_it():
    link = make_link(ChannelSlot(3, "serial", KEY, ChannelKey.OWN, used=True), LORA)
    assert link.startswith("https://meshtastic.org/e/?add=true#")
    assert read_link(link) == (SharedChannel("serial", KEY, "EU_868", "LONG_FAST"),)


def test_a_link_tells_nothing_of_the_radio_but_its_air():
    link = make_link(ChannelSlot(3, "serial", KEY, ChannelKey.OWN, used=True), LORA)
    content = apponly_pb2.ChannelSet.FromString(base64.urlsafe_b64decode(link.partition("#")[2] + "=="))
    assert (content.lora_config.tx_power, content.lora_config.ignore_mqtt) == (0, False)
    assert content.lora_config.hop_limit == 3


def test_a_link_fits_a_small_qr_code():
    assert len(make_link(ChannelSlot(3, "k" * 11, KEY, ChannelKey.OWN, used=True), LORA)) < 135


@pytest.mark.parametrize(
    "head",
    [
        "https://meshtastic.org/e/#",
        "https://meshtastic.org/e/?add=true#",
        "https://www.meshtastic.org/e/#",
        "https://meshtastic.org/d/#",
        "  https://meshtastic.org/e/#",
    ],
)
def test_the_links_of_apps_and_command_lines_are_read(head):
    found = read_link(head + code({"name": "a", "psk": KEY}, {"name": "", "psk": b"\x01"}) + "\n")
    assert [(channel.name, channel.key) for channel in found] == [("a", KEY), ("", b"\x01")]
    assert {(channel.region, channel.preset) for channel in found} == {("", "")}


def test_padding_is_no_matter():
    link = "https://meshtastic.org/e/#" + code({"name": "abc", "psk": KEY})
    assert read_link(link + "=") == read_link(link)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "serial",
        "https://example.org/e/#" + code({"name": "a", "psk": KEY}),
        "https://meshtastic.org/v/#" + code({"name": "a", "psk": KEY}),
        "https://meshtastic.org/e/#",
        "https://meshtastic.org/e/#!!!!",
        "https://meshtastic.org/e/#" + code(),
        "https://meshtastic.org/e/#" + code({"name": "a", "psk": KEY})[:-9],
        "https://meshtastic.org/e/#" + code({"name": "a", "psk": KEY[:7]}),
        "https://meshtastic.org/e/#" + code({"name": "a", "psk": KEY + KEY}),
        "https://meshtastic.org/e/#" + code({"name": "twelve bytes", "psk": KEY}),
        "https://meshtastic.org/e/#" + code(*(9 * [{"name": "a"}])),
        "https://meshtastic.org/e/#" + "A" * LINK_CHARS_MAX,
        "https://meshtastic.org/e/#" + 100_000 * "A",
    ],
)
def test_what_is_no_channel_link_is_refused(text):
    with pytest.raises(LocalError, match="no Meshtastic channel link"):
        read_link(text)


@given(st.text(max_size=200) | st.binary(max_size=150).map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_whatever_stands_behind_the_head_is_a_channel_or_refused(text):
    try:
        found = read_link("https://meshtastic.org/e/#" + text)
    except LocalError:
        return
    assert 1 <= len(found) <= 8
    assert all(len(channel.key) in (0, 1, 16, 32) for channel in found)
