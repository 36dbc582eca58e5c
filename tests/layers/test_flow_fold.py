"""Stage 1: what is folded, what is refused, and that the second reading names the same lines."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.errors import BadRequest
from bot.layers.flow_fold import FlowFold, Terms
from bot.telemetry import flow_faults

NOW = 1_760_000_040.0
TERMS = Terms(NOW - 3_600, NOW + 300)


@pytest.fixture(scope="module")
def fold() -> Iterator[FlowFold]:
    one = FlowFold(threads=1)
    yield one
    one.close()


def record(**changes: Any) -> dict[str, Any]:
    return {"start": NOW, "end": NOW + 1, "src_ip": "10.0.0.1", "src_port": 40_000, "dst_ip": "10.0.0.2", "dst_port": 443,
            "proto": "tcp", "bytes": 10, "packets": 1, "client": "src"} | changes  # fmt: skip


def body(*records: object) -> bytes:
    return "\n".join(json.dumps(one) for one in records).encode()


def test_records_of_one_minute_between_the_same_ends_are_one_leg(fold: FlowFold) -> None:
    folded = fold.fold(body(*(record(src_port=40_000 + n, start=NOW + n, end=None) for n in range(5))), TERMS)
    assert folded.legs == [(NOW, "10.0.0.1", "10.0.0.2", 443, 0, None, 5, 50.0, NOW, NOW + 4)]


def test_an_address_that_changed_hands_in_the_minute_keeps_each_start(fold: FlowFold) -> None:
    terms = Terms(TERMS.oldest, TERMS.newest, restless=[("10.0.0.2", int(NOW))])
    folded = fold.fold(
        body(record(start=NOW + 1, end=None), record(start=NOW + 2, end=None), record(dst_ip="10.0.0.3")), terms
    )
    assert sorted(leg[0] for leg in folded.legs) == [NOW, NOW + 1, NOW + 2]


@pytest.mark.parametrize(
    "line",
    [
        b"\xef\xbb\xbf" + body(record()),
        body(record(src_ip="\ud800")),
        body(record(more="\udc00")),
        body(record()).decode().encode("utf-16"),
        body(record())[:-1] + b',"more":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        body(record(src_ip="x" * 1_500_000)),
    ],
    ids=["byte order mark", "surrogate", "surrogate elsewhere", "UTF-16", "deep", "long"],
)
def test_a_line_stage_1_cannot_read_is_named_too_and_its_neighbours_are_taken(fold: FlowFold, line: bytes) -> None:
    sent = b"\n".join([body(record()), line, body(record())])
    folded = fold.fold(sent, TERMS)
    faults = flow_faults.faults(sent, TERMS.oldest, TERMS.newest)
    assert (folded.accepted, folded.refused.total()) == (3, 0) or (folded.accepted, bool(faults)) == (2, True)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"start": 0}, flow_faults.BAD_START),
        ({"start": None}, flow_faults.BAD_START),
        ({"start": NOW + 301}, flow_faults.BAD_START),
        ({"start": NOW - 3_601}, flow_faults.BAD_START),
        ({"start": "soon"}, flow_faults.BAD_START),
        ({"src_ip": None}, flow_faults.NO_ADDRESS),
        ({"dst_ip": ""}, flow_faults.NO_ADDRESS),
        ({"src_ip": "x" * 65}, flow_faults.TOO_LONG),
        ({"orig_dst_ip": "x" * 65}, flow_faults.TOO_LONG),
        ({"dst_service": "x" * 402}, flow_faults.TOO_LONG),
        ({"bytes": 1e308}, flow_faults.NEGATIVE),
        ({"packets": 2.0**63}, flow_faults.NEGATIVE),
        ({"dst_port": 65_536}, flow_faults.BAD_PORT),
        ({"src_port": None}, flow_faults.BAD_PORT),
        ({"bytes": -1}, flow_faults.NEGATIVE),
        ({"client": "both"}, flow_faults.BAD_CLIENT),
        ({"end": NOW - 1}, flow_faults.BACKWARDS),
    ],
)
def test_a_record_that_cannot_be_used_is_refused_with_its_reason(
    fold: FlowFold, changes: dict[str, Any], why: str
) -> None:
    given = body(record(), record(**changes), record())
    folded = fold.fold(given, TERMS)
    assert (folded.accepted, folded.refused) == (2, {why: 1})
    assert flow_faults.faults(given, TERMS.oldest, TERMS.newest) == [{"line": 2, "why": why}]


def test_records_without_ports_are_fine_and_ignored(fold: FlowFold) -> None:
    folded = fold.fold(body(record(proto="icmp", src_port=None, dst_port=None), record(proto="UDP")), TERMS)
    assert (folded.accepted, dict(folded.ignored), len(folded.legs)) == (2, {"proto without ports": 1}, 1)


def test_lines_that_are_no_records_cost_their_neighbours_nothing(fold: FlowFold) -> None:
    lines = [
        b"",
        b"{",
        b"version account-id",
        b"[1,2]",
        b'"text"',
        b"5",
        b"{}",
        json.dumps(record()).encode(),
        b"\xff\xfe",
    ]
    folded = fold.fold(b"\n".join(lines), TERMS)
    assert folded.accepted == 1
    assert folded.refused.total() >= 5


def test_an_empty_body_is_no_records(fold: FlowFold) -> None:
    assert fold.fold(b"", TERMS).accepted == fold.fold(b"\n \n", TERMS).accepted == 0


def test_a_line_beyond_all_measure_is_refused_and_nothing_else(fold: FlowFold) -> None:
    long = json.dumps(record(src_service="x" * 3_000_000)).encode()
    try:
        folded = fold.fold(body(record()) + b"\n" + long + b"\n" + body(record()), TERMS)
    except BadRequest:
        return
    assert folded.accepted >= 1


_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=8), st.just("10.0.0.9"),
    st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.sampled_from(sorted(record())), _VALUES, max_size=3), min_size=1, max_size=6))
def test_whatever_a_field_holds_every_record_is_accepted_or_refused(
    fold: FlowFold, changes: list[dict[str, Any]]
) -> None:
    given = body(*(record(**one) for one in changes))
    folded = fold.fold(given, TERMS)
    assert folded.accepted + folded.refused.total() == len(changes)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_and_never_an_accident(fold: FlowFold, given: bytes) -> None:
    with contextlib.suppress(BadRequest):
        assert fold.fold(given, TERMS).accepted == 0
