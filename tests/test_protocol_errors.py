"""Errors read as sentences: what happened, why, and what to do."""

from __future__ import annotations

import pytest

from protocol.errors import LocalError, MeshaiError, RefuseCode, RemoteError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (LocalError("it broke"), "It broke."),
        (LocalError("it broke", "it fell"), "It broke: it fell."),
        (LocalError("it broke", "it fell", "glue it"), "It broke: it fell. Glue it."),
        (LocalError("it broke", fix="glue it"), "It broke. Glue it."),
        (RemoteError("it refused", "no model", code=RefuseCode.NO_MODEL), "It refused: no model."),
    ],
)
def test_an_error_shows_what_why_and_fix(error, text):
    assert str(error) == text
    assert isinstance(error, MeshaiError)


def test_a_remote_error_keeps_the_code_that_travelled():
    assert RemoteError("x", code=RefuseCode.LEAVING).code is RefuseCode.LEAVING
    assert RemoteError("x").code is RefuseCode.UNKNOWN


def test_every_refuse_code_comes_back_and_a_newer_one_is_unknown():
    assert [RefuseCode.from_wire(code) for code in RefuseCode] == list(RefuseCode)
    assert RefuseCode.from_wire(max(RefuseCode) + 1) is RefuseCode.UNKNOWN


def test_refuse_codes_are_those_ever_given():
    assert {code.name: code.value for code in RefuseCode} == {
        "UNKNOWN": 0,
        "NO_MODEL": 1,
        "TOO_LONG": 2,
        "NOT_ALLOWED": 3,
        "DEADLINE": 4,
        "ENGINE_FAILED": 5,
        "LEAVING": 6,
        "BAD_REQUEST": 7,
        "FORGOTTEN": 8,
        "UNREADABLE": 9,
    }
