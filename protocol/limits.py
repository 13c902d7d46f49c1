"""Every size, count and patience that bounds what a peer can make us hold or send: one place to judge them.

Bytes are UTF-8 or wire bytes. Nothing else in the tree repeats these numbers.
"""

from __future__ import annotations

__all__ = [
    "ANSWER_BYTES_MAX",
    "ASKS_HELD_MAX",
    "ASKS_HELD_PER_PEER_MAX",
    "BEACON_BYTES_MAX",
    "BEACON_MODELS_MAX",
    "CHECK_BYTES",
    "COPIES",
    "COPIES_AFTER",
    "DEADLINE_S_MAX",
    "DEADLINE_S_MIN",
    "DEADLINE_S_USUAL",
    "DONE_TRANSFERS_MAX",
    "FRAGMENTS_MAX",
    "FRAGMENT_HEADER_BYTES",
    "FRAGMENT_PAYLOAD_BYTES",
    "FRAME_BYTES_MAX",
    "GAPS_MAX",
    "GAPS_PATIENT",
    "GAP_BACKOFF",
    "HOPS_ASSUMED",
    "LIST_ITEMS_MAX",
    "MAP_FIELDS_MAX",
    "MESSAGE_BYTES_MAX",
    "MESSAGE_CHECK_BYTES",
    "NAME_BYTES_MAX",
    "OUTGOING_TRANSFERS_MAX",
    "PACKS_USUAL",
    "PARTIAL_TRANSFERS_MAX",
    "PARTIAL_TRANSFERS_PER_PEER_MAX",
    "PATIENCE_BUSY_S",
    "PEERS_MAX",
    "PIECES_MAX",
    "QUESTIONS_MAX",
    "QUESTION_BYTES_MAX",
    "REASON_BYTES_MAX",
    "REPEAT_BACKOFF",
    "REPEAT_BACKOFF_BUSY",
    "REPEAT_STEADY_S",
    "REPLIES_WAITING_MAX",
    "REPLIES_WAITING_PER_PEER_MAX",
    "REPLY_SPREAD",
    "RESTARTS_MAX",
    "RUNS_HELD_MAX",
    "SEAL_BYTES",
    "SLACK_S",
    "TOKENS_MAX",
    "TURNS_MAX",
    "UINT32_MAX",
]

FRAME_BYTES_MAX = 200
"""Longest frame on the air: fits every Meshtastic path, signed, relayed or simulated."""
SEAL_BYTES = 13
"""Reserved in every frame for sealing; a clear frame uses 5 of them for its type and check."""
FRAGMENT_HEADER_BYTES = 3
"""Transfer number, index, total."""
CHECK_BYTES = 4
"""CRC-32 of a clear frame, in the place of a sealed one's tag."""
FRAGMENT_PAYLOAD_BYTES = FRAME_BYTES_MAX - SEAL_BYTES - FRAGMENT_HEADER_BYTES
FRAGMENTS_MAX = 255
"""Total is one byte."""
MESSAGE_CHECK_BYTES = 2
"""CRC-16 before a message of several frames."""
MESSAGE_BYTES_MAX = FRAGMENT_PAYLOAD_BYTES * FRAGMENTS_MAX - MESSAGE_CHECK_BYTES
MAP_FIELDS_MAX = 32
"""Fields in any map of a message, known or not."""
LIST_ITEMS_MAX = 64
"""Items in any list of a message, known or not."""

NAME_BYTES_MAX = 24
REASON_BYTES_MAX = 80
QUESTION_BYTES_MAX = 16_000
"""All turns of a conversation together."""
ANSWER_BYTES_MAX = 32_000
"""One answer, all pieces together."""
RUNS_HELD_MAX = 2
"""Answers to one question that are held in part: the peer's before and after it restarted."""
TURNS_MAX = 32
PIECES_MAX = 1024
TOKENS_MAX = 8192
DEADLINE_S_MIN = 1
DEADLINE_S_USUAL = 300
"""What an Ask means that names no deadline."""
DEADLINE_S_MAX = 3600
PACKS_USUAL = 0xFFFC
"""Text packs 2 to 15, which every node of version 1 brings along: what a message means that names none."""
UINT32_MAX = 0xFFFFFFFF

BEACON_MODELS_MAX = 3
BEACON_BYTES_MAX = 60
"""A beacon's message on the air; models beyond it are left out."""
PEERS_MAX = 256

PARTIAL_TRANSFERS_MAX = 32
PARTIAL_TRANSFERS_PER_PEER_MAX = 4
DONE_TRANSFERS_MAX = 64
"""Whole messages whose frames are known again when they come twice."""
OUTGOING_TRANSFERS_MAX = 128
"""Messages that wait or are kept for a Gap; less than the 256 transfer numbers, so that no two share one."""
REPLIES_WAITING_MAX = 32
"""Waiting messages that answer a peer's with one packet: what it makes us send, it can't make us hoard."""
REPLIES_WAITING_PER_PEER_MAX = 8
GAPS_MAX = 3
"""Times that one silent transfer is asked about before it is given up."""
GAPS_PATIENT = 2
"""While a transfer left fewer Gaps unanswered, it is still coming: its question is not asked again."""
GAP_BACKOFF = 2
"""Each Gap waits this many times longer than the one before."""
REPLY_SPREAD = 1.6
"""A reply takes at most about this many times its mean: relays draw how long they wait, on both ways."""
REPEAT_BACKOFF = 1.5
"""Each repetition waits this many times longer than the one before."""
REPEAT_STEADY_S = 20.0
"""Until it waits so long; then the pace is steady, because on a path that loses much only many tries get through."""
REPEAT_BACKOFF_BUSY = 2
"""The same while others use the air: a peer that can't send either is not helped by asking it often."""
PATIENCE_BUSY_S = 40.0
"""Least patience while others use the air: until the peer's radio has counted anew, it may have to be silent."""
SLACK_S = 1.0
"""Seconds on top of every round trip."""
HOPS_ASSUMED = 3
"""Transmissions to a peer whose distance is unknown."""
QUESTIONS_MAX = 64
"""Our own questions open at once."""
COPIES = 2
"""Times that a message goes out at once on a path that has lost several: what got that far is not lost so easily."""
COPIES_AFTER = 2
"""Repetitions before that."""
RESTARTS_MAX = 3
"""Times that one question is put anew to a peer that forgot it."""
ASKS_HELD_MAX = 64
ASKS_HELD_PER_PEER_MAX = 8
"""Questions of one peer held at once, answered ones included."""
