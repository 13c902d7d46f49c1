"""Maps from files: tables, GeoJSON and node lists; every mistake with its line."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.scenario.layout import Origin, origin_of
from simulator.scenario.maps import MAP_BYTES_MAX, read_map
from simulator.scenario.nodelist import NodeListOptions
from simulator.scenario.parsing import parse
from simulator.scenario.plan import BlockedPair, MeasuredLink
from simulator.scenario.trouble import ScenarioError, Troubles

HOUSES = """\
name,latitude,longitude,antenna_m,kind
Ada,-1.2900,36.8200,5,house
mast,-1.2910,36.8300,12,relay
Ben,-1.2890,36.8250,,
"""


@pytest.fixture
def layout_of(tmp_path):
    def read(text, file="map.csv", **options):
        (tmp_path / file).write_bytes(text if isinstance(text, bytes) else text.encode())
        troubles = Troubles()
        layout = read_map(tmp_path, file, troubles, NodeListOptions(**options))
        troubles.settle()
        return layout

    return read


@pytest.fixture
def mistake_in(layout_of):
    def read(text, file="map.csv", **options):
        with pytest.raises(ScenarioError) as caught:
            layout_of(text, file, **options)
        (problem, *_) = caught.value.problems
        assert problem.file == file
        return problem.line, f"{problem.what}; {problem.expected}"

    return read


def test_a_table_of_degrees_becomes_metres(layout_of):
    layout = layout_of(HOUSES)
    ada, mast, ben = layout.places
    assert (ada.name, mast.name, ben.name) == ("Ada", "mast", "Ben")
    assert [place.is_house for place in layout.places] == [True, False, True]
    assert (ada.antenna_m, mast.antenna_m, ben.antenna_m) == (5.0, 12.0, 2.0)
    assert mast.x_m - ada.x_m == pytest.approx(1111.7, abs=1)
    assert ben.y_m - mast.y_m == pytest.approx(222.4, abs=1)
    assert (ada.latitude, ada.longitude) == (-1.29, 36.82)
    assert layout.lines == (2, 3, 4)


@pytest.mark.parametrize(
    "text",
    [
        "name;x_m;y_m\nAda;0;1,5\nBen;20;3\n",
        "\ufeffName;X_m;Y_m;notes\r\nAda;0;1,5;has a dog\r\n\r\nBen;20;3;\r\n",
        "name\tx\ty\nAda\t0\t1.5\nBen\t20\t3\n",
        'x_m,y_m,name\n0,1.5,"Ada"\n20,3.0,Ben\n',
    ],
)
def test_separators_marks_and_decimal_commas_are_read(layout_of, text):
    places = layout_of(text).places
    assert [(place.name, place.x_m, place.y_m) for place in places] == [("Ada", 0.0, 1.5), ("Ben", 20.0, 3.0)]
    assert places[0].latitude is None


def test_the_nameless_are_counted(layout_of):
    places = layout_of("x_m,y_m,kind\n0,0,\n5,5,relay\n9,9,house\n").places
    assert [place.name for place in places] == ["house 1", "relay 1", "house 2"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "the first line is empty"),
        ("Ada,1,2\nBen,3,4\n", 1, "missing: latitude and longitude (or x_m and y_m)"),
        ("name,x_m,x,y_m\n", 1, "the column x_m is there twice"),
        ("name,x_m,y_m\nAda,0,0\nBen,far,3\n", 3, 'x_m is "far"; expected a number'),
        ("name,x_m,y_m\nAda,0,nan\n", 2, "y_m is"),
        ("name,latitude,longitude\nAda,91,0\n", 2, 'latitude is "91"; expected a number from -90 to 90'),
        ("name,x_m,y_m\nAda,0,\n", 2, '"Ada" has no position'),
        ("name,x_m,y_m,kind\nAda,0,1,tower\n", 2, "expected house or relay"),
        ("name,x_m,y_m,antenna_m\nAda,0,1,-3\n", 2, 'antenna_m is "-3"'),
        ("name,x_m,y_m\nA*,0,1\n", 2, "without * ? [ ]"),
        (f"name,x_m,y_m\n{'A' * 50},0,1\n", 2, "expected at most 40 characters"),
        ("name,x_m,y_m\nA\u202eda,0,1\n", 2, "invisible characters"),
        ("name,x_m,y_m\nAda,1,5,2,7\n", 2, "5 columns where the header has 3"),
        ("name,latitude,longitude,x_m,y_m\nAda,1,1,,\nBen,,,4,4\n", 3, "in metres, others are in degrees"),
        ("name,latitude,longitude\nAda,1,1\nBen,1,1.001\nCy,1.001,1\nDo,50,9\n", 5, "km away from the others"),
        (b"name,x_m,y_m\nAda,0,0\nJos\xe9,1,1\n", 3, "the text is not UTF-8"),
        ("name,x_m,y_m\n" + "a,0,0\n" * 5001, 5002, "too many places"),
        (f"x_m,y_m\n{'1' * 200_000},3\n", 2, "can't be read"),
        (b"x" * (MAP_BYTES_MAX + 1), 0, "the file is too large"),
    ],
)
def test_a_mistake_in_a_table_is_told_with_its_line(mistake_in, text, line, words):
    number, told = mistake_in(text)
    assert (number, words in told) == (line, True), (number, told)


def test_a_map_of_an_unknown_kind_is_told(mistake_in):
    assert "ends in .csv, .geojson" in mistake_in("x", "map.xlsx")[1]


def test_a_scenario_names_its_map_and_its_blocked_pairs(tmp_path):
    (tmp_path / "houses.csv").write_text(HOUSES)
    (tmp_path / "walls.csv").write_text("one;other;loss_db\nAda;Ben;12,5\nBen;mast;\n")
    text = '[places]\nfile = "houses.csv"\nblocked_file = "walls.csv"\n'
    scenario = parse(text, name="ours", folder=tmp_path).scenario
    assert scenario.blocked == (BlockedPair("Ada", "Ben", 12.5), BlockedPair("Ben", "mast"))
    (tmp_path / "walls.csv").write_text("one,other\nAda,Ben\nBen,Bob\nBen,Ben\n,Ada\n")
    with pytest.raises(ScenarioError) as caught:
        parse(text, name="ours", folder=tmp_path)
    assert [(problem.file, problem.line) for problem in caught.value.problems] == [
        ("walls.csv", 3),
        ("walls.csv", 4),
        ("walls.csv", 5),
    ]


@pytest.mark.parametrize(
    ("rows", "file", "line", "words"),
    [
        ("Ada,0,0\nBen,1,1\nAda,2,2\n", "houses.csv", 4, '"Ada" is already that of a place in houses.csv, line 2'),
        ("Ada,0,0\n", "houses.csv", 0, "the map has one place; expected at least two"),
        ("", "houses.csv", 0, "the map has no place"),
    ],
)
def test_names_used_twice_and_maps_too_small_are_told(tmp_path, rows, file, line, words):
    (tmp_path / "houses.csv").write_text(f"name,x_m,y_m\n{rows}")
    with pytest.raises(ScenarioError) as caught:
        parse('[places]\nfile = "houses.csv"\n', name="ours", folder=tmp_path)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == (file, line)
    assert words in str(problem)


def point(name, longitude, latitude, **properties):
    properties |= {"name": name} if name else {}
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": "Point", "coordinates": [longitude, latitude]},
    }


def wall(*ends, **properties):
    return {"type": "Feature", "properties": properties, "geometry": {"type": "LineString", "coordinates": list(ends)}}


def geojson(*features):
    return json.dumps({"type": "FeatureCollection", "features": features}, indent=1)


ADA, BEN = point("Ada", 9.0, 47.0), point("Ben", 9.01, 47.0, kind="relay", antenna_m=9, ground_m=500)


def test_geojson_points_are_places_and_lines_are_blocked_pairs(layout_of):
    last = point("", 9.005, 47.003, blocked=["Ada"], loss_db=7)
    layout = layout_of(geojson(ADA, BEN, last, wall([9.0001, 47.0], [9.01, 47.0001], loss_db=20)), "map.geojson")
    ada, ben, third = layout.places
    assert (ben.antenna_m, ben.ground_m, ben.is_house) == (9.0, 500.0, False)
    assert ben.x_m - ada.x_m == pytest.approx(758.3, abs=1)
    assert third.name == "house 2"
    assert layout.blocked == (BlockedPair("house 2", "Ada", 7.0), BlockedPair("Ada", "Ben", 20.0))
    assert layout_of(geojson(ADA, BEN), "map.json").places == layout_of(geojson(ADA, BEN), "map.geojson").places


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("{", 1, "this is no JSON"),
        ("[" * 100_000, 1, "this is no JSON of a map"),
        ('{"type": "FeatureCollection"}', 1, "this is no GeoJSON"),
        ("[]", 1, "this is no GeoJSON"),
        (geojson(ADA, point("Ben", 9, 95)), 16, 'the position of "Ben" is wrong; expected [longitude, latitude]'),
        (geojson(ADA, point("Ben", 9, 10**400)), 16, "the position"),
        (geojson(ADA, point("Ben", 9, 47, kind="tree")), 16, "expected house or relay"),
        (geojson(ADA, point("Ben", 9, 47, antenna_m="high")), 16, 'antenna_m is "high"'),
        (geojson(ADA, BEN, point("Cy", 9, 47, blocked=["Bob"])), 31, '"Bob" is blocked from here'),
        (geojson(ADA, BEN, point("Cy", 9, 47, blocked=[[1]])), 31, "expected the name of another place"),
        (geojson(ADA, BEN, wall([9, 47], [9.5, 47])), 31, "joins no two places"),
        (geojson(ADA, BEN, wall([9, 47])), 31, "joins no two places"),
        (geojson(ADA, {"type": "Feature", "geometry": {"type": "Polygon"}}), 16, 'the geometry is "Polygon"'),
        (geojson(ADA, None, 3), 1, 'the geometry is "None"'),
    ],
)
def test_a_mistake_in_geojson_is_told_with_its_line(mistake_in, text, line, words):
    number, told = mistake_in(text, "map.geojson")
    assert words in told, told
    assert abs(number - line) <= 3, (number, told)


def node(number, name, *, snr=None, hops=None, at=(47.0, 9.0), **how):
    form = {"num": number, "user": {"id": f"!{number:08x}", "longName": name, "shortName": name[:4]}, **how}
    form |= {"snr": snr} if snr is not None else {}
    form |= {"hopsAway": hops} if hops is not None else {}
    return form | ({"position": {"latitude": at[0], "longitude": at[1], "altitude": 400}} if at else {})


def info(*nodes, mine=1):
    listed = json.dumps({each["user"]["id"]: each for each in nodes}, indent=2)
    number = f'\nMy info: {{ "myNodeNum": {mine}, "minAppVersion": 30200 }}' if mine else ""
    return f'Owner: Ada (ADA){number}\n\nNodes in mesh: {listed}\n\nPreferences: {{ "device": {{}} }}\n'


HERE = node(1, "Ada")
NEAR = node(2, "Ben", snr=6.25, hops=0, at=(47.01, 9.0))
FAR = node(3, "Cy", snr=-3.0, hops=2, at=(47.02, 9.0))


def test_a_node_list_gives_places_and_the_snr_of_direct_neighbours(layout_of):
    router = node(4, "mast", snr=-8.5, at=(47.0, 9.01))
    router["user"]["role"] = "ROUTER"
    layout = layout_of(info(HERE, NEAR, FAR, router), "nodes.txt")
    assert [place.name for place in layout.places] == ["Ada", "Ben", "Cy", "mast"]
    assert [place.is_house for place in layout.places] == [True, True, True, False]
    assert layout.measured == (MeasuredLink("Ben", "Ada", 6.25), MeasuredLink("mast", "Ada", -8.5))
    assert layout.places[1].y_m - layout.places[0].y_m == pytest.approx(1111.9, abs=1)


def test_a_saved_list_needs_to_be_told_who_listened(layout_of, mistake_in):
    listed = {each["user"]["id"]: each for each in (HERE, NEAR)}
    for form in (listed, {"nodes": listed}, list(listed.values())):
        text = json.dumps(form)
        assert "nothing tells which node listened" in mistake_in(text, "nodes.json")[1]
        for listener in ("Ada", "!00000001", "ada"):
            assert layout_of(text, "nodes.json", listener=listener).measured == (MeasuredLink("Ben", "Ada", 6.25),)
    assert 'there is no node "Eve"' in mistake_in(text, "nodes.json", listener="Eve")[1]


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ((HERE, NEAR, node(5, "Dee", hops=0)), 'the node "Dee" (!00000005) has no SNR; listen until'),
        ((HERE, NEAR, node(5, "Dee", hops=0, snr=float("nan"))), "has no SNR"),
        ((HERE, NEAR, node(5, "Dee", hops=0, snr=5, at=None)), 'the node "Dee" (!00000005) has no position; add'),
        ((HERE, NEAR, node(5, "Dee", hops=0, snr=5, at=(0.0, 0.0))), "has no position"),
        ((HERE, NEAR, node(5, "Dee")), "nothing tells how far it is"),
    ],
)
def test_a_node_that_lacks_something_is_named_or_left_out_when_that_is_wanted(layout_of, mistake_in, nodes, words):
    text = info(*nodes)
    line, told = mistake_in(text, "nodes.txt")
    assert words in told
    assert "leave_out_incomplete = true" in told
    assert '"!00000005": {' in text.split("\n")[line - 1]
    layout = layout_of(text, "nodes.txt", leave_out_incomplete=True)
    assert [place.name for place in layout.places] == ["Ada", "Ben"]
    assert 'left out for want of a position or SNR: "Dee"' in layout.notes


def test_the_listening_node_is_never_left_out(mistake_in):
    text = info(node(1, "Ada", at=None), NEAR)
    assert "has no position" in mistake_in(text, "nodes.txt", leave_out_incomplete=True)[1]


def test_a_node_heard_over_the_internet_is_a_place_without_a_measured_link(layout_of):
    layout = layout_of(info(HERE, node(2, "Ben", snr=6.0, hops=0, viaMqtt=True)), "nodes.txt")
    assert len(layout.places) == 2
    assert not layout.measured


def test_strangers_names_are_made_harmless_and_told_apart(layout_of):
    layout = layout_of(
        info(HERE, node(2, "B\x1b[2J*en\u202e", snr=1, hops=0), node(3, "Ada", snr=2, hops=0)), "nodes.txt"
    )
    assert [place.name for place in layout.places] == ["Ada !00000001", "B2Jen", "Ada !00000003"]


@pytest.mark.parametrize("text", ["", "Nodes in mesh:", "Nodes in mesh: {]", "{}", '{"a": 1}', '{"a": {}}', "[[[["])
def test_what_is_no_node_list_is_told(mistake_in, text):
    assert mistake_in(text, "nodes.txt")[0] >= 1


def test_a_map_over_the_date_line_keeps_together():
    origin = origin_of([(-17.0, 179.99), (-17.0, -179.99)])
    assert abs(origin.longitude) == pytest.approx(180)
    assert origin.metres(-17.0, -179.99)[0] == pytest.approx(1063.4, abs=1)


@given(latitude=st.floats(-70, 70), longitude=st.floats(-180, 180), x_m=st.floats(-5e4, 5e4), y_m=st.floats(-5e4, 5e4))
def test_metres_become_degrees_and_back(latitude, longitude, x_m, y_m):
    origin = Origin(latitude, longitude)
    assert origin.metres(*origin.degrees(x_m, y_m)) == pytest.approx((x_m, y_m), abs=0.05)


@settings(max_examples=200, deadline=None)
@given(
    data=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)),
    file=st.sampled_from(["m.csv", "m.geojson", "m.json", "m.txt"]),
)
def test_any_bytes_are_a_map_or_a_mistake(tmp_path_factory, data, file):
    folder = tmp_path_factory.mktemp("any")
    (folder / file).write_bytes(data)
    troubles = Troubles()
    layout = read_map(folder, file, troubles)
    assert (layout is None) == bool(troubles.found)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(
    keys=st.lists(st.sampled_from(["user", "position", "snr", "hopsAway", "num", "viaMqtt"]), max_size=3),
    value=json_values,
)
def test_a_node_with_odd_values_is_a_mistake_or_left_out(tmp_path_factory, keys, value):
    odd = node(2, "Ben", snr=3, hops=0) | dict.fromkeys(keys, value)
    folder = tmp_path_factory.mktemp("odd")
    (folder / "m.json").write_text(json.dumps({"!00000001": HERE, "!00000002": odd}))
    for leave_out in (True, False):
        troubles = Troubles()
        layout = read_map(folder, "m.json", troubles, NodeListOptions("Ada", leave_out))
        assert (layout is None) == bool(troubles.found)


@settings(max_examples=200, deadline=None)
@given(key=st.sampled_from(["type", "geometry", "properties"]), value=json_values)
def test_a_feature_with_odd_values_is_a_mistake_or_read(tmp_path_factory, key, value):
    folder = tmp_path_factory.mktemp("odd")
    (folder / "m.geojson").write_text(geojson(ADA, BEN | {key: value}))
    troubles = Troubles()
    layout = read_map(folder, "m.geojson", troubles)
    assert (layout is None) == bool(troubles.found)
