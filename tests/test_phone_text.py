"""Ordinary phones ask a node by text, over virtual radios in virtual time: every rule as the phone meets it."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from phone_world import ANSWERS, STREET, RememberingEngine, street

from nodes.emergency_plan import EmergencyPlan
from nodes.engines.scripted import ScriptedEngine
from protocol.errors import LocalError
from protocol.messages import Role
from simulator.channels import Channel
from simulator.topology import full, line

SKY = ANSWERS["Why is the sky blue?"]
STORY = ANSWERS["Tell me a story"]


def bare(chunk):
    """A chunk without mark and number."""
    words = chunk.split(" ")
    return " ".join(words[2:] if words[1].startswith("(") else words[1:])


async def test_an_allowed_phone_asks_in_plain_words_and_hears_at_first_whose_device_reads_along(autojump_clock):
    async with street() as here:
        said = await here.phones["B"].ask("Why is the sky blue?", here.number)
        assert said == [f"AI: Ann's computer answers here; Ann can read along. {SKY}"]
        await trio.sleep(20)
        assert (await here.phones["B"].ask("And why red?", here.number)) == ["AI: No answer now. Ask again later."]
        texts = here.phones["B"].texts
        assert all(text.packet.to == here.phones["B"].number and text.packet.pkc for text in texts)
        assert here.phones["C"].texts == []


async def test_a_radio_that_is_not_allowed_is_not_answered_and_costs_no_air(autojump_clock):
    async with street(allowed="C") as here:
        flights = []
        await here.phones["B"].send("Why is the sky blue?", here.number)
        await trio.sleep(5)
        here.air.medium.observe(flights.append)
        await trio.sleep(60)
        assert here.phones["B"].texts == []
        assert [flight for flight in flights if flight.port == 1] == []
        told = [fact.fields["peer"] for fact in here.trace.facts if fact.name == "phone.stranger"]
        assert told == [here.phones["B"].address], "its owner learns of it"


async def test_a_blocked_radio_is_not_answered_even_where_it_is_allowed(autojump_clock):
    async with street(blocked="B", channels=(Channel(), STREET)) as here:
        await here.phones["B"].send("ping", here.number)
        await trio.sleep(30)
        assert here.phones["B"].texts == []
        assert here.why_ignored() == ["its owner blocked this radio"]


async def test_a_radio_that_a_person_uses_too_answers_only_after_the_prefix(autojump_clock):
    async with street(personal=True, allowed="B") as here:
        for text in ("Why is the sky blue?", "aim for the sky", "hi ai"):
            await here.phones["B"].send(text, here.number)
            await trio.sleep(30)
        await here.phones["C"].send("ai ping", here.number)
        await trio.sleep(30)
        assert here.phones["B"].texts == here.phones["C"].texts == []
        said = await here.phones["B"].ask("Ai, Why is the sky blue?", here.number)
        assert said[0].endswith(SKY)
        assert "Or text: ai more, ping" in (await here.phones["B"].ask("ai", here.number))[0]
        assert "Or text: ai more, ping" in (await here.phones["B"].ask("ai help", here.number))[0]


async def test_a_dedicated_radio_takes_the_prefix_as_well(autojump_clock):
    async with street() as here:
        assert (await here.phones["B"].ask("ai: Why is the sky blue?", here.number))[0].endswith(SKY)


async def test_phones_can_be_switched_off(autojump_clock):
    async with street(answered=False) as here:
        await here.phones["B"].send("Why is the sky blue?", here.number)
        await trio.sleep(60)
        assert here.phones["B"].texts == []


async def test_a_silenced_node_leaves_phones_alone(autojump_clock):
    async with street() as here:
        here.node.hush(silent=True)
        await here.phones["B"].send("ping", here.number)
        await trio.sleep(60)
        assert here.phones["B"].texts == []


async def test_a_channel_is_answered_only_where_switched_on_and_after_the_prefix(autojump_clock):
    other = Channel("other", bytes(range(1, 17)))
    async with street(channels=(Channel(), STREET, other), channels_on=("street",)) as here:
        phone = here.phones["B"]
        await phone.send("Why is the sky blue?", channel=1)
        await trio.sleep(30)
        await phone.send("ai Why is the sky blue?", channel=2)
        await trio.sleep(30)
        assert phone.texts == []
        asked = await phone.send("ai Why is the sky blue?", channel=1)
        said = await phone.until(1)
        assert said[0].endswith(SKY)
        assert phone.texts[0].packet.channel == 1
        assert phone.texts[0].packet.reply_id == asked
        assert here.phones["C"].said[-1:] == said, "everybody on the channel reads it"


@pytest.mark.parametrize("key", [b"\x01", b"\x02", b""])
async def test_a_channel_with_a_known_key_or_none_is_never_answered(autojump_clock, key):
    async with street(channels=(Channel("open", key),), channels_on=("open",)) as here:
        await here.phones["B"].send("ai Why is the sky blue?")
        await trio.sleep(60)
        assert here.phones["B"].texts == []
        assert here.why_ignored() == ["it came on a channel that anyone can read and write on"]
        (told,) = [fact.fields for fact in here.trace.facts if fact.name == "phone.channel_off"]
        assert told == {"channel": "open", "why": "it has no key of its own, so anyone reads along and writes"}


async def test_on_a_personal_radios_channel_only_allowed_radios_are_answered(autojump_clock):
    async with street(personal=True, allowed="B", channels_on=("street",)) as here:
        await here.phones["C"].send("ai ping", channel=1)
        await trio.sleep(30)
        assert here.phones["C"].texts == []
        await here.phones["B"].send("ai ping", channel=1)
        await here.phones["B"].until(1)


async def test_the_commands(autojump_clock):
    async with street(line(2), allowed="B") as here:
        phone = here.phones["B"]
        await phone.ask("help", here.number)
        assert (await phone.ask("Ping!", here.number))[0].startswith("AI: pong, SNR ")
        assert phone.said[-1].endswith(" dB, hops 1")
        assert (await phone.ask("models", here.number)) == ["AI: Models: tiny"]
        status = (await phone.ask("STATUS", here.number))[0]
        assert status.startswith("AI: 0 waiting, ")
        assert (await phone.ask("more", here.number)) == ["AI: There is no more."]
        assert (await phone.ask("forget", here.number)) == ["AI: Forgotten."]


async def test_ping_counts_the_hops(autojump_clock):
    async with street(line(3), allowed="C") as here:
        said = await here.phones["C"].ask("ping", here.number)
        assert said[0].endswith(" dB, hops 2")


async def test_a_long_answer_comes_in_numbered_chunks_and_more_brings_the_rest(autojump_clock):
    async with street() as here:
        phone = here.phones["B"]
        await phone.ask("help", here.number)
        said = await phone.ask("Tell me a story", here.number, expect=3)
        assert [chunk.split(" ")[1] for chunk in said] == ["(1/3)", "(2/3)", "(3/3)"]
        assert all(chunk.startswith("AI: ") and len(chunk.encode()) <= 200 for chunk in said)
        assert said[-1].endswith(" (text: more)")
        await trio.sleep(30)
        assert len(phone.said) == 4, "the rest waits"
        rest = []
        while not rest or rest[-1].endswith("(text: more)"):
            had = len(phone.said)
            await phone.send("more", here.number)
            await phone.until(had + 1)
            await trio.sleep(60)
            rest += phone.said[had:]
        whole = " ".join(bare(chunk).removesuffix(" (text: more)") for chunk in said + rest)
        assert whole == STORY


async def test_when_the_model_had_more_to_say_more_asks_it_to_go_on(autojump_clock):
    engine = RememberingEngine(lambda question: " ".join(["na"] * 400) if question != "Go on." else "The end.", slots=1)
    async with street(engine=engine) as here:
        phone = here.phones["B"]
        await phone.ask("Sing", here.number, expect=3)
        with trio.fail_after(600):
            while "The end." not in phone.said[-1]:
                had = len(phone.said)
                await phone.send("more", here.number)
                await phone.until(had + 1)
                await trio.sleep(60)
        assert [turn.text for turn in engine.prompts[-1].turns if turn.role is Role.USER] == ["Sing", "Go on."]


async def test_texts_of_ours_are_at_least_two_and_a_half_seconds_apart_across_all_phones(autojump_clock):
    async with street(preset="SHORT_TURBO") as here:
        async with trio.open_nursery() as nursery:
            for name in "BCD":
                nursery.start_soon(here.phones[name].ask, "help", here.number)
        await here.phones["B"].ask("Tell me a story", here.number, expect=3)
        times = here.port.handed_at
        assert len(times) == 6
        assert all(later - earlier >= 2.5 for earlier, later in pairwise(times))
        assert not [fact for fact in here.trace.facts if fact.name == "radio.nak"]


async def test_the_next_chunk_leaves_only_after_the_last_was_really_acknowledged(autojump_clock):
    async with street(line(3), allowed="C", preset="LONG_FAST", share=1.0) as here:
        await here.phones["C"].ask("Tell me a story", here.number, expect=2)
        sent = [fact for fact in here.trace.facts if fact.name == "phone.sent"]
        assert [fact.fields["fate"] for fact in sent][:1] == ["DELIVERED"]
        acked_at = sent[0].time_s
        assert here.phones["C"].texts[1].at_s > acked_at > here.phones["C"].texts[0].at_s


async def test_a_lost_chunk_is_sent_again_and_the_answer_arrives_whole(autojump_clock):
    async with street(full(2), allowed="B") as here:
        phone = here.phones["B"]
        await phone.send("Tell me a story", here.number)
        await phone.until(1)
        await trio.sleep(1)
        here.air.radio("B").switch_off()  # and so misses the second chunk
        await trio.sleep(20)
        here.air.radio("B").switch_on()
        with trio.fail_after(200):
            while not phone.said[-1].startswith("AI: (3/3)"):
                await phone.until(len(phone.said) + 1)
            await trio.sleep(5)
        fates = [fact.fields["fate"] for fact in here.trace.facts if fact.name == "phone.sent"]
        assert fates == ["DELIVERED", "UNKNOWN", "DELIVERED", "DELIVERED"]
        assert [chunk.split(" ")[1] for chunk in phone.said] == ["(1/3)", "(2/3)", "(3/3)"]


@pytest.mark.parametrize("seed", range(5))
async def test_with_losses_every_chunk_arrives_or_waits_for_more(autojump_clock, seed):
    async with street(line(3), phones="C", allowed="C", loss=0.3, seed=seed) as here:
        phone = here.phones["C"]
        words = set()
        with trio.fail_after(3600):
            while not words >= set(STORY.split()):
                was_heard = any(fact.fields.get("what") == "question" for fact in here.trace.facts)
                await phone.send("more" if was_heard else "Tell me a story", here.number)
                await trio.sleep(120)
                words |= {word for chunk in phone.said for word in chunk.split()}


async def test_a_key_that_the_radio_lost_is_fetched(autojump_clock):
    async with street(full(2), allowed="B") as here:
        phone = here.phones["B"]
        await phone.send("Tell me a story", here.number)
        await trio.sleep(0.2)
        here.air.radio("A").known_nodes[phone.number].public_key = b""
        await phone.until(3)
        assert [fact.name for fact in here.trace.facts if fact.name == "radio.key_asked"] == ["radio.key_asked"]


async def test_without_sealing_a_direct_message_is_answered_only_on_a_channel_with_its_own_key(autojump_clock):
    async with street(has_pkc=False) as here:
        phone = here.phones["B"]
        await phone.send("Why is the sky blue?", here.number, channel=0)
        await trio.sleep(60)
        assert phone.texts == []
        await phone.send("Why is the sky blue?", here.number, channel=1)
        assert (await phone.until(1))[0].endswith(SKY)
        assert phone.texts[0].packet.channel == 1


async def test_answers_are_sealed_also_where_the_primary_channel_is_one_that_never_is(autojump_clock):
    async with street(channels=(Channel("serial", bytes(16)), STREET)) as here:
        phone = here.phones["B"]
        await phone.send("Why is the sky blue?", here.number, channel=1)
        assert (await phone.until(1))[0].endswith(SKY)
        assert phone.texts[0].packet.pkc


async def test_a_phone_that_is_gone_gets_each_chunk_three_times_at_most_and_the_rest_with_more(autojump_clock):
    async with street(full(3), allowed="BC") as here:
        phone = here.phones["B"]
        await phone.send("Tell me a story", here.number)
        await trio.sleep(1)
        here.air.radio("B").switch_off()
        await trio.sleep(300)
        tries = [fact for fact in here.trace.facts if fact.name == "phone.sent"]
        assert [fact.fields["fate"] for fact in tries] == ["UNKNOWN"] * 3
        here.air.radio("B").switch_on()
        await trio.sleep(5)
        said = await phone.ask("more", here.number, expect=3)
        assert bare(said[0]).startswith("Ann's computer answers here; Ann can read along. word0 word1"), "greeted anew"
        whole = " ".join(bare(chunk) for chunk in said)
        assert whole.count("(text: more)") == 1


async def test_one_question_at_a_time_is_answered_and_the_place_in_the_queue_is_told(autojump_clock):
    engine = ScriptedEngine(lambda question: "Yes indeed " * 10, tokens_per_s=1)
    async with street(engine=engine) as here:
        b, c = here.phones["B"], here.phones["C"]
        await b.send("first?", here.number)
        await trio.sleep(5)
        told = await c.ask("second?", here.number)
        assert told[0].endswith("1 before you, about 40 s.")
        assert (await b.ask("and now?", here.number))[0].startswith("AI: Ann's computer")
        assert "Please wait" in b.said[0]
        await c.until(2)
        assert "Yes indeed" in b.said[-1]
        assert "Yes indeed" in c.said[-1]


async def test_after_an_answer_the_next_question_has_to_cool_down_which_is_told_once(autojump_clock):
    async with street(cooldown_s=120) as here:
        phone = here.phones["B"]
        await phone.ask("Why is the sky blue?", here.number)
        await trio.sleep(5)
        told = await phone.ask("And green?", here.number)
        assert told[0].startswith("AI: Please wait 1")
        await trio.sleep(35)
        await phone.send("And red?", here.number)
        await trio.sleep(40)
        assert len(phone.said) == 2
        await trio.sleep(60)
        await phone.ask("Tell me a story", here.number, expect=3)


async def test_the_days_questions_are_bounded_by_the_date(autojump_clock):
    clock = {"now": 1.8e9}
    engine = ScriptedEngine(lambda question: "Yes.")
    async with street(engine=engine, questions_per_day=2, cooldown_s=0, wall=lambda: clock["now"]) as here:
        phone = here.phones["B"]
        for number in range(2):
            assert (await phone.ask(f"question {number}?", here.number))[0].endswith("Yes.")
            await trio.sleep(10)
        assert (await phone.ask("question 3?", here.number)) == ["AI: That was 2 questions today. Ask again tomorrow."]
        await phone.send("question 4?", here.number)
        await trio.sleep(40)
        assert len(phone.said) == 3, "told once"
        assert (await here.phones["C"].ask("mine?", here.number))[0].endswith("Yes."), "each has their own"
        clock["now"] += 86_400
        assert (await phone.ask("question 5?", here.number)) == ["AI: Yes."]


async def test_a_few_turns_are_remembered_until_forget_or_an_hour_of_silence(autojump_clock):
    engine = RememberingEngine(lambda question: f"answer to {question}", slots=1)
    async with street(engine=engine, cooldown_s=0) as here:
        phone = here.phones["B"]

        async def asked(question):
            await phone.ask(question, here.number)
            await trio.sleep(15)
            return [turn.text for turn in engine.prompts[-1].turns if turn.role is not Role.SYSTEM]

        assert await asked("one") == ["one"]
        assert await asked("two") == ["one", "answer to one", "two"]
        for question in ("three", "four", "five"):
            await asked(question)
        assert (await asked("six"))[:2] == ["three", "answer to three"], "three exchanges are kept"
        await phone.ask("forget", here.number)
        await trio.sleep(15)
        assert await asked("seven") == ["seven"]
        await trio.sleep(3700)
        assert await asked("eight") == ["eight"]
        await here.phones["C"].ask("mine", here.number)
        assert [turn.text for turn in engine.prompts[-1].turns][1:] == ["mine"]


async def test_what_is_said_in_private_is_not_repeated_on_a_channel(autojump_clock):
    engine = RememberingEngine(lambda question: f"answer to {question}", slots=1)
    async with street(engine=engine, cooldown_s=0, channels_on=("street",)) as here:
        phone = here.phones["B"]
        await phone.ask("my secret", here.number)
        await trio.sleep(10)
        await phone.send("ai my question", channel=1)
        await phone.until(2)
        assert "my secret" not in [turn.text for turn in engine.prompts[-1].turns]


async def test_thinking_is_not_sent_and_a_model_that_only_thought_is_asked_once_more(autojump_clock):
    answers = iter(["<think>Hmm " + "well " * 400, "<think>Hmm</think>Because."])
    engine = RememberingEngine(lambda question: next(answers), slots=1)
    async with street(engine=engine) as here:
        said = await here.phones["B"].ask("Why?", here.number)
        assert said[0].endswith("along. Because.")
        assert [prompt.max_tokens for prompt in engine.prompts] == [240, 1000]


async def test_an_engine_that_fails_is_told_in_a_few_words(autojump_clock):
    def fail(question):
        raise LocalError("the engine broke")

    async with street(engine=ScriptedEngine(fail)) as here:
        said = await here.phones["B"].ask("Why?", here.number)
        assert said[0].endswith("No answer now. Ask again later.")


async def test_the_same_packet_and_the_same_question_soon_again_are_answered_once(autojump_clock):
    engine = RememberingEngine({"Why?": "Because."}, slots=1)
    async with street(engine=engine, cooldown_s=0) as here:
        phone = here.phones["B"]
        await phone.send("Why?", here.number)
        await trio.sleep(4)
        await phone.send("why", here.number)
        await trio.sleep(40)
        assert len(phone.said) == len(engine.prompts) == 1


@pytest.mark.parametrize(
    "text",
    [
        "AI: Because air scatters blue light.",
        "🤖 beep",
        "👍",
        "?!",
        "Ask in plain words. Or text: more, ping, status, models, forget.",
        "That was 7 questions today. Ask again tomorrow.",
    ],
)
async def test_other_machines_reactions_and_our_own_phrases_get_no_answer(autojump_clock, text):
    async with street() as here:
        await here.phones["B"].send(text, here.number)
        await trio.sleep(40)
        assert here.phones["B"].texts == []
        assert here.why_ignored() != []


async def test_two_nodes_do_not_talk_to_each_other_for_ever(autojump_clock):
    engine = ScriptedEngine(lambda question: f"You said {question[:20]}")
    async with street(engine=engine, cooldown_s=0) as here:
        echo = here.phones["B"]
        replies = 0

        async def parrot():
            nonlocal replies
            while True:
                had = len(echo.texts)
                await echo.until(had + 1, seconds=1e9)
                replies += 1
                await trio.sleep(2.2)
                await echo.send(f"I repeat: {echo.said[-1]}", here.number)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(parrot)
            await echo.send("hello there", here.number)
            await trio.sleep(3600)
            nursery.cancel_scope.cancel()
        assert replies == 1
        assert "it repeats what this node said" in here.why_ignored()


async def test_a_machine_that_answers_at_once_and_for_ever_is_soon_left_alone(autojump_clock):
    engine = ScriptedEngine(lambda question: "How interesting.")
    async with street(engine=engine, cooldown_s=0, preset="SHORT_TURBO") as here:
        bot = here.phones["B"]

        async def chat():
            number = 0
            while True:
                await bot.until(len(bot.texts) + 1, seconds=1e9)
                await trio.sleep(2.1)
                number += 1
                await bot.send(f"Tell me fact number {number}", here.number)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(chat)
            await bot.send("hello there", here.number)
            await trio.sleep(1800)
            nursery.cancel_scope.cancel()
        assert len(bot.said) <= 10
        assert "texts come as fast as only a machine's" in here.why_ignored()


async def test_a_flood_of_texts_is_bounded_in_answers_and_memory(autojump_clock):
    async with street() as here:
        phone = here.phones["B"]
        for number in range(200):
            await phone.send(f"question {number}", here.number)
            await trio.sleep(2.1)
        await trio.sleep(60)
        assert len(phone.said) <= 40
        (desk,) = here.node._desks
        assert len(desk._people) == 1
        assert desk._sender.waiting == len(desk._questions) == 0


async def test_a_question_in_the_language_of_the_street_is_answered_in_its_phrases(autojump_clock):
    async with street(language="sw") as here:
        said = await here.phones["B"].ask("msaada", here.number)
        assert "Uliza kwa maneno ya kawaida" in said[0]
        assert said[-1].endswith("(tafsiri ya awali)"), "unreviewed phrases are marked"
        assert (await here.phones["B"].ask("ping", here.number))[0].startswith("AI: pong, SNR ")
        assert (await here.phones["B"].ask("modèles", here.number))[0].startswith("AI: Modèles")


async def test_without_a_language_set_the_question_shows_it(autojump_clock):
    def fail(question):
        raise LocalError("no")

    async with street(engine=ScriptedEngine(fail)) as here:
        said = await here.phones["B"].ask("¿Por qué el cielo es azul y el mar también?", here.number)
        assert (
            said[0]
            == "AI: Aquí responde el ordenador de Ann; Ann puede leerlo. Ahora no hay respuesta. Pregunta más tarde."
        )


async def test_in_an_emergency_the_fixed_text_comes_before_the_models_which_is_marked(autojump_clock):
    plan = EmergencyPlan(numbers=("Ambulance 112",), people=("Amina, nurse, blue house",))
    engine = ScriptedEngine(lambda question: "Give water.", tokens_per_s=0.5)
    async with street(engine=engine, emergency=plan, share=1.0) as here:
        phone = here.phones["B"]
        await phone.ask("my son drank bleach", here.number, expect=2)
        assert phone.said[0] == (
            "AI: Emergency? Get people to help NOW. Call: Ambulance 112. Near: Amina, nurse, blue house. "
            "I am a machine; I have called nobody. Ann's computer answers here; Ann can read along."
        )
        assert phone.said[1] == "AI: The machine says (it may be wrong): Give water."


async def test_an_emergency_goes_before_everything_that_waits(autojump_clock):
    async with street(preset="LONG_FAST", share=1.0) as here:
        b, c = here.phones["B"], here.phones["C"]
        await b.send("Tell me a story", here.number)
        await b.until(1)
        said = await c.ask("fire! the house is on fire", here.number)
        assert "Get people to help NOW" in said[0]
        await trio.sleep(60)
        facts = [fact for fact in here.trace.facts if fact.name in ("phone.emergency", "phone.sent")]
        order = [fact.fields["peer"] if fact.name == "phone.sent" else "heard" for fact in facts]
        heard = order.index("heard")
        assert order[heard + 1 :].index(c.address) <= 1, "after the one chunk that is on the air"


async def test_an_emergency_is_told_even_to_who_asked_too_often(autojump_clock):
    async with street(questions_per_day=0) as here:
        await here.phones["B"].ask("help, my daughter is drowning", here.number)
        assert "Get people to help NOW" in here.phones["B"].said[0]


async def test_when_the_air_is_used_up_the_person_is_told_when_to_come_again(autojump_clock):
    async with street(preset="LONG_FAST", share=0.002) as here:
        said = []
        for number in range(6):
            await here.phones["B"].send(f"Why is the sky blue? {number}", here.number)
            await trio.sleep(300)
            said += here.phones["B"].said
        assert any(text.startswith("AI: Busy. Ask again in ") or "Busy. Ask again in" in text for text in said)


async def test_a_radio_that_goes_and_comes_back_only_delays_the_answer(autojump_clock):
    async with street() as here:
        await here.phones["B"].send("Tell me a story", here.number)
        await here.phones["B"].until(1)
        here.air.radio("A").switch_off()
        await trio.sleep(60)
        here.air.radio("A").switch_on()
        with trio.fail_after(120):
            while not here.phones["B"].said[-1].startswith("AI: (3/3)"):
                await here.phones["B"].until(len(here.phones["B"].said) + 1)
        assert here.phones["B"].said[-1].endswith("(text: more)")


async def test_stopping_in_the_middle_leaves_nothing_behind(autojump_clock):
    for seconds in (0.1, 1, 3, 6, 12, 30):
        async with street() as here:
            for phone in here.phones.values():
                await phone.send("Tell me a story", here.number)
            await trio.sleep(seconds)
        (desk,) = here.node._desks
        assert desk._answering is None


async def test_a_node_without_a_model_asks_a_neighbours(autojump_clock):
    async with street(engine=None, allowed="B", phones="B", share=1.0) as here:
        phone = here.phones["B"]
        assert (await phone.ask("models", here.number))[0].endswith("No model here now.")
        async with here.neighbour("D", ScriptedEngine(lambda question: SKY, name="tiny", tokens_per_s=50)):
            await trio.sleep(60)
            assert (await phone.ask("models", here.number)) == ["AI: Models: tiny"]
            assert (await phone.ask("Why is the sky blue?", here.number)) == [f"AI: {SKY}"]


async def test_where_nobody_has_a_model_the_person_is_told(autojump_clock):
    async with street(full(2), engine=None, allowed="B", phones="B", share=1.0) as here:
        said = await here.phones["B"].ask("Why is the sky blue?", here.number)
        assert said[0].endswith("No answer now. Ask again later.")


async def test_texts_that_are_no_text_do_no_harm(autojump_clock):
    async with street() as here:
        for payload in (b"\xff\xfe\x00", b"", b"\x1b[2J", b"x" * 240, "ًٌٍَُِّ".encode()):
            await here.phones["B"].send(payload, here.number)
            await trio.sleep(30)
        assert (await here.phones["B"].ask("ping", here.number))[0].startswith("AI: ")


async def test_an_emergency_does_not_wait_for_the_air_that_answers_have_to_wait_for(autojump_clock):
    async with street(preset="LONG_FAST", share=0.02, cooldown_s=0) as here:
        b, c = here.phones["B"], here.phones["C"]
        for _ in range(2):
            await b.send("Tell me a story", here.number)
            await trio.sleep(40)
            await b.send("more", here.number)
            await trio.sleep(40)
        assert here.node.status().air_left_s < 5
        asked_at = trio.current_time()
        said = await c.ask("my house is on fire", here.number)
        assert "Get people to help NOW" in said[0]
        assert c.texts[0].at_s - asked_at < 30, "51 s when it waits like the others"
