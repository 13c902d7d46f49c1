"""The numbers of the text codecs and packs, and which bytes each pack must have. Numbers only append.

A pack that is trained anew takes a new number: two nodes that name the same one hold the same bytes. Knows no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["BROTLI", "CODEC_IDS", "LOCAL_IDS", "RAW", "REGISTERED", "Registered"]

RAW: Final = 0
BROTLI: Final = 1
CODEC_IDS: Final = range(64)
LOCAL_IDS: Final = range(48, 63)
"""For packs that a community made and agreed on among itself: never in `REGISTERED`."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A pack that everyone can have."""

    number: int
    name: str
    """The language's ISO 639-1 code where it has one; also the pack's file name."""
    title: str
    sha256: str


REGISTERED: Final = {
    pack.number: pack
    for pack in (
        Registered(2, "en", "English", "17fcca7201083364ac482670780ee309f44e090e55abaf9bdef8e2d2dcd348a7"),
        Registered(3, "sw", "Swahili", "1ecaf3c52006c84a9f71f7c7478b7a006b8b593a75e8d46260b2eabc4f7e0662"),
        Registered(4, "ha", "Hausa", "b02e396f16811961d0e8df0f28c0a007740a10a4fc4ba2c6214f3b46b54ddb27"),
        Registered(5, "yo", "Yoruba", "bfa1193c0e699c768ee44cb2bde2b59964d5c83f17f615992ad20c3972b846ba"),
        Registered(6, "zu", "isiZulu", "ad8c7027d71be6308a895b3e49f19c775a149a4e3d759e7071c18361b182e481"),
        Registered(7, "xh", "isiXhosa", "7474edd015be9ad78905f485e15a31ed7631e5de9b7a8f67cef188bf62006f74"),
        Registered(8, "es", "Spanish", "b3ffa2f779f03f5fd7d2a00fbfcb81054f7a8683d975518eef00e6b072da6429"),
        Registered(9, "hi", "Hindi", "57e44fcdb8572391faff64c2ee1fde721af447750a60c7713883d57e40e10afd"),
        Registered(10, "fr", "French", "c9fab979932ec905b4f7873e40317ac2a904c90adedd8fdb04bd07b4c7631eb4"),
        Registered(11, "pt", "Portuguese", "04ea3345e517a7863d416017a70bf5be826c6e278048420b5c36980e7c5589b0"),
        Registered(12, "ar", "Arabic", "efc9291787bb00276ba8df9cd69eb6083b6ade24f7181b44996cb6e73d4dd54b"),
        Registered(13, "id", "Indonesian", "8fe1fe7585652c058a047bfe71f02de384672904f6b8a6912792569aa602039f"),
        Registered(14, "code", "program code", "26d804554ee508d6e36359908e3229b0339404ce5d250c3c17362c0c12f3336b"),
        Registered(15, "chat", "mesh chat", "c8a23cf830c2792c749d8475126a92420242901daaee7b1a40ef7ac170f40c2f"),
    )
}
