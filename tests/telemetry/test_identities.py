"""Identity and listener records: what a line that cannot be used costs."""

from __future__ import annotations

import pytest

from bot.telemetry import identities

NOW = 1_760_000_040.0
GOOD = b'{"ip":"10.0.0.1","service":"cart","start":1760000000}'


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"\xff\xfe",
        b"9" * 5_000,
        b'{"ip":"10.0.0.1","service":"cart","start":1e400}',
        b'{"ip":"10.0.0.1","service":"cart","start":NaN}',
        b'{"ip":"10.0.0.1","service":"cart","start":true}',
        b'{"ip":"10.0.0.1","service":"cart","start":1760001000}',
        b'{"ip":"10.0.0.1","service":"cart","start":5,"kind":["service"]}',
        b'{"ip":"10.0.0.1","service":"cart","start":5,"kind":{}}',
        b'{"ip":"10.0.0.1","service":["cart"],"start":5}',
        b'{"ip":"10.0.0.1","service":"\\ud800\\u202e","start":5}',
        b'{"ip":"\\ud800","service":"cart","start":5}',
        b'{"ip":167772161,"service":"cart","start":5}',
        b'{"ip":"fe80::1%' + b"z" * 10_000 + b'","service":"cart","start":5}',
        b'{"intermediary":"lb","ip":"10.0.0.9","port":1e400,"targets":[{"ip":"10.0.0.1","port":1}],"start":5}',
        b'{"intermediary":"lb","ip":"10.0.0.9","port":443,"targets":[{"ip":"10.0.0.1"}],"start":5}',
        b'{"intermediary":"lb","ip":"10.0.0.9","port":443,"targets":[[]],"start":5}',
        b'{"intermediary":"lb","ip":"10.0.0.9","port":443,"targets":{},"start":5}',
        b'{"intermediary":null,"ip":"10.0.0.9","port":443,"targets":[{"ip":"10.0.0.1","port":1}],"start":5}',
    ],
)
def test_a_line_that_cannot_be_used_is_named_and_costs_its_neighbours_nothing(line: bytes) -> None:
    batch = identities.decode(b"\n".join([GOOD, line, GOOD]), NOW)
    assert (batch.accepted, batch.rejected) == (2, 1)
    assert batch.errors[0]["line"] == 2
    assert len(str(batch.errors[0]["why"])) < 200


def test_an_ipv4_address_inside_ipv6_is_the_ipv4_address() -> None:
    batch = identities.decode(GOOD.replace(b"10.0.0.1", b"::FFFF:10.0.0.1"), NOW)
    assert [claim.ip for claim in batch.claims] == ["10.0.0.1"]
