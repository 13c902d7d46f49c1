"""The file of radios that were set up."""

from dataclasses import replace

import pytest

from nodes.known_radios import KnownRadios
from nodes.radio_check import SetUp
from protocol.errors import LocalError

SET_UP = SetUp(0x1000, "EU_868", 1, "serial", public=False, at_s=1e9)


def test_what_was_settled_outlives_the_process_radio_by_radio(tmp_path):
    other = replace(SET_UP, node_number=0x2000, region="US", channel_name="straße")
    KnownRadios(tmp_path / "new").remember(SET_UP)
    KnownRadios(tmp_path / "new").remember(other)
    known = KnownRadios(tmp_path / "new")
    assert known.recall(0x1000) == SET_UP
    assert known.recall(0x2000) == other
    assert known.recall(0x3000) is None
    assert not known.is_empty


def test_setting_a_radio_up_again_replaces_what_was_settled(tmp_path):
    known = KnownRadios(tmp_path)
    known.remember(SET_UP)
    known.remember(replace(SET_UP, region="US"))
    assert known.recall(0x1000).region == "US"


def test_on_a_new_device_nothing_was_settled(tmp_path):
    assert KnownRadios(tmp_path / "none").recall(0x1000) is None
    assert KnownRadios(tmp_path / "none").is_empty


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"radios": [{}]}', b'{"radios": 5}', b'{"radios": [{"node_number": 1, "x": 2}]}']
)
def test_a_damaged_file_is_never_guessed_from_nor_written_over(tmp_path, content):
    (tmp_path / "radios.json").write_bytes(content)
    with pytest.raises(LocalError, match="Move it away"):
        KnownRadios(tmp_path).recall(0x1000)
    with pytest.raises(LocalError, match="Move it away"):
        KnownRadios(tmp_path).remember(SET_UP)
    assert (tmp_path / "radios.json").read_bytes() == content
