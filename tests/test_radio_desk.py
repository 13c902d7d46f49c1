"""Reading and writing a radio's settings at its own cable."""

from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
from admin_radio import AdminRadio

from nodes.bearers import meshtastic_admin, supervised_port
from nodes.bearers.meshtastic_admin import open_desk
from nodes.bearers.meshtastic_link import read_link
from nodes.bearers.supervised_port import Driver, SupervisedPort
from nodes.interfaces import ChannelKey
from nodes.radio_setup import CHANNEL_NAME, Wishes, check_kept, plan_setup
from nodes.trace import Trace
from protocol.errors import LocalError

pytestmark = pytest.mark.realtime


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr(supervised_port, "_PAUSE_S_MIN", 0.02)
    monkeypatch.setattr(meshtastic_admin, "_ANSWER_S", 0.5)
    monkeypatch.setattr(meshtastic_admin, "_RESTART_BEGINS_S", 1.0)
    monkeypatch.setattr(meshtastic_admin, "_RESTART_ENDS_S", 0.5)


@asynccontextmanager
async def desk_of(radio, trace=None):
    with trio.fail_after(20):
        async with open_desk(radio.port(trace)) as desk:
            yield desk


def a_plan(settings, **wishes):
    return plan_setup(settings, Wishes(**{"region": "EU_868", **wishes}), Random(1).randbytes)


async def test_a_radio_out_of_the_box_is_read_as_it_is():
    async with desk_of(AdminRadio()) as desk:
        settings = await desk.read()
    assert (settings.region, settings.preset, settings.transmits) == ("UNSET", "LONG_FAST", False)
    assert [slot.used for slot in settings.slots] == [True] + 7 * [False]
    assert settings.slots[0].worth is ChannelKey.DEFAULT


async def test_a_plan_is_written_in_one_piece_and_kept_over_the_restart():
    radio = AdminRadio()
    async with desk_of(radio) as desk:
        plan = a_plan(await desk.read())
        await desk.write(plan)
        await desk.restarted()
        check_kept(plan, await desk.read())
    assert radio.orders[-14:-10] == ["begin_edit_settings", "set_config", "set_channel", "commit_edit_settings"]
    assert (radio.channels[1].settings.name, len(radio.channels[1].settings.psk)) == (CHANNEL_NAME, 32)
    assert radio.lora.region == 3
    assert radio.restarts == 1


async def test_settings_that_we_know_nothing_of_stay_as_they_were():
    radio = AdminRadio()
    radio.lora.ParseFromString(radio.lora.SerializeToString() + b"\xf8\x3f\x07")  # a field of a newer firmware
    radio.set_lora(override_duty_cycle=True)
    async with desk_of(radio) as desk:
        await desk.write(a_plan(await desk.read()))
        await desk.restarted()
    assert (radio.lora.tx_power, radio.lora.sx126x_rx_boosted_gain, radio.lora.override_duty_cycle) == (30, True, True)
    assert radio.lora.SerializeToString().endswith(b"\xf8\x3f\x07")


async def test_a_number_that_changes_with_the_region_is_followed():
    radio = AdminRadio()
    radio.number_after_region = 0x2000
    async with desk_of(radio) as desk:
        plan = a_plan(await desk.read())
        await desk.write(plan)
        assert (await desk.restarted()).node_number == 0x2000
        check_kept(plan, await desk.read())


async def test_a_radio_that_keeps_something_else_is_found_out():
    radio = AdminRadio()
    async with desk_of(radio) as desk:
        plan = a_plan(await desk.read())
        await desk.write(plan)
        await desk.restarted()
        radio.set_lora(modem_preset=5)
        with pytest.raises(LocalError, match="preset should be LONG_FAST and is SHORT_SLOW"):
            check_kept(plan, await desk.read())


