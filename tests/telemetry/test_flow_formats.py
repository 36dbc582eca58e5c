"""All formats of flow records held to the same promises, and to what stage 1 takes."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.errors import BadRequest
from bot.layers.flow_fold import CLIENT, PORT, SERVER, FlowFold, Terms
from bot.telemetry.flow_faults import MAX_ERRORS
from bot.telemetry.flow_formats import FORMATS
from bot.telemetry.flow_records import FlowBatch, FlowRecord
from tests.telemetry.flow_bodies import AZURE_TUPLE, BODIES, GOFLOW1, NETOBSERV, START, azure, decoded, lines, vpc

NAMES = sorted(FORMATS)
MORE = [
    ("goflow2", lines(GOFLOW1)),
    ("goflow2", lines(NETOBSERV)),
    ("vpc", json.dumps({"messageType": "DATA_MESSAGE", "logEvents": [{"message": vpc().splitlines()[1]}]})),
]
TERMS = Terms(START - 60, START + 60)


def promised(name: str, body: bytes) -> None:
    """A decoder returns a batch that adds up and that stage 1 takes whole, or it refuses the body."""
    try:
        batch = decoded(name, body)
    except BadRequest:
        return
    assert len(batch.errors) == min(batch.rejected, MAX_ERRORS)
    assert batch.accepted == len(batch.ndjson().splitlines())
    for record in batch.records:
        assert 0 < record.start <= record.end
        assert record.src_ip
        assert record.dst_ip
        assert 0 <= record.src_port <= 65_535
        assert 0 <= record.dst_port <= 65_535
        assert record.bytes >= 0
        assert record.packets >= 0
    json.dumps(batch.errors).encode()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_flow_in_every_format_is_the_same_leg_for_stage_1(name: str) -> None:
    fold = FlowFold(threads=1)
    try:
        folded = fold.fold(decoded(name, BODIES[name]).ndjson(), TERMS)
    finally:
        fold.close()

    assert [(leg[CLIENT], leg[SERVER], leg[PORT]) for leg in folded.legs] == [("10.0.1.5", "10.0.2.6", 8080)]
    assert (folded.accepted, folded.refused.total(), folded.ignored.total()) == (1, 0, 0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("body", [b"", b"\n", b" \n\t\r\n"])
def test_nothing_is_nothing(name: str, body: bytes) -> None:
    batch = decoded(name, body)

    assert (batch.accepted, batch.rejected, batch.ndjson()) == (0, 0, b"")


@pytest.mark.parametrize("name", NAMES)
def test_line_ends_of_windows_change_nothing(name: str) -> None:
    body = BODIES[name].replace("\n", "\r\n")

    assert decoded(name, body).ndjson() == decoded(name, BODIES[name]).ndjson()


@pytest.mark.parametrize("name", NAMES)
def test_a_format_is_not_mistaken_for_another(name: str) -> None:
    for other in set(NAMES) - {name}:
        with pytest.raises(BadRequest):
            decoded(name, BODIES[other])


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: text.encode(errors="surrogatepass")))
)
def test_whatever_bytes_come_in_no_decoder_breaks(name: str, body: bytes) -> None:
    promised(name, body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(("name", "body"), [*sorted(BODIES.items()), *MORE])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_happens_to_the_bytes_of_a_flow_no_decoder_breaks(name: str, body: str, data: st.DataObject) -> None:
    mutated = bytearray(body.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(mutated) - 1)))
        mutated[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
    promised(name, bytes(mutated))
    promised(name, bytes(mutated) + b"\n" + body.encode())


@pytest.mark.parametrize(("name", "body"), [pair for pair in [*sorted(BODIES.items()), *MORE] if pair[1][:1] == "{"])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_value_stands_in_a_flow_no_decoder_breaks(name: str, body: str, data: st.DataObject) -> None:
    document = json.loads(body)
    here = document
    while True:
        keys = sorted(here) if isinstance(here, dict) else list(range(len(here)))
        key = data.draw(st.sampled_from(keys))
        inner = here[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            here[key] = data.draw(JSON)
            break
        here = inner
    promised(name, json.dumps(document).encode())


FIELDS = ["", "-", "0", "-1", "9" * 400, "10.0.0.1", "::1", "6", "1700000000", "é", "B", "E"]


@pytest.mark.parametrize("width", [13, 8, 14])
@settings(max_examples=150, deadline=None)
@given(fields=st.lists(st.sampled_from(FIELDS), min_size=14, max_size=14))
def test_whatever_stands_in_a_row_of_fields_no_decoder_breaks(width: int, fields: list[str]) -> None:
    promised("azure", azure(",".join(fields[:width]), AZURE_TUPLE).encode())
    promised("vpc", " ".join(fields[:width]).encode())


def test_only_the_first_hundred_faults_are_told_and_all_are_counted() -> None:
    good = BODIES["hubble"]
    batch = decoded("hubble", good + "{}\n" * 250)

    assert (batch.rejected, len(batch.errors), batch.errors[-1]["line"]) == (250, MAX_ERRORS, MAX_ERRORS + 1)


def test_reasons_are_short_and_printable_whatever_the_line_held() -> None:
    batch = FlowBatch()
    batch.unreadable(1, "\x1b[31m" + "x" * 1_000)

    assert batch.errors == [{"line": 1, "why": "[31m" + "x" * 195}]


def test_what_is_not_known_is_not_written() -> None:
    record = FlowRecord(START, START, "10.0.0.1", 1, "10.0.0.2", 2, "tcp")
    batch = FlowBatch()

    assert batch.add(1, record)
    assert batch.ndjson() == (
        b'{"start":1700000000.0,"end":1700000000.0,"src_ip":"10.0.0.1","src_port":1,"dst_ip":"10.0.0.2","dst_port":2,'
        b'"proto":"tcp"}\n'
    )


def test_a_gzipped_file_is_for_the_caller_to_unpack() -> None:
    for name in NAMES:
        with pytest.raises(BadRequest):
            decoded(name, gzip.compress(BODIES[name].encode()))
