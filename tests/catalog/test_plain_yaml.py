"""YAML as it was written, and YAML made to hurt."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bot.catalog import plain_yaml
from bot.catalog.plain_yaml import MAX_DEPTH, Fields, Items, read


def test_every_scalar_stays_the_text_it_is() -> None:
    assert read(b"[no, 010, 1e3, 2026-10-31, 1:30, 'quoted', \"\\u017e\"]") == [
        "no", "010", "1e3", "2026-10-31", "1:30", "quoted", "ž",
    ]  # fmt: skip


@pytest.mark.parametrize("empty", ["", "~", "null", "NULL"])
def test_nothing_is_none_unless_it_is_quoted(empty: str) -> None:
    assert read(f"a: {empty}".encode()) == {"a": None}
    assert read(f"a: '{empty}'".encode()) == {"a": empty}


def test_an_empty_file_says_nothing() -> None:
    assert read(b"") is None
    assert read(b"# only a comment\n") is None


def test_lines_are_remembered() -> None:
    found = read(b"# a comment\nservices:\n  - id: a\n    team: t\n\n  - id: b\n")

    assert isinstance(found, Fields)
    assert found.lines == {"services": 2}
    services = found["services"]
    assert isinstance(services, Items)
    assert services.lines == (3, 6)
    assert [one.lines for one in services if isinstance(one, Fields)] == [{"id": 3, "team": 4}, {"id": 6}]


def test_anchors_are_shared_and_merged_fields_keep_their_lines() -> None:
    found = read(b"base: &base\n  team: t\n  tier: 1\nall:\n  - {<<: *base, tier: 2}\n  - *base\n")

    assert isinstance(found, Fields)
    both = found["all"]
    assert isinstance(both, Items)
    first, second = both
    assert first == {"team": "t", "tier": "2"}
    assert isinstance(first, Fields)
    assert first.lines == {"tier": 5, "team": 2}
    assert second is found["base"]


def test_of_several_merged_mappings_the_first_wins() -> None:
    assert read(b"- &a {x: 1, y: 1}\n- &b {x: 2, z: 2}\n- {<<: [*a, *b]}\n") == [
        {"x": "1", "y": "1"}, {"x": "2", "z": "2"}, {"x": "1", "y": "1", "z": "2"},
    ]  # fmt: skip


def test_a_tag_constructs_nothing() -> None:
    assert read(b"!!python/object/apply:os.system ['true']") == ["true"]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"[" * 100_000, f"nested more than {MAX_DEPTH} deep"),
        (b"- " * 100_000, f"nested more than {MAX_DEPTH} deep"),
        (b"{a: " * 100_000, f"nested more than {MAX_DEPTH} deep"),
        (b"? " * 100_000, f"nested more than {MAX_DEPTH} deep"),
        (b"&a [*a]", "refers to nothing before it"),
        (b"&a {<<: *a}", "refers to nothing before it"),
        (b"a: *b", "refers to nothing before it"),
        (b"[a]: b", "a key is not a text"),
        (b"{a: b, <<: c}", "not a mapping"),
        (b"a\n---\nb", "a second document"),
        (b"a: b: c", "mapping values"),
        (b"\x00", "control characters"),
        (b"\xff\xfe\x00", "incomplete"),
    ],
)
def test_what_cannot_be_read_says_why(data: bytes, told: str) -> None:
    with pytest.raises(yaml.YAMLError, match=told):
        read(data)


def test_a_thousand_million_laughs_are_never_told() -> None:
    """Each line holds the one before nine times: shared, it is a hundred values; copied out it would be 9**30."""
    lines = [b"l0: &l0 [ha]"] + [b"l%d: &l%d [%s]" % (n, n, b",".join([b"*l%d" % (n - 1)] * 9)) for n in range(1, 31)]
    found = read(b"\n".join(lines))

    assert isinstance(found, Fields)
    assert len(found) == 31


def test_merges_that_copy_too_much_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_yaml, "MAX_VALUES", 10_000)
    base = b"base: &base {" + b",".join(b"k%d: v" % n for n in range(100)) + b"}\nall:\n"

    assert read(base + b"- <<: *base\n" * 50)
    with pytest.raises(yaml.YAMLError, match="more than 10000 values"):
        read(base + b"- <<: *base\n" * 100)


@given(st.text(alphabet="ab:-?[]{}&*!|>'\"%@`#,~< \n\t", max_size=60).map(str.encode) | st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = read(data)
    except (yaml.YAMLError, UnicodeDecodeError):
        found = None

    assert found is None or isinstance(found, str | Items | Fields)


def test_the_documents_of_a_stream_come_one_by_one_with_their_lines() -> None:
    found = list(plain_yaml.documents(b"# nothing yet\n---\na: &x 1\n---\n--- {b: 2}\n"))

    assert [(one.line, one.value) for one in found] == [(2, {"a": "1"}), (4, None), (5, {"b": "2"})]


def test_what_stands_before_the_fault_has_been_given_by_then() -> None:
    documents = plain_yaml.documents(b"a: 1\n---\nb: [\n")

    assert next(documents).value == {"a": "1"}
    with pytest.raises(yaml.YAMLError):
        next(documents)


@pytest.mark.parametrize("text", [b"a: &x 1\n---\nb: *x\n", b"---\n" * 10_001])
def test_a_stream_keeps_the_rules_of_a_file(text: bytes) -> None:
    with pytest.raises(yaml.YAMLError):
        list(plain_yaml.documents(text))


def test_json_reads_like_yaml() -> None:
    found = plain_yaml.of_json({"a": [1, True, None, "x", 1.5], "b": {"c": False}})

    assert found == {"a": ["1", "true", None, "x", "1.5"], "b": {"c": "false"}}
    assert isinstance(found, plain_yaml.Fields)
    assert found.lines == {"a": 0, "b": 0}


def test_json_nested_too_deep_is_cut_and_costs_no_recursion() -> None:
    value: object = "x"
    for _ in range(5_000):
        value = [value]
    depth, found = 0, plain_yaml.of_json(value)
    while isinstance(found, list) and found:
        depth, found = depth + 1, found[0]

    assert (depth, found) == (plain_yaml.MAX_DEPTH, [])
