"""From options to a node: what is refused, and that nothing is left behind then."""

from __future__ import annotations

import pytest

import meshai.setup
from meshai.setup import NodeOptions, build_node
from nodes.cache import AnswerCache
from protocol.errors import LocalError
from protocol.limits import NAME_BYTES_MAX


@pytest.mark.parametrize(
    "name", ["x" * (NAME_BYTES_MAX + 1), "é" * NAME_BYTES_MAX, "a\nb", "a\x1b[2J", "a\u202eb", "\udcff"]
)
async def test_a_name_that_would_not_travel_or_show_well_is_refused(tmp_path, name):
    with pytest.raises(LocalError, match="can't be a node's name"):
        await build_node(NodeOptions(name=name, model="none", state=tmp_path))


@pytest.mark.parametrize("options", [{"radio": "pigeon"}, {"radio": "tcp:127.0.0.1:0"}, {"allow": ("!1",)}])
async def test_what_is_refused_leaves_nothing_behind(tmp_path, options):
    with pytest.raises(LocalError):
        await build_node(NodeOptions(model="none", state=tmp_path / "node", **options))
    assert list(tmp_path.iterdir()) == []


async def test_a_node_that_can_not_be_made_closes_its_cache(tmp_path, monkeypatch):
    caches = []

    def open_cache(*args):
        caches.append(AnswerCache(*args))
        return caches[-1]

    monkeypatch.setattr(meshai.setup, "AnswerCache", open_cache)
    with pytest.raises(LocalError, match="airtime share"):
        await build_node(NodeOptions(model="none", radio="tcp:127.0.0.1:4403", airtime_share=7, state=tmp_path))
    assert caches[0]._db is None
