"""`meshai models`: what this device has and could fetch; fetching, adopting and removing.

Shows and asks; all that is decided or done with models is in `nodes.models`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import trio

from meshai.commands.options import json_option
from meshai.run import dim, run, tell, tell_json
from meshai.words import clean

if TYPE_CHECKING:
    from nodes.models.catalogue import Entry
    from nodes.models.download import Progress, Watch
    from nodes.models.registry import Model

__all__ = ["command"]


@click.group("models", invoke_without_command=True)
@click.option("--catalogue", "from_catalogue", is_flag=True, help="List what can be fetched instead.")
@json_option
@click.pass_context
def command(context: click.Context, from_catalogue: bool, as_json: bool) -> None:
    """List, fetch, adopt and remove models.

    Without a command: lists the models on this device, what runs them and whether they fit its memory.
    """
    if context.invoked_subcommand is None:
        run(partial(_show_catalogue if from_catalogue else _show_installed, as_json), as_json=as_json)


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the models on this device, as `meshai models` does."""
    run(partial(_show_installed, as_json), as_json=as_json)


@command.command("get")
@click.argument("what")
@click.option("--sha256", default="", metavar="HEX", help="Digest that the file must have.")
@json_option
def get(what: str, sha256: str, as_json: bool) -> None:
    """Fetch a model: a NAME from the catalogue, hf:OWNER/REPO/FILE, or the https address of a GGUF file.

    A download that was broken off goes on where it stopped. A model that is here already is not fetched again.
    """
    run(partial(_get, what, sha256, as_json), as_json=as_json)


@command.command("add")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", default="", help="What to call it; made from the file's name unless given.")
@json_option
def add(path: Path, name: str, as_json: bool) -> None:
    """Use a GGUF file, or all below a folder, where they are. Nothing is copied."""
    run(partial(_add, path, name, as_json), as_json=as_json)


command.add_command(add, "adopt")


@command.command("remove")
@click.argument("name")
@json_option
def remove(name: str, as_json: bool) -> None:
    """Delete a fetched model, or half of one. An adopted file is only forgotten."""
    run(partial(_remove, name, as_json), as_json=as_json)


async def _show_installed(as_json: bool) -> None:
    from nodes.models.device import fits, this_device
    from nodes.models.disk import size_text
    from nodes.models.shelf import CONTEXT_TOKENS, installed, unfinished

    device = await this_device()
    forms = [await _look_at(model) for model in installed()]
    for form in forms:
        need = form["memory_bytes"]
        form["fits"] = None if need is None else fits(need, device.memory_bytes)
    halves = unfinished()
    if as_json:
        tell_json(
            {
                "models": forms,
                "device": {
                    "memory_bytes": device.memory_bytes,
                    "processor": device.processor,
                    "processor_name": device.processor_name,
                },
                "context_tokens": CONTEXT_TOKENS,
                "unfinished": [str(path) for path in halves],
            }
        )
        return
    for path in halves:
        dim(f"Unfinished: {path.name}, {size_text(path.stat().st_size)}. `meshai models get` goes on with it.")
    if not forms:
        tell("There is no model on this device. Next: meshai models get smollm2-135m")
        return
    rows = [_row(form) for form in forms]
    _print_table(("Name", "Param.", "Quant.", "Context", "Size", "Kind", "Fits", "Licence"), rows)
    for form in forms:
        if form["trouble"]:
            dim(f"{form['name']}: {form['trouble']}")
    runs_on = f"GPU ({clean(device.processor_name, lines=False)})" if device.processor == "GPU" else "CPU"
    tell(f"\nThis device: {size_text(device.memory_bytes)} of memory, models run on the {runs_on}.")


async def _look_at(model: Model) -> dict[str, Any]:
    from nodes.models.shelf import CONTEXT_TOKENS, described
    from protocol.errors import LocalError

    trouble = f"missing: {model.path} is gone" if model.missing else ""
    if not trouble:
        try:
            model = await described(model)
        except LocalError as error:
            trouble = str(error)
    seen = model.description
    return {
        "name": model.name,
        "title": seen.title if seen else "",
        "path": str(model.path),
        "source": model.source,
        "licence": model.licence,
        "size_bytes": model.size_bytes,
        "sha256": model.sha256,
        "checked": model.checked,
        "adopted": model.adopted,
        "missing": model.missing,
        "trouble": trouble,
        "architecture": seen.architecture if seen else "",
        "parameters": seen.parameters if seen else None,
        "quantisation": seen.quantisation if seen else "",
        "context_tokens": seen.context_tokens if seen else None,
        "chats": seen.chats if seen else None,
        "languages": list(seen.languages) if seen else [],
        "memory_bytes": seen.memory_bytes(CONTEXT_TOKENS) if seen else None,
    }


def _row(form: dict[str, Any]) -> tuple[str, ...]:
    from nodes.models.disk import size_text

    if form["trouble"]:
        word = "missing" if form["missing"] else "unusable"
        return (form["name"], "", "", "", size_text(form["size_bytes"]), word, "", _short(form["licence"]))
    return (
        form["name"],
        _count_text(form["parameters"]),
        form["quantisation"],
        f"{form['context_tokens']:,}" if form["context_tokens"] else "?",
        size_text(form["size_bytes"]),
        "chat" if form["chats"] else "completes text",
        "yes" if form["fits"] else "no",
        _short(form["licence"]),
    )


