"""Makes docs/demo.svg: runs `meshai demo` in a terminal and draws what it printed. `make picture` runs it."""

from __future__ import annotations

import os
import pty
import re
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 104
END = "Unplug the internet"


def recorded() -> str:
    """What a person sees of `make demo`, up to its prompt."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(COLUMNS=str(COLUMNS), TERM="xterm-256color")
        os.execv(sys.executable, [sys.executable, "-m", "meshai", "demo"])
    output = b""
    while END.encode() not in output:
        output += os.read(terminal, 4096)
    os.write(terminal, b"\n")
    os.waitpid(pid, 0)
    os.close(terminal)
    return output.decode().replace("\r\n", "\n")


def main() -> None:
    """Draw the picture."""
    text = re.sub(r"\n[^\n]*" + END + r".*", "", recorded(), flags=re.DOTALL)
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    console.print(Text("$ make demo", style="bold green"))
    console.print(Text.from_ansi(text.strip("\n")))
    picture = console.export_svg(title="meshai", unique_id="demo")
    local = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)  # no page of ours loads from elsewhere
    Path(__file__).with_name("demo.svg").write_text(re.sub(r"[ \t]+$", "", local, flags=re.MULTILINE))


if __name__ == "__main__":
    main()
