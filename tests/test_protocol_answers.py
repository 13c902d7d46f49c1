"""When two questions are the same, and when they are not."""

from __future__ import annotations

from protocol.answers import answer_key
from protocol.messages import Role, Turn


def key(*texts: str, model: str = "", max_tokens: int = 0, role: Role = Role.USER) -> bytes:
    return answer_key(tuple(Turn(role, text) for text in texts), model=model, max_tokens=max_tokens)


def test_differences_that_no_reader_sees_do_not_count():
    assert key("Why is it blue?") == key("  Why  is\nit blue? ")
    assert key("caf\u00e9") == key("cafe\u0301")


def test_every_other_difference_counts():
    keys = [
        key("Why?"),
        key("why?"),
        key("Why"),
        key("Why?", "Why?"),
        key("Why? Why?"),
        key("Why?", model="m"),
        key("Why?", max_tokens=5),
        key("Why?", role=Role.SYSTEM),
    ]
    assert len(set(keys)) == len(keys)


def test_keys_are_the_same_on_every_device_and_release():
    assert key("Why?").hex() == "97aba54f2d1bb89780a3a0a4d68d276e2697d1c76317f40ed7cd8b4330c2cd24"
