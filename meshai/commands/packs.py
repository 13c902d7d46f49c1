"""`meshai packs`: which text packs this device has, and making one from text.

Shows and asks; packs are found in `nodes.packs` and made in `nodes.pack_training`.
"""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import click
import trio

from meshai.commands.options import json_option
from meshai.run import dim, run, tell, tell_json

__all__ = ["command"]

_NAME_MAX = 12


@click.group("packs", invoke_without_command=True)
@json_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """List the text packs that make messages short, and make your own.

    Without a command: lists the packs on this device.
    """
    if context.invoked_subcommand is None:
        run(partial(_list, as_json), as_json=as_json)


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the packs on this device, as `meshai packs` does."""
    run(partial(_list, as_json), as_json=as_json)


@command.command("train")
@click.argument("language")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--number",
    type=click.IntRange(48, 62),
    default=48,
    show_default=True,
    help="The pack's number; all who use it take the same.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it there instead of using it here.")
@click.option("--longest", type=click.IntRange(0), default=0, help="Use only pieces of at most so many bytes.")
@json_option
def train(language: str, files: tuple[Path, ...], number: int, out: Path | None, longest: int, as_json: bool) -> None:
    """Make a pack for LANGUAGE from text FILES (.txt or .xz, UTF-8).

    Pieces (messages, paragraphs) are separated by an empty line or a zero byte. A megabyte makes a useful pack, more
    a better one. Everyone who is to read what it codes needs the same file, under the same number.
    """
    run(partial(_train, language, files, number, out, longest, as_json), as_json=as_json)


async def _list(as_json: bool) -> None:
    from nodes.packs import load_packs, pack_files

    packs = load_packs()
    forms: list[dict[str, Any]] = [
        {
            "number": file.number,
            "name": file.name,
            "title": file.title,
            "path": str(file.path),
            "size_bytes": file.size_bytes,
            "sha256": file.sha256,
            "ours": bool(file.sha256),
        }
        for file in pack_files()
        if file.number in packs
    ]
    if as_json:
        tell_json({"packs": forms})
        return
    for form in forms:
        tell(f"{form['number']:2}  {form['name']:<6} {form['size_bytes'] / 1e6:4.1f} MB  {form['title']}")
    tell(f"\n{len(forms)} packs. Make your own: meshai packs train LANGUAGE FILE…")


async def _train(
    language: str, files: tuple[Path, ...], number: int, out: Path | None, longest: int, as_json: bool
) -> None:
    from nodes.models.disk import make_folder, size_text, write_durably
    from nodes.pack_pieces import minutes_without_compiler, read_pieces
    from nodes.pack_training import recipe_for
    from nodes.pack_training import train as make
    from nodes.packs import packs_dir
    from nodes.text_loop import compiled_loop
    from protocol.errors import LocalError

    if not (language.isascii() and language.isalnum() and len(language) <= _NAME_MAX):
        raise LocalError(
            f"{language!r} can't be a pack's name", f"it takes 1 to {_NAME_MAX} plain letters and digits", "shorten it"
        )
    pieces = read_pieces(files, longest=longest)
    loop = compiled_loop()
    if loop is None:
        dim(f"There is no C compiler here, so this takes about {minutes_without_compiler(pieces)} min.")

    def watch(step: str, done: int, of: int) -> None:
        trio.from_thread.check_cancelled()
        dim(f"{step}, {100 * done // of} %")

    pack = await trio.to_thread.run_sync(
        partial(make, language, pieces, recipe_for(language), loop=loop, watch=watch), abandon_on_cancel=True
    )
    path = out or packs_dir() / f"{number}-{language}.pack"
    if out is None:
        make_folder(path.parent)
    write_durably(path, pack)
    form: dict[str, Any] = {
        "name": language,
        "number": None if out else number,
        "path": str(path),
        "size_bytes": len(pack),
        "pieces": len(pieces),
        "sha256": hashlib.sha256(pack).hexdigest(),
    }
    if as_json:
        tell_json(form)
        return
    tell(f"{language}: {size_text(len(pack))} made from {len(pieces)} pieces, at {path}")
    if out is None:
        tell(f"It is pack {number} here. Give this file to all who shall read it: {form['sha256'][:16]}…")
