"""Which radios were set up for meshai, and the file that remembers them; it holds no keys.

`radios.json` in the folder of everything meshai keeps. Decides nothing: that is `nodes.radio_check`'s business.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from nodes.models.disk import exclusive, make_folder, write_durably
from nodes.radio_check import SetUp
from protocol.errors import LocalError

__all__ = ["KnownRadios"]

_FILE, _LOCK = "radios.json", ".radios.lock"
_FORMAT = 1


class KnownRadios:
    """The radios of one device that were set up."""

    def __init__(self, folder: Path) -> None:
        """`folder` need not exist yet."""
        self._folder = folder

    @property
    def is_empty(self) -> bool:
        """True while no radio was set up. Raises LocalError when the file is damaged."""
        return not self._read()

    def recall(self, node_number: int) -> SetUp | None:
        """What was settled for the radio with this number; None when nothing was.

        Raises LocalError when the file is damaged, so that nothing is sent on a guess.
        """
        return self._read().get(node_number)

    def remember(self, set_up: SetUp) -> None:
        """Keep what was settled for a radio, in place of what was before. Raises LocalError when it can't be kept."""
        make_folder(self._folder)
        with exclusive(self._folder / _LOCK):
            known = {**self._read(), set_up.node_number: set_up}
            data = {"format": _FORMAT, "radios": [asdict(known[number]) for number in sorted(known)]}
            write_durably(self._folder / _FILE, json.dumps(data, indent=1, ensure_ascii=False).encode() + b"\n")

    def _read(self) -> dict[int, SetUp]:
        path = self._folder / _FILE
        try:
            radios = json.loads(path.read_bytes())["radios"]
            return {radio["node_number"]: SetUp(**radio) for radio in radios}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            fix = f"move it away with `mv {path} {path}.old`, then run `meshai radio setup` again"
            raise LocalError(f"the list of set up radios at {path} can't be read", str(error), fix) from error