async def _show_catalogue(as_json: bool) -> None:
    from nodes.models.catalogue import catalogue
    from nodes.models.device import fits, memory_bytes
    from nodes.models.disk import size_text

    known, memory = catalogue(), memory_bytes()
    if as_json:
        tell_json(
            {
                "models": [{**_entry_form(entry), "fits": fits(entry.memory_bytes, memory)} for entry in known.entries],
                "languages": [
                    {"code": advice.code, "name": advice.name, "models": list(advice.models), "note": advice.note}
                    for advice in known.languages
                ],
                "device": {"memory_bytes": memory},
            }
        )
        return
    rows = [
        (
            entry.name,
            size_text(entry.download_bytes),
            f"{entry.memory_gb} GB",
            "yes" if fits(entry.memory_bytes, memory) else "no",
            entry.kind,
            "yes" if entry.tried else "no",
            entry.training_data,
            _short(entry.licence),
        )
        for entry in known.entries
    ]
    _print_table(("Name", "Download", "Needs", "Fits", "Kind", "Tried", "Data", "Licence"), rows)
    tell("")
    best = [
        (advice.name, *(entry.name if (entry := known.best_for(advice.code, gb)) else "none known" for gb in (1, 4, 8)))
        for advice in known.languages
    ]
    _print_table(("Best known for", "with 1 GB", "with 4 GB", "with 8 GB"), best)
    tell(
        "\nNeeds: memory of the device. Untried: what is said of it is its makers' word. Data: whether what it was "
        f"trained on is published. This device has {size_text(memory)} of memory. Fetch one: meshai models get NAME"
    )


def _entry_form(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "title": entry.title,
        "kind": entry.kind,
        "source": entry.source,
        "sha256": entry.sha256,
        "size_bytes": entry.size_bytes,
        "download_bytes": entry.download_bytes,
        "peak_bytes": entry.peak_bytes,
        "parameters": entry.parameters,
        "licence": entry.licence,
        "open_licence": entry.open_licence,
        "languages": list(entry.languages),
        "training_data": entry.training_data,
        "memory_gb": entry.memory_gb,
        "tried": entry.tried,
        "note": entry.note,
    }


async def _get(what: str, sha256: str, as_json: bool) -> None:
    from nodes.config import models_dir
    from nodes.models.catalogue import catalogue
    from nodes.models.disk import size_text
    from nodes.models.fetch import get as fetch

    entry = catalogue().find(what)
    if entry and not (models_dir() / entry.file).exists():
        dim(
            f"{entry.title}: {size_text(entry.download_bytes)} to download, at most {size_text(entry.peak_bytes)} of "
            f"disk on the way and {size_text(entry.size_bytes)} when done"
        )
    with _progress() as watch:
        try:
            fetched = await fetch(what, sha256=sha256, watch=watch)
        except trio.Cancelled:
            dim(f"Stopped. What was fetched is kept: `meshai models get {what}` goes on from there.")
            raise
    model = fetched.model
    if as_json:
        tell_json({"model": await _look_at(model), "new": fetched.new})
        return
    tell(f"{model.name} is here{'' if fetched.new else ' already'}: {size_text(model.size_bytes)} at {model.path}")
    if fetched.new and model.checked:
        tell(f"Its SHA-256 is the one that was promised: {model.sha256}")
    elif fetched.new:
        tell(f"It couldn't be checked, because nobody named its digest beforehand. Its SHA-256 is {model.sha256}")
    if fetched.new and entry and not entry.open_licence:
        tell(f"Its licence forbids some uses: {entry.licence}")


async def _add(path: Path, name: str, as_json: bool) -> None:
    from nodes.models.shelf import adopt

    adoption = await adopt(path, name=name)
    if as_json:
        tell_json(
            {
                "models": [await _look_at(model) for model in adoption.models],
                "refused": [{"path": str(file), "why": str(error)} for file, error in adoption.refused],
            }
        )
        return
    for model in adoption.models:
        tell(f"{model.name} stays where it is: {model.path}")
    for _, error in adoption.refused:
        dim(f"Left out: {error}")


async def _remove(name: str, as_json: bool) -> None:
    from nodes.models.shelf import remove as let_go

    removal = let_go(name)
    if as_json:
        tell_json({"name": removal.name, "path": str(removal.path), "deleted": removal.deleted})
    elif removal.deleted:
        tell(f"{removal.name} is deleted: {removal.path}")
    else:
        tell(f"{removal.name} is forgotten; its file stays at {removal.path}")


@contextmanager
def _progress() -> Iterator[Watch]:
    """Give a `Watch` that draws a bar per step on stderr, or says each step once where nobody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    tasks: dict[tuple[str, str], TaskID] = {}
    if not console.is_terminal:

        def say(progress: Progress) -> None:
            if (progress.step, progress.file) not in tasks:
                tasks[progress.step, progress.file] = TaskID(0)
                dim(f"{progress.step} {progress.file}")

        yield say
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    # No refreshing on its own: that would take a thread.
    with Bars(*columns, TimeRemainingColumn(), console=console, auto_refresh=False) as bars:

        def draw(progress: Progress) -> None:
            key = (progress.step, progress.file)
            if key not in tasks:
                tasks[key] = bars.add_task(f"{progress.step} {progress.file.removesuffix('.part')}")
            bars.update(tasks[key], completed=progress.done_bytes, total=progress.total_bytes or None, refresh=True)

        yield draw


def _print_table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Only the last column may wrap: the others are short, and cut names can't be typed.
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, no_wrap=title != titles[-1], overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean(cell, lines=False)) for cell in row))
    Console().print(table)


def _short(licence: str) -> str:
    return licence.partition(" (")[0].partition(" and ")[0] or "unknown"


def _count_text(parameters: int) -> str:
    return f"{parameters / 1e9:.1f} B" if parameters >= 1e9 else f"{parameters / 1e6:.0f} M"
