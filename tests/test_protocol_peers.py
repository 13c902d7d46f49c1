"""Who is there: what beacons say, how long it may be believed, and which versions we share."""

from __future__ import annotations

import pytest

from protocol import limits
from protocol.messages import Beacon, ModelOffer
from protocol.peers import Peer, PeerTable
from protocol.version import VERSION_MAX, VERSION_MIN, common_version

SMALL = ModelOffer("small", 20, 2048)
LARGE = ModelOffer("large", 5, 8192)


def beacon(*, valid_s: int = 900, backlog_s: int = 0, version_min: int = 1, version_max: int = 1) -> Beacon:
    return Beacon("house", (SMALL, LARGE), backlog_s, valid_s, version_min, version_max)


def test_a_beacon_is_believed_as_long_as_it_says_from_when_it_arrived():
    table = PeerTable()
    assert table.heard("!b", beacon(valid_s=60), 2, now=1000)
    assert table.fresh(1060) == (Peer("!b", beacon(valid_s=60), 2, 1000),)
    assert table.fresh(1061) == ()
    assert [peer.address for peer in table.all(1061)] == ["!b"]


def test_a_newer_beacon_takes_the_place_of_the_older_and_stands_last():
    table = PeerTable()
    table.heard("!b", beacon(), 2, now=0)
    table.heard("!c", beacon(), 1, now=1)
    table.heard("!b", beacon(backlog_s=9), 3, now=2)
    assert [(peer.address, peer.hops) for peer in table.fresh(2)] == [("!c", 1), ("!b", 3)]


def test_a_peer_not_heard_for_long_is_forgotten():
    table = PeerTable()
    table.heard("!b", beacon(valid_s=60), 2, now=0)
    table.heard("!c", beacon(valid_s=0), 2, now=0)
    assert len(table.all(20)) == 2
    assert [peer.address for peer in table.all(21)] == ["!b"]
    assert table.all(1201) == ()


def test_the_table_keeps_the_peers_heard_last():
    table = PeerTable()
    for number in range(limits.PEERS_MAX + 3):
        table.heard(f"!{number}", beacon(), 1, now=number / 100)
    addresses = [peer.address for peer in table.fresh(3)]
    assert len(addresses) == limits.PEERS_MAX
    assert addresses[0] == "!3"


def test_a_peer_that_did_not_answer_is_not_believed():
    table = PeerTable()
    table.heard("!b", beacon(), 1, now=0)
    table.lost("!b")
    table.lost("!b")
    assert table.all(0) == ()


def test_a_peer_of_another_version_is_not_listed_even_if_it_was():
    table = PeerTable()
    table.heard("!b", beacon(), 1, now=0)
    assert not table.heard("!b", beacon(version_min=VERSION_MAX + 1, version_max=VERSION_MAX + 1), 1, now=1)
    assert table.all(1) == ()


def test_backlog_counts_down_from_when_the_beacon_came():
    peer = Peer("!b", beacon(backlog_s=30), 1, heard_at=100)
    assert [peer.backlog_s(now) for now in (100, 110, 200)] == [30, 20, 0]


def test_a_peer_is_asked_when_it_could_answer_in_time_or_when_it_said_itself():
    table = PeerTable()
    table.heard("!b", beacon(backlog_s=400), 1, now=0)
    (peer,) = table.fresh(0)
    assert [table.ask_wait_s(peer, 300, now) for now in (0, 40, 100)] == [100, 60, 0]
    table.busy("!b", 150)
    assert [table.ask_wait_s(peer, 300, now) for now in (40, 150, 209)] == [110, 0, 0]
    table.heard("!b", beacon(backlog_s=500), 1, now=140)
    (peer,) = table.fresh(140)
    assert [table.ask_wait_s(peer, 300, now) for now in (140, 150, 211)] == [10, 0, 129]
    assert table.all(300) == (peer,)
    assert table.ask_wait_s(peer, 100, 300) == 240


def test_an_offer_is_found_by_name_and_any_is_the_first():
    peer = Peer("!b", beacon(), 1, heard_at=0)
    assert peer.offer("large") is LARGE
    assert peer.offer("") is SMALL
    assert peer.offer("other") is None


@pytest.mark.parametrize(
    ("peer_min", "peer_max", "common"),
    [
        (VERSION_MIN, VERSION_MAX, VERSION_MAX),
        (VERSION_MIN, VERSION_MAX + 5, VERSION_MAX),
        (VERSION_MAX + 1, VERSION_MAX + 5, None),
        (0, VERSION_MIN - 1, None),
        (5, 1, None),
    ],
)
def test_two_peers_speak_the_highest_version_that_both_know(peer_min, peer_max, common):
    assert common_version(peer_min, peer_max) == common
