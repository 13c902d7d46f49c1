"""Every error meshai raises on purpose, and whose fault it was.

`LocalError`: we (or our user, or our machine) erred. `RemoteError`: a peer refused or failed, with the code that
travelled in its `Refuse`. Both say what happened, why, and what to do, so that a face can show them as they are.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["LocalError", "MeshaiError", "RefuseCode", "RemoteError"]


class RefuseCode(IntEnum):
    """Why a peer refuses, as it travels in `Refuse`. Numbers only append; dead ones keep their place."""

    UNKNOWN = 0
    NO_MODEL = 1
    TOO_LONG = 2
    NOT_ALLOWED = 3
    DEADLINE = 4
    ENGINE_FAILED = 5
    LEAVING = 6
    BAD_REQUEST = 7
    FORGOTTEN = 8
    """The question of a repetition is no longer held: send it whole."""
    UNREADABLE = 9
    """The question's text can't be decoded: send it in a codec that needs no pack."""

    @classmethod
    def from_wire(cls, number: int) -> RefuseCode:
        """Return the code for `number`; one that a newer peer added becomes `UNKNOWN`."""
        try:
            return cls(number)
        except ValueError:
            return cls.UNKNOWN


class MeshaiError(Exception):
    """Something went wrong: `what` happened, `why`, and how to `fix` it, each a plain phrase without full stop."""

    def __init__(self, what: str, why: str = "", fix: str = "") -> None:
        self.what = what
        self.why = why
        self.fix = fix
        super().__init__(what, why, fix)

    def __str__(self) -> str:
        text = f"{_capital(self.what)}: {self.why}" if self.why else _capital(self.what)
        return f"{text}. {_capital(self.fix)}." if self.fix else f"{text}."


class LocalError(MeshaiError):
    """We erred: a bad argument, a missing file, a full disk, a radio that is not there."""


class RemoteError(MeshaiError):
    """The peer erred or refused; `code` is what its `Refuse` said."""

    def __init__(self, what: str, why: str = "", fix: str = "", *, code: RefuseCode = RefuseCode.UNKNOWN) -> None:
        self.code = code
        super().__init__(what, why, fix)


def _capital(phrase: str) -> str:
    return phrase[:1].upper() + phrase[1:]
