"""Answers plain text messages from an ordinary Meshtastic phone app.

General layout: `reading` (what is meant for us), `people` (what is remembered of whom), `wording` (chunks), `letters`
(what waits to be sent) decide and do no I/O; `desk` and `sender` carry it out on one radio. Phrases are
in `nodes.languages`.
"""

from nodes.phone_text.desk import PhoneDesk
from nodes.phone_text.settings import PhoneSettings

__all__ = ["PhoneDesk", "PhoneSettings"]
