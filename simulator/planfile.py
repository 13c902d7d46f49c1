"""A plan's scenario as a file: TOML with comments, which `simulator.scenario.reading` reads back equal.

For scenarios that `simulator.planning` makes: places one by one, one kind of radio, relays, one kind of device, people.
Returns text; writes nothing. What no plan has, such as faults, is not written.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

from simulator.scenario.layout import Origin
from simulator.scenario.plan import DevicePlan, PeoplePlan, Place, RadioPlan, Scenario

__all__ = ["plan_file"]

_WIDTH = 28
"""Comments begin there, where a line is shorter."""


def plan_file(scenario: Scenario, origin: Origin | None, remarks: Iterable[str] = ()) -> str:
    """The file's text; `remarks` stand at its top, one a line.

    `origin` is where the places' metres count from; None for a map without degrees.
    """
    lines = ["# A plan by meshai. Lines that begin with # are for people.", "# Try it: meshai sim run THIS-FILE"]
    lines += [f"# {_plain(remark)}" for remark in remarks]
    lines += ["", f"title = {_text(scenario.title)}"]
    if scenario.about:
        lines.append(f"about = {_text(scenario.about)}")
    if scenario.terrain:
        lines.append(_line("terrain", _text(scenario.terrain), "folder of .hgt tiles"))
    lines.append(_line("hours", _number(scenario.hours), "how long is simulated"))
    minutes = round(scenario.start_hour * 60)
    lines.append(_line("start", f'"{minutes // 60:02}:{minutes % 60:02}"', "time of the day at which it begins"))
    lines += ["", "[places]"]
    if origin is not None:
        lines.append(_line("latitude", _number(origin.latitude), "from where metres east and north count"))
        lines.append(f"longitude = {_number(origin.longitude)}")
    for place in scenario.places:
        lines += ["", *_place(place)]
    for pair in scenario.blocked:
        lines += ["", "[[places.blocked]]          # something stands between them"]
        lines += [f"between = [{_text(pair.one)}, {_text(pair.other)}]", f"loss_db = {_number(pair.loss_db)}"]
    lines += ["", *_radio(scenario.radio)]
    for device in scenario.devices:
        lines += ["", *_device(device)]
    lines += ["", *_people(scenario.people)]
    return "\n".join(lines) + "\n"


def _place(place: Place) -> Iterator[str]:
    yield "[[places.extra]]"
    yield f"name = {_text(place.name)}"
    yield f'kind = "{"house" if place.is_house else "relay"}"'
    if place.latitude is not None and place.longitude is not None:
        yield f"latitude = {_number(place.latitude)}"
        yield f"longitude = {_number(place.longitude)}"
    else:
        yield _line("x_m", _number(place.x_m), "metres east")
        yield _line("y_m", _number(place.y_m), "metres north")
    yield _line("antenna_m", _number(place.antenna_m), "height of the antenna above ground")
    if place.ground_m:
        yield _line("ground_m", _number(place.ground_m), "height of the ground")


def _radio(radio: RadioPlan) -> Iterator[str]:
    yield "[radio]"
    yield f"preset = {_text(radio.preset)}"
    yield f"region = {_text(radio.region)}"
    if radio.power_dbm is not None:
        yield _line("power_dbm", _number(radio.power_dbm), "transmit power")
    yield _line("antenna_gain_db", _number(radio.antenna_gain_db), "of every antenna")
    yield _line("hop_limit", str(radio.hop_limit), "how often a packet may be passed on")
    yield f"role = {_text(radio.role)}"
    yield f"firmware = {_text(radio.firmware)}"
    yield _line("chatter", str(radio.chatter).lower(), "radios tell name, position and battery now and then")
    yield _line("path_loss", _text(radio.path_loss), "what the land is like")
    yield _line("asymmetry_db", _number(radio.asymmetry_db), "how much the two directions of a link differ")
    yield _line("shadowing_db", _number(radio.shadowing_db), "how much houses and trees change a link by chance")
    yield _line("fading_db", _number(radio.fading_db), "how much it changes from packet to packet")
    yield _line("noise_figure_db", _number(radio.noise_figure_db), "noise that receivers add")
    for special in radio.special:
        yield ""
        yield _line("[[radio.special]]", "", "the relays")
        yield from _names(special.at)
        if special.role is not None:
            yield _line("role", _text(special.role), "passes on at once, whoever else does")
        if special.rebroadcast_mode is not None:
            mode = _text(special.rebroadcast_mode)
            yield _line("rebroadcast_mode", mode, "also what it can't read: routers leave meshai out unless told so")


def _device(device: DevicePlan) -> Iterator[str]:
    yield _line("[[devices]]", "", "with a model")
    yield f"name = {_text(device.name)}"
    yield from _names(device.at)
    yield f"model = {_text(device.model)}"
    yield _line("tokens_per_s", _number(device.tokens_per_s), "how fast it writes")
    yield _line("slots", str(device.slots), "answers that it works on at once")
    yield _line("idle_w", _number(device.idle_w), "watts while it waits")
    yield _line("busy_w", _number(device.busy_w), "watts while it answers")


def _people(people: PeoplePlan) -> Iterator[str]:
    yield "[people]"
    yield _line("questions_per_day", _number(people.questions_per_day), "all houses together")
    yield _line("evening_peak", _number(people.evening_peak), "how many times more in the evening than at noon")
    yield _line("asking_share", _number(people.asking_share), "share of the houses that ask")
    shares = ", ".join(f"{language} = {_number(share)}" for language, share in people.languages.items())
    yield f"languages = {{ {shares} }}"
    yield _line("alike", _number(people.alike), "share of questions that were asked before")
    yield _line("patience_s", _number(people.patience_s), "after this an answer is of no use")
    yield _line("answer_chars", str(people.answer_chars), "length of a usual answer")
    yield _line("texts_per_day", _number(people.texts_per_day), "messages to everybody")


def _names(names: Iterable[str]) -> Iterator[str]:
    yield "at = ["
    yield from (f"    {_text(name)}," for name in names)
    yield "]"


def _line(key: str, value: str, comment: str) -> str:
    start = f"{key} = {value}" if value else key
    return f"{start:<{_WIDTH}} # {comment}"


def _number(value: float) -> str:
    """Such that it is read back as the same number."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def _text(value: str) -> str:
    """A TOML basic string: quotes, backslashes and what is invisible are escaped (TOML 1.0, "String")."""
    return f'"{"".join(_escaped(character) for character in value)}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp"):
        return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"
    return character


def _plain(remark: str) -> str:
    return "".join(" " if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp") else each for each in remark)
