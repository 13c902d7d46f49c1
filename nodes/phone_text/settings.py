"""What a device's owner decides about phones: whether they are answered, whose, where, how often, in which language.

Data only, with its checks. Who is allowed at all is decided for peers and phones together, by `nodes.node`.
"""

from __future__ import annotations

from dataclasses import dataclass

from nodes.languages import languages
from protocol.errors import LocalError

__all__ = ["PhoneSettings"]

_OWNER_BYTES_MAX = 40


@dataclass(frozen=True, slots=True)
class PhoneSettings:
    """How plain texts from phones are treated."""

    answered: bool = True
    """False: no text is answered, whoever sent it."""
    owner: str = ""
    """Whose device reads along, as told at the first contact; empty for the node's name."""
    personal: bool = True
    """Whether a person uses this radio too: then only allowed radios are answered, and only after the prefix."""
    prefix: str = "ai"
    """The word that a question begins with, on a personal radio and on channels."""
    blocked: frozenset[str] = frozenset()
    """Addresses of radios that are never answered, allowed or not."""
    channels: frozenset[str] = frozenset()
    """Names of the channels where questions with the prefix are answered."""
    language: str = ""
    """Code of the language to answer in; empty for the one a question seems to be in."""
    cooldown_s: float = 10.0
    """Seconds between two questions of one person."""
    questions_per_day: int = 40
    """Questions of one person in a day."""

    def __post_init__(self) -> None:
        """Raises LocalError for settings that can't work."""
        if self.language and self.language not in languages():
            raise LocalError(f"no language {self.language!r}", "", f"use one of {', '.join(languages())}")
        if not self.owner.isprintable() or len(self.owner.encode()) > _OWNER_BYTES_MAX:
            raise LocalError(
                f"{self.owner!r} can't be told as the owner", f"{_OWNER_BYTES_MAX} bytes of plain text are the most"
            )
