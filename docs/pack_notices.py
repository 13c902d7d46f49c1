"""Writes the notice beside each text pack: what it was made from, whose that is, and under which licences.

Reads the corpus notes in `nodes/packs_corpus`; run by `make packs`.
"""

from __future__ import annotations

import lzma
import re
import shutil
from collections import Counter
from pathlib import Path

from nodes.packs import shipped_dir
from protocol.text import REGISTERED

CORPUS = Path(__file__).parents[1] / "nodes" / "packs_corpus"
HEAD = """Text pack {name} ({title}): tables of counts for coding short text.

Offered under CC BY-SA 4.0 (creativecommons.org/licenses/by-sa/4.0). It was derived from the texts below, which were
cleaned of markup, cut, joined and shuffled; {pieces} pieces in all. Keys in brackets, with their shares of the pieces.

"""


def main() -> None:
    """Write every notice, and copy the licence texts that ask to be passed on."""
    attribution = (CORPUS / "ATTRIBUTION.txt").read_text()
    entries = dict(re.findall(r"^\[(\w+)\] (.*(?:\n    .*)*)", attribution, re.MULTILINE))
    licences = attribution[attribution.index("\nLicences\n") + 1 :]
    for pack in REGISTERED.values():
        (path,) = CORPUS.rglob(f"{pack.name}.train.src.txt.xz")
        lines = lzma.decompress(path.read_bytes()).decode().splitlines()
        keys = Counter(line.split("\t")[0] for line in lines)
        text = HEAD.format(name=pack.name, title=pack.title, pieces=keys.total())
        for key, pieces in keys.most_common():
            text += f"[{key}, {max(1, 100 * pieces // keys.total())} %] {entries[key]}\n"
        (shipped_dir() / f"{pack.name}.LICENCE.txt").write_text(f"{text}\n{licences}")
    shutil.copytree(CORPUS / "licences", shipped_dir() / "licences", dirs_exist_ok=True)


if __name__ == "__main__":
    main()
