"""Emergencies: recognised in many languages, answered first and honestly, whoever asks in whatever way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio
from mesh_world import RestartingEngine, cabin_and_house, until_heard, wish, world

from nodes.emergency import Emergencies
from nodes.emergency_plan import EmergencyPlan, load_plan, plan_from, plan_text, save_plan
from nodes.engines.scripted import ScriptedEngine
from nodes.languages import languages
from nodes.wishes import Restarted, Text
from protocol.errors import LocalError

DATA = Path(__file__).parent / "benchmarks" / "data"
PLAN = EmergencyPlan(
    numbers=("Ambulance 112",), people=("Amina, nurse, blue house",), kinds={"poison": ("Poison line 0800 123",)}
)
CODES = ("sw", "ha", "yo", "zu", "xh", "es", "fr", "pt", "hi", "ar", "id")

EMERGENCIES = [
    ("en", "poison", "My 2 year old swallowed some pills, what do I do?"),
    ("en", "poison", "she DRANK some bleach!!"),
    ("en", "poison", "My husband was bitten by a snake"),
    ("en", "poison", "I smell gas in the kitchen"),
    ("en", "injury", "He's bleeding badly and it wont stop"),
    ("en", "injury", "my father is unconscious and not breathing"),
    ("en", "injury", "baby choking on a grape"),
    ("en", "injury", "she burnt her hand with hot oil"),
    ("en", "injury", "I think my mum has a heart attack"),
    ("en", "fire", "there's a fire up in the roof"),
    ("en", "fire", "FIIIIRE"),
    ("en", "fire", "lightning set the barn on fire"),
    ("en", "drowning", "a child fell into the river"),
    ("en", "drowning", "my friend is drowning"),
    ("en", "violence", "my boyfriend beats me and threatens to kill me"),
    ("en", "violence", "someone with a knife is outside"),
    ("en", "violence", "I want to kill myself"),
    ("en", "violence", "they were shooting at the market"),
    ("sw", "poison", "Mtoto amekunywa mafuta ya taa, nifanye nini?"),
    ("sw", "injury", "Anatokwa na damu nyingi"),
    ("sw", "fire", "Nyumba yetu inaungua moto!"),
    ("sw", "drowning", "Mtoto anazama mtoni"),
    ("sw", "violence", "Mume wangu ananipiga"),
    ("ha", "poison", "Yaro ya sha maganin bera"),
    ("ha", "injury", "Jini yana zuba da yawa"),
    ("ha", "fire", "Gobara a gidanmu!"),
    ("ha", "drowning", "Yaro ya faɗa cikin rijiya ya nutse"),
    ("ha", "violence", "'Yan bindiga sun kai hari"),
    ("yo", "poison", "Ọmọ mi mu májèlé"),
    ("yo", "injury", "Ó farapa, ẹ̀jẹ̀ púpọ̀ ń jáde"),
    ("yo", "fire", "Iná ń jó ilé wa"),
    ("yo", "drowning", "Ọmọ náà rì sínú omi"),
    ("yo", "violence", "Ọkọ mi ń lù mí"),
    ("zu", "poison", "Ingane iphuze ushevu"),
    ("zu", "injury", "Ubaba uyopha kakhulu"),
    ("zu", "fire", "Indlu iyasha, kunomlilo, umlilo omkhulu"),
    ("zu", "drowning", "Ingane iyaminza emfuleni"),
    ("zu", "violence", "Umyeni wami uyangishaya"),
    ("xh", "poison", "Umntwana usele ityhefu"),
    ("xh", "injury", "Utata wenzakele kakhulu"),
    ("xh", "fire", "Indlu iyatsha"),
    ("xh", "drowning", "Umntwana uwele emlanjeni"),
    ("xh", "violence", "Umyeni wam uyandibetha"),
    ("es", "poison", "Mi hijo bebió lejía, ¿qué hago?"),
    ("es", "injury", "mi abuela se cayó y no respira"),
    ("es", "fire", "¡La casa está en llamas!"),
    ("es", "drowning", "un niño se está ahogando en el río"),
    ("es", "violence", "mi marido me pega"),
    ("fr", "poison", "Ma fille a avalé des cachets"),
    ("fr", "injury", "Il saigne beaucoup et il est inconscient"),
    ("fr", "fire", "Il y a le feu dans la cuisine"),
    ("fr", "drowning", "Un enfant se noie"),
    ("fr", "violence", "Mon mari me frappe"),
    ("pt", "poison", "O meu filho bebeu lixívia"),
    ("pt", "injury", "ele desmaiou e não respira"),
    ("pt", "fire", "A casa está pegando fogo"),
    ("pt", "drowning", "Uma criança está se afogando no rio"),
    ("pt", "violence", "O meu marido me bate"),
    ("hi", "poison", "बच्चे ने ज़हर खा लिया"),
    ("hi", "poison", "mere bete ne zehar kha liya hai"),
    ("hi", "injury", "पापा बेहोश हैं और साँस नहीं ले रहे"),
    ("hi", "fire", "घर में आग लग गई है"),
    ("hi", "drowning", "बच्चा नदी में डूब रहा है"),
    ("hi", "violence", "मेरा पति मुझे मारता है"),
    ("ar", "poison", "ابني شرب كلور ماذا أفعل"),
    ("ar", "injury", "أبي فقد الوعي ولا يتنفس"),
    ("ar", "fire", "حريق في البيت"),
    ("ar", "drowning", "طفل يغرق في النهر"),
    ("ar", "violence", "زوجي يضربني"),
    ("id", "poison", "Anak saya minum bensin"),
    ("id", "injury", "Ayah saya pingsan dan tidak bernapas"),
    ("id", "fire", "Rumah kami kebakaran"),
    ("id", "drowning", "Ada anak tenggelam di sungai"),
    ("id", "violence", "Suami saya memukul saya"),
]

EVERYDAY = [
    "How do I fire up the stove?",
    "How do I kill a process in Linux?",
    "kill -9 the server process please",
    "How can I make fire without matches?",
    "Which trees are good to build a fire with?",
    "Who discovered fire?",
    "How do I beat him at chess?",
    "What is a four stroke engine?",
    "How do I draw a brush stroke in Inkscape?",
    "Is my relationship normal?",
    "How do I stabilise a table?",
    "What is an attack vector?",
    "I'm dying to know the end of the film",
    "How do I use a glue gun?",
    "What do artichokes taste like?",
    "I deleted a file by accident, how do I get it back?",
    "When do we see shooting stars?",
    "What should I cook tonight?",
    "How do I purify water?",
    "Translate good morning into Swahili",
    "How long does rice take to cook?",
    "My battery is dead, how do I charge it?",
    "¿Cómo toco el violín?",
    "¿Cuánto tiempo se cocina el arroz a fuego lento?",
    "Comment jouer du violon à l'aide d'un archet ?",
    "Le feu rouge est-il long ?",
    "Como toco violão?",
    "O que você faria?",
    "Kuna watu wangapi nchini Kenya?",
    "Shinikizo la damu ni nini?",
    "Ninapenda kutazama filamu",
    "Hari ini hari apa?",
    "Bagaimana cara memasak nasi?",
    "La moto está en el garaje y no es mía",
    "Ina kwana, yaya gida?",
    "आज मौसम कैसा है?",
    "ما هو اسم عاصمة سوريا؟",
    "كيف أرسم السماء؟",
]


def notice(text, plan=PLAN):
    return Emergencies(plan).notice(text)


@pytest.mark.parametrize(("code", "kind", "text"), EMERGENCIES)
def test_an_emergency_is_recognised_in_its_language(code, kind, text):
    told = notice(text)
    assert told is not None
    assert kind in told.kinds
    assert told.language == code or {told.language, code} == {"zu", "xh"}, "these two share many words"


@pytest.mark.parametrize("text", EVERYDAY)
def test_everyday_questions_raise_no_alarm(text):
    assert notice(text) is None


@pytest.mark.parametrize("code", ["en", *CODES])
def test_of_the_held_out_prompts_hardly_any_raises_an_alarm(code):
    lines = (DATA / f"{code}.dev.jsonl").read_text(encoding="utf-8").splitlines()
    prompts = [form["text"] for form in map(json.loads, lines) if form["kind"] == "prompt"]
    assert sum(notice(prompt) is not None for prompt in prompts) <= 1


def test_the_text_names_the_numbers_for_this_kind_first_then_the_people_and_promises_nothing():
    assert notice("she drank bleach").text == (
        "Emergency? Get people to help NOW. Call: Poison line 0800 123, Ambulance 112. "
        "Near: Amina, nurse, blue house. I am a machine; I have called nobody."
    )
    assert "Poison" not in notice("the house is on fire").text


def test_without_numbers_it_says_so_and_whom_to_wake():
    assert notice("fire", EmergencyPlan()).text == (
        "Emergency? Get people to help NOW. No local numbers are set here: shout, wake neighbours, send someone. "
        "I am a machine; I have called nobody."
    )


@pytest.mark.parametrize("code", CODES)
def test_a_text_that_nobody_reviewed_is_marked_as_a_draft(code):
    text = next(text for language, _, text in EMERGENCIES if language == code)
    told = notice(text)
    assert told.text.endswith(languages()[code].say("unreviewed"))
    assert "Ambulance 112" in told.text


def test_a_word_of_another_kind_beside_a_harmless_one_still_counts():
    assert notice("I fired up the stove and burnt my hand").kinds == ("injury",)
    assert notice("kill the process, my hand is bleeding").kinds == ("injury",)


def test_the_set_language_is_used_where_its_words_told_of_the_emergency():
    plan = EmergencyPlan(language="sw")
    assert notice("sumu", plan).language == "sw"
    assert notice("the house is on fire", plan).language == "en"


def test_a_long_text_is_searched_at_its_beginning_and_end_in_no_time():
    assert notice("na " * 5000 + "my son is bleeding") is not None
    assert notice("my son is bleeding " + "na " * 5000) is not None
    assert notice("x" * 100_000) is None
    assert notice("drank " * 3000) is None


# In the node: every way of asking passes here


async def told_by(node, question, **how):
    shown = []
    answer = await node.ask(wish(question, **how), shown.append)
    return "".join(progress.text for progress in shown if isinstance(progress, Text)), answer


def emergencies_of(node, plan=PLAN):
    node._emergencies.plan = plan
    return node


async def test_the_asking_node_tells_it_at_once_before_the_peers_answer_and_the_cache_keeps_only_that(autojump_clock):
    engine = ScriptedEngine({"my son drank bleach": "Give water."}, tokens_per_s=20)
    async with cabin_and_house(engine=engine) as (cabin, _, _):
        emergencies_of(cabin)
        await until_heard(cabin)
        shown = []
        started = trio.current_time()

        def show(progress):
            if isinstance(progress, Text):
                shown.append((trio.current_time() - started, progress.text))

        answer = await cabin.ask(wish("my son drank bleach"), show)
        assert shown[0][0] == 0
        assert "Poison line 0800 123" in shown[0][1]
        assert shown[-1][0] > 1
        assert answer.text == "".join(text for _, text in shown)
        assert answer.text == answer.notice + "Give water."
        assert answer.notice.endswith("The machine says (it may be wrong):\n")
        again, kept = await told_by(cabin, "my son drank bleach")
        assert kept.source == "cache"
        assert again == kept.text == answer.text


async def test_where_nobody_answers_the_fixed_text_is_the_answer(autojump_clock):
    async with world() as (here, nursery):
        cabin = emergencies_of(here.node("A", "cabin"))
        await nursery.start(cabin.run)
        shown, answer = await told_by(cabin, "the house is on fire", deadline_s=60)
        assert answer.source == "fixed"
        assert answer.text == shown
        assert "Ambulance 112" in shown
        assert "The machine has no answer." in shown


async def test_an_answer_that_starts_anew_keeps_the_fixed_text(autojump_clock):
    shown = []

    async def ask(wish, show):
        show(Text("wrong"))
        show(Restarted())
        show(Text("right"))
        raise LocalError("broke")

    answer = await Emergencies(PLAN).ask(ask, wish("fire"), shown.append)
    after = shown[shown.index(Restarted()) + 1 :]
    assert after[0].text == shown[0].text == answer.notice
    assert after[-1].text.startswith("The machine has no answer.")
    assert answer.text == after[0].text + after[-1].text


async def test_an_ordinary_question_is_answered_as_ever(autojump_clock):
    async with cabin_and_house(engine=RestartingEngine({"Why?": "Because."})) as (cabin, _, _):
        await until_heard(cabin)
        shown, answer = await told_by(emergencies_of(cabin), "Why?")
        assert shown == answer.text == "Because."
        assert answer.notice == ""


# The file


def test_a_plan_is_written_and_read_as_it_was(tmp_path):
    plan = EmergencyPlan("sw", ('Amb "112" \\',), ("Ámina, nyumba ya bluu",), {"fire": ("Zima moto 114",)})
    path = tmp_path / "new" / "emergency.toml"
    save_plan(path, plan)
    assert load_plan(path) == plan == plan_from(plan_text(plan))
    assert [file.name for file in path.parent.iterdir()] == ["emergency.toml"]


def test_no_file_is_an_empty_plan(tmp_path):
    assert load_plan(tmp_path / "none") == EmergencyPlan()
    assert not EmergencyPlan().is_set


@pytest.mark.parametrize(
    "text",
    ["numbers = 3", "numbers = [112]", "people = [", 'language = "tlh"', '[kinds]\nflood = ["1"]', 'numbers = ["\\n"]'],
)
def test_a_file_that_can_not_be_meant_is_refused(text):
    with pytest.raises(LocalError):
        plan_from(text)


@pytest.mark.parametrize("plan", [{"numbers": ("x" * 61,)}, {"people": ("a",) * 5}, {"numbers": (" ",)}])
def test_what_does_not_fit_the_air_is_refused(plan):
    with pytest.raises(LocalError):
        EmergencyPlan(**plan)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "plan").write_bytes(b"\xff\xfe")
    with pytest.raises(LocalError, match="can't be read"):
        load_plan(tmp_path / "plan")
    with pytest.raises(LocalError, match="can't be written"):
        save_plan(tmp_path / "plan" / "below", EmergencyPlan())
