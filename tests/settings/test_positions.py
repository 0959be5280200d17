"""Positions agree with tomllib: the same keys, each on the line it is written on."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from gatewayd.settings.positions import KeyPath, locate


def paths_in(value: object, at: KeyPath = ()) -> dict[KeyPath, object]:
    """Every path of what tomllib returned, with the value there."""
    items: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    found: dict[KeyPath, object] = {}
    for key, inner in items:
        found[(*at, key)] = inner
        found |= paths_in(inner, (*at, key))
    return found


def test_tables_arrays_and_keys_stand_where_they_are_written() -> None:
    text = (
        "# a comment = 1\n"
        'top = "x"\n'
        "\n"
        "[site] # [not.this]\n"
        'name = "a # b = c"\n'
        "  \"quoted key\" . 'other' = 3\n"
        "[[reader]]\n"
        "id = 'one'\n"
        "cameras = [\n"
        '  "a", # first\n'
        '  "b",\n'
        "]\n"
        "[reader.options]\n"
        "baud = 9600\n"
        "[[reader]]\n"
        "id = 'two'\n"
        "[reader.options]\n"
        "baud = 19200\n"
        "point = { x = 1, y = { z = [ { w = 2 } ] } }\n"
    )
    assert locate(text) == {
        ("top",): 2,
        ("site",): 4,
        ("site", "name"): 5,
        ("site", "quoted key"): 6,
        ("site", "quoted key", "other"): 6,
        ("reader",): 7,
        ("reader", 0): 7,
        ("reader", 0, "id"): 8,
        ("reader", 0, "cameras"): 9,
        ("reader", 0, "cameras", 0): 10,
        ("reader", 0, "cameras", 1): 11,
        ("reader", 0, "options"): 13,
        ("reader", 0, "options", "baud"): 14,
        ("reader", 1): 15,
        ("reader", 1, "id"): 16,
        ("reader", 1, "options"): 17,
        ("reader", 1, "options", "baud"): 18,
        ("reader", 1, "options", "point"): 19,
        ("reader", 1, "options", "point", "x"): 19,
        ("reader", 1, "options", "point", "y"): 19,
        ("reader", 1, "options", "point", "y", "z"): 19,
        ("reader", 1, "options", "point", "y", "z", 0): 19,
        ("reader", 1, "options", "point", "y", "z", 0, "w"): 19,
    }


@pytest.mark.parametrize(
    "value",
    [
        '"""one\ntwo [x]\n# three\n"""',
        "'''one\ntwo = 2\n'''",
        '"""quotes: "" and \\""" and at the end two:"""""',
        "'''a 'quote' and '' two, and one at the end:''''",
        '"a \\" quote, \\\\"',
        "'a \\'",
        "1979-05-27 07:32:00",
        "[[1, 2], ['a', \"]\"], [ # ]\n ]]",
        '""',
        "''",
        '""""""',
        "{}",
        "[]",
        "-1_000.5e+3",
    ],
)
def test_the_key_after_any_value_stands_on_its_own_line(value: str) -> None:
    text = f"first = {value}\nafter = 1\n"
    assert tomllib.loads(text)["after"] == 1
    found = locate(text)
    assert found[("after",)] == text.count("\n")
    assert found.keys() == paths_in(tomllib.loads(text)).keys()


def test_a_table_stands_at_its_own_header_even_if_a_part_of_it_came_first() -> None:
    assert locate("[a.b]\nx=1\n[a]\ny=2\n")[("a",)] == 3


def test_windows_line_ends_and_no_last_line_end_count_the_same() -> None:
    assert locate("[a]\r\nx = 1\r\n# c\r\ny = 'z'")[("a", "y")] == 4


def test_an_empty_file_has_no_positions() -> None:
    assert locate("") == {}
    assert locate("# nothing\n\n") == {}


@pytest.mark.parametrize("text", ["a = 'open", "= 1"])
def test_text_that_is_no_toml_is_a_callers_mistake(text: str) -> None:
    with pytest.raises(ValueError, match="call tomllib first"):
        locate(text)


# ------------------------------------------------------------------ random documents

BARE = st.text("abc-_1", min_size=1, max_size=3)
QUOTED = st.text(st.sampled_from("ab.#='[\"]{} \\\té门"), max_size=4)


def quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return f'"{escaped}"'


KEY_PART = st.one_of(BARE, QUOTED.map(quote), st.text("ab.#=[]", max_size=3).map("'{}'".format))
KEY = st.lists(KEY_PART, min_size=1, max_size=3).flatmap(
    lambda parts: st.sampled_from([".", " . ", "\t."]).map(lambda dot: dot.join(parts))
)
MULTI_LINE = st.text(st.sampled_from("ab#=[]'\n \""), max_size=8)
SCALAR = st.one_of(
    st.integers(-99, 99).map(str),
    st.sampled_from(["true", "1979-05-27 07:32:00", "0.5", "inf", "07:32:00"]),
    QUOTED.map(quote),
    MULTI_LINE.map(lambda text: f'"""{text}"""'),
    MULTI_LINE.map(lambda text: f"'''{text}'''"),
)
BLANK = st.sampled_from(["", " ", "\n", " # ]} , \n\t", "\n\n"])


def array_of(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(st.lists(values, max_size=3), BLANK, BLANK, st.booleans()).map(
        lambda made: (
            "["
            + made[1]
            + f"{made[2]},{made[1]}".join(made[0])
            + made[2]
            + ("," if made[3] and made[0] else "")
            + made[1]
            + "]"
        )
    )


def inline_of(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.lists(st.tuples(KEY, values).map(" = ".join), max_size=3)
    return pairs.map(lambda made: "{ " + ", ".join(made) + " }")


VALUE = st.recursive(
    SCALAR, lambda inner: st.one_of(array_of(inner), inline_of(inner)), max_leaves=5
)
STATEMENT = st.one_of(
    st.tuples(KEY, VALUE).map(lambda made: f"{made[0]} = {made[1]}"),
    KEY.map("[{}]".format),
    KEY.map("[[{}]]".format),
    st.just("# [x]\n\n  # y = '''"),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STATEMENT, max_size=8).map("\n".join))
@example('[[a]]\n[[a.b]]\n[a.b.c]\n[[a.b]]\nx.y = 1\n[[a]]\n[[a.b]]\n"" = 2')
@example('a = """\n"""""\nb = 1')
def test_a_random_document_has_the_same_keys_as_tomllib_finds(text: str) -> None:
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        assume(False)
    assert locate(text).keys() == paths_in(parsed).keys()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.none(),  # a new element of the array of tables
            st.tuples(st.sampled_from(["# x\n", "", "\n\n"]), MULTI_LINE),
        ),
        max_size=10,
    )
)
def test_each_key_of_a_random_document_stands_on_the_line_it_was_written_on(
    parts: list[tuple[str, str] | None],
) -> None:
    text, element = "[[t]]\n", 0
    expected: dict[KeyPath, int] = {("t",): 1, ("t", 0): 1}
    for number, part in enumerate(parts):
        if part is None:
            element += 1
            expected[("t", element)] = text.count("\n") + 1
            text += "[[t]]\n"
        else:
            text += part[0]
            expected[("t", element, f"k{number}")] = text.count("\n") + 1
            text += f"k{number} = '''{part[1].replace(chr(39), '')}'''\n"
    assert locate(text) == expected
