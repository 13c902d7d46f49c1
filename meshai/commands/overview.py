"""Bare `meshai`: what this device has, and the next command."""

from __future__ import annotations

from meshai.control import RunningNode
from meshai.run import run, tell
from meshai.setup import state_dir
from meshai.words import air_line, clean
from nodes.config import data_dir
from nodes.known_radios import KnownRadios

__all__ = ["overview"]


def overview() -> None:
    """Tell what was found and what to do next."""
    run(_overview)


async def _overview() -> None:
    from nodes.bearers.attached import attached_radios
    from nodes.models.shelf import installed

    models = [model for model in installed() if not model.missing]
    radios = attached_radios()
    node = RunningNode(state_dir(None))
    running = await node.is_there()

    tell("meshai: neighbours share local language models, without internet\n")
    tell(f"  model      {', '.join(model.name for model in models) or 'none on this device'}")
    found = ", ".join(f"{radio.port} ({radio.chip}, probably a radio)" for radio in radios)
    tell(f"  radio      {found or 'none attached'}")
    if running:
        status = await node.status()
        peers = await node.peers()
        names = ", ".join(clean(peer["name"], lines=False) for peer in peers if peer["fresh"])
        tell(f"  node       {clean(status['name'], lines=False)} is running")
        if air := air_line(status["air"], silent=status["silent"]):
            tell(f"  air        {air}")
        tell(f"  neighbours {names or 'none heard yet'}")
    else:
        tell("  node       not running")
    is_set_up = not KnownRadios(data_dir()).is_empty
    tell(f"\nNext: {_next(bool(models), bool(radios), is_set_up, running)}")


def _next(model: bool, radio: bool, is_set_up: bool, running: bool) -> str:
    if running:
        return 'meshai ask "Why is the sky blue?"'
    if not model and not radio:
        return "meshai models get smollm2-135m   (a small model, 93 MB), then meshai demo"
    if radio and not is_set_up:
        return "meshai radio setup               (once for each radio; until then it only listens)"
    if radio:
        return "meshai up --radio serial         (then, in another terminal, meshai ask or meshai chat)"
    return 'meshai ask "Why is the sky blue?"   or   meshai demo'