@pytest.mark.parametrize("order", ["begin_edit_settings", "set_config", "set_channel"])
@pytest.mark.parametrize("trouble", ["refuses", "vanishes_at"])
async def test_what_fails_half_way_leaves_the_radio_as_it_was(order, trouble):
    radio = AdminRadio()
    before = (radio.lora.SerializeToString(), radio.channels[1].SerializeToString())
    async with desk_of(radio) as desk:
        plan = a_plan(await desk.read())
        setattr(radio, trouble, order)
        with pytest.raises(LocalError, match="settings were not written"):
            await desk.write(plan)
        radio.refuses = radio.vanishes_at = ""
        await desk.restarted()
        settings = await desk.read()
    assert "commit_edit_settings" not in radio.orders
    assert settings.region == "UNSET"
    assert (radio.lora.SerializeToString(), radio.channels[1].SerializeToString()) == before


async def test_cancelled_while_it_writes_the_radio_is_fully_set_all_the_same():
    radio = AdminRadio()
    async with desk_of(radio) as desk:
        plan = a_plan(await desk.read())
        with trio.CancelScope() as scope:
            scope.cancel()
            await desk.write(plan)
        assert scope.cancelled_caught
    assert radio.orders[-4:] == ["begin_edit_settings", "set_config", "set_channel", "commit_edit_settings"]
    assert radio.lora.region == 3


async def test_cancelled_before_it_writes_nothing_was_ordered():
    radio = AdminRadio()
    with trio.move_on_after(0.3):
        async with desk_of(radio) as desk:
            await desk.read()
            await trio.sleep_forever()
    assert all(order.startswith("get_") for order in radio.orders)


async def test_a_radio_that_does_not_answer_to_administration_is_told_so():
    radio = AdminRadio()
    radio.answers = False
    async with desk_of(radio) as desk:
        with pytest.raises(LocalError, match="managed"):
            await desk.read()


async def test_a_radio_that_refuses_to_tell_its_settings_is_told_so():
    radio = AdminRadio()
    radio.refuses = "get_config_request"
    async with desk_of(radio) as desk:
        with pytest.raises(LocalError, match="does not tell its settings"):
            await desk.read()


async def test_a_radio_that_never_comes_back_is_told():
    class Gone(Driver):
        def open(self, tell):
            raise OSError("the radio refuses the connection")

        def close(self):
            pass

        new_packet_id = own_node_info = write = None

    radio = AdminRadio()
    drivers = iter([radio.port()._make_driver()])
    port = SupervisedPort(lambda: next(drivers, None) or Gone(), Trace())
    with trio.fail_after(20):
        async with open_desk(port) as desk:
            await desk.write(a_plan(await desk.read()))
            with pytest.raises(LocalError, match="does not come back"):
                await desk.restarted()


async def test_a_radio_that_is_not_there_ends_the_attempt():
    class Absent(Driver):
        def open(self, tell):
            raise OSError("nothing listens there")

        def close(self):
            pass

        new_packet_id = own_node_info = write = None

    port = SupervisedPort(Absent, Trace())
    with pytest.RaisesGroup(pytest.RaisesExc(LocalError, match="nothing listens there")):
        async with open_desk(port):
            raise AssertionError


async def test_the_link_brings_a_neighbour_onto_the_channel():
    radio, neighbour = AdminRadio(), AdminRadio(0x9000)
    async with desk_of(radio) as desk:
        await desk.write(a_plan(await desk.read()))
        await desk.restarted()
        settings = await desk.read()
        link = desk.link(settings.slots[1])
    async with desk_of(neighbour) as desk:
        plan = a_plan(await desk.read(), link=read_link(link))
        await desk.write(plan)
        await desk.restarted()
        assert (await desk.read()).slots[1].key == settings.slots[1].key
    assert neighbour.channels[0].settings.psk == b"\x01"


async def test_keys_are_not_traced():
    trace = Trace()
    async with desk_of(AdminRadio(), trace) as desk:
        plan = a_plan(await desk.read())
        await desk.write(plan)
        await desk.restarted()
        settings = await desk.read()
    told = repr((trace.facts, plan, settings))
    assert repr(plan.slot.key) not in told
    assert plan.slot.key.hex() not in told
