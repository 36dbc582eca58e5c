"""What the server of an API can do to us, and what becomes of the minute."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import pytest
import requests
import responses
from responses import matchers

from bot.errors import ConfigError
from bot.layers.family import Family, Role
from bot.pull import prometheus
from bot.pull.answers import PullError
from bot.pull.backlog import MAX_BACKLOG, Puller
from bot.pull.prometheus import PrometheusPull, Row

URL = "http://prometheus.test:9090"
QUERY, NAMES = f"{URL}/api/v1/query", f"{URL}/api/v1/label/__name__/values"
CALLS, ERRORS = "istio_requests_total", "request_failures_total"
SENT, RECEIVED = "sent_bytes_total", "received_bytes_total"
MINUTE = 1_700_000_040


LABELS = ("source", "destination")
FAMILIES = (
    Family("calls", (CALLS,), LABELS, Role.CALLS, lambda _: None),
    Family("errors", (ERRORS,), LABELS, Role.FAILED, lambda _: None),
    Family("bytes", (SENT, RECEIVED), LABELS, Role.BYTES, lambda _: None),
)


@pytest.fixture
def server() -> Any:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def pull() -> PrometheusPull:
    return PrometheusPull(URL, FAMILIES, timeout=5)


def vector(*values: tuple[str, str, str], **more: object) -> dict[str, object]:
    result = [{"metric": {"source": a, "destination": b}, "value": [MINUTE + 60, value]} for a, b, value in values]
    return {"status": "success", "data": {"resultType": "vector", "result": result}, **more}


def names(*metrics: str) -> dict[str, object]:
    return {"status": "success", "data": list(metrics)}


def failure(kind: str, text: str = "no") -> dict[str, object]:
    return {"status": "error", "errorType": kind, "error": text}


ONE = frozenset((CALLS,))


def test_a_minute_is_asked_at_its_end_for_the_metrics_that_exist(server: Any, pull: PrometheusPull) -> None:
    server.get(NAMES, json=names(CALLS, "up"))
    asked = server.post(QUERY, json=vector(("web", "payments", "12.5")))

    reading = pull.read_minute(MINUTE)

    assert [(row.labels, row.minute, row.increase) for row in reading.rows] == [
        ({"source": "web", "destination": "payments"}, MINUTE, 12.5)
    ]
    body = asked.calls[0].request.body
    assert f"time={MINUTE + 60}" in body
    assert "sum+by+%28source%2C+destination%29" in body
    assert len(asked.calls) == 1, "the metric that does not exist is not asked for"
    assert pull.state()["metrics"] == [CALLS]


def test_what_exists_is_looked_up_once_in_ten_minutes(
    server: Any, pull: PrometheusPull, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = server.get(NAMES, json=names(CALLS))
    pull.discover()
    pull.discover()
    assert len(looked.calls) == 1

    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 601)
    server.replace("GET", NAMES, status=500)
    assert pull.discover() == ONE, "an older answer stands where there is no newer one"


def test_a_label_that_is_missing_is_empty_and_odd_values_are_counted_as_dropped(
    server: Any, pull: PrometheusPull
) -> None:
    answer = vector(("web", "payments", "NaN"), ("web", "search", "+Inf"), ("web", "cart", "0"), ("web", "pay", "?"))
    answer["data"]["result"] += [  # type: ignore[index]
        {"metric": {"source": "web"}, "value": [1, "3"]},
        {"metric": {"source": "web"}, "histogram": [1, {"count": "3"}]},
    ]
    server.post(QUERY, json=answer)

    reading = pull.read_minute(MINUTE, ONE)

    assert [row.labels for row in reading.rows] == [{"source": "web", "destination": ""}]
    assert pull.dropped["not a number"] == 4


def test_the_metrics_of_a_family_are_added_up_and_come_together_or_not_at_all(
    server: Any, pull: PrometheusPull
) -> None:
    server.get(NAMES, json=names(SENT, RECEIVED))
    server.post(QUERY, json=vector(("web", "payments", "10")))
    server.post(QUERY, status=500, json=failure("internal"))
    server.post(QUERY, json=vector(("web", "payments", "10")))
    server.post(QUERY, json=vector(("web", "payments", "3"), ("web", "search", "1")))
    pull.discover()

    first = pull.read_minute(MINUTE)
    assert (first.rows, first.again) == ([], {SENT, RECEIVED})

    again = pull.read_minute(MINUTE, frozenset((RECEIVED,)))
    assert [(row.labels["destination"], row.increase) for row in again.rows] == [("payments", 13), ("search", 1)]


def test_a_server_that_is_busy_for_a_moment_is_asked_again_at_once(server: Any, pull: PrometheusPull) -> None:
    server.post(QUERY, status=503, body="upstream is starting")
    server.post(QUERY, body=requests.ConnectionError("reset"))
    server.post(QUERY, json=vector(("web", "payments", "1")))

    assert len(pull.read_minute(MINUTE, ONE).rows) == 1


@pytest.mark.parametrize(
    ("status", "kind", "again"),
    [
        (503, "timeout", True), (422, "timeout", True), (401, "unauthorized", True), (500, "internal", True),
        (400, "bad_data", False), (422, "execution", False),
    ],
)  # fmt: skip
def test_an_error_is_put_off_or_given_up_and_not_insisted_on(
    server: Any, pull: PrometheusPull, status: int, kind: str, again: bool
) -> None:
    asked = server.post(QUERY, status=status, json=failure(kind, "query processing would load too many samples"))

    reading = pull.read_minute(MINUTE, ONE)

    assert (reading.again, set(reading.refused)) == ((ONE, set()) if again else (set(), ONE))
    assert len(asked.calls) == 1
    assert "too many samples" in str(pull.state()["last_error"])


def test_a_server_that_does_not_answer_is_not_asked_for_every_metric_in_turn(server: Any, pull: PrometheusPull) -> None:
    asked = server.post(QUERY, body=requests.ReadTimeout("slow"))

    reading = pull.read_minute(MINUTE, frozenset((CALLS, ERRORS)))

    assert reading.again == {CALLS, ERRORS}
    assert len(asked.calls) == 1


@pytest.mark.parametrize(
    "more",
    [
        {"warnings": ["No StoreAPIs matched for this query: partial response"]},
        {"warnings": ["results truncated due to limit"]},
        {"isPartial": True},
    ],
)
def test_a_partial_answer_is_taken_and_asked_for_again(
    server: Any, pull: PrometheusPull, more: dict[str, object]
) -> None:
    server.post(QUERY, json=vector(("web", "payments", "1"), **more))

    reading = pull.read_minute(MINUTE, ONE)

    assert len(reading.rows) == 1
    assert reading.again == {CALLS}
    assert "partial" in str(pull.state()["last_error"])


def test_remarks_on_the_query_do_not_make_an_answer_partial(server: Any, pull: PrometheusPull) -> None:
    remarks = {"warnings": ["PromQL warning: mixed"], "infos": ["PromQL info: metric might not be a counter"]}
    server.post(QUERY, json=vector(("web", "payments", "1"), **remarks))

    assert pull.read_minute(MINUTE, ONE).again == set()
    assert pull.state()["notes"] == {"PromQL warning": 1}


@pytest.mark.parametrize(
    "body",
    [
        b"<html>sign in</html>", b'{"status":"success","data":{"resultType":"vector","result":[{"metric":', b"[]", b"\xff",
        b'{"status":"success","data":{"resultType":"vector","result":{}}}', b'{"status":"success"}',
        b"", b"\x00", b'{"status":"success","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{"source":"\xff"},"value":[1,"2"]}]}}',
    ],
)  # fmt: skip
def test_what_is_not_an_answer_is_an_error_and_not_an_empty_minute(
    server: Any, pull: PrometheusPull, body: bytes
) -> None:
    server.post(QUERY, body=body)

    assert pull.read_minute(MINUTE, ONE).again == ONE


def test_a_matrix_is_refused(server: Any, pull: PrometheusPull) -> None:
    server.post(QUERY, json={"status": "success", "data": {"resultType": "matrix", "result": []}})

    assert "matrix" in pull.read_minute(MINUTE, ONE).refused[CALLS]


def test_an_answer_over_the_caps_is_refused_whole_with_what_to_do(
    server: Any, pull: PrometheusPull, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.post(QUERY, json=vector(*[("web", f"service-{number}", "1") for number in range(11)]))
    monkeypatch.setattr(prometheus, "MAX_SERIES", 10)
    reading = pull.read_minute(MINUTE, ONE)
    assert reading.rows == []
    assert "11 series" in reading.refused[CALLS]

    monkeypatch.setattr(prometheus, "MAX_BYTES", 100)
    assert "MiB" in pull.read_minute(MINUTE, ONE).refused[CALLS]
    assert pull.dropped == {"too many series": 1, "answer too large": 1}


def test_secrets_are_sent_to_their_server_and_shown_nowhere(server: Any) -> None:
    pull = PrometheusPull("http://reader:hunter2@prometheus.test:9090/", FAMILIES, headers={"X-Scope-OrgID": "t0p"})
    ours = [matchers.header_matcher({"Authorization": "Basic cmVhZGVyOmh1bnRlcjI=", "X-Scope-OrgID": "t0p"})]
    server.post(QUERY, match=ours, status=302, headers={"Location": "http://elsewhere.test/"})
    pull.read_minute(MINUTE, ONE)
    server.replace("POST", QUERY, match=ours, body=requests.exceptions.InvalidURL("http://reader:hunter2@prometheus"))
    reading = pull.read_minute(MINUTE, ONE)

    assert reading.again == ONE
    assert {call.request.url for call in server.calls} == {QUERY}, "a redirect is not followed"
    shown = json.dumps(pull.state())
    assert "hunter2" not in shown
    assert "t0p" not in shown


def test_an_address_that_is_none_is_refused_at_once_without_repeating_it() -> None:
    with pytest.raises(ConfigError) as caught:
        PrometheusPull("reader:hunter2@prometheus", [])
    assert "hunter2" not in str(caught.value)


class Minutes:
    """A puller on a clock of its own, and the rows it hands on."""

    def __init__(self, pull: PrometheusPull) -> None:
        self.now = float(MINUTE)
        self.rows: list[Row] = []
        self.puller = Puller(pull, self.take, clock=lambda: self.now)

    async def take(self, rows: Sequence[Row]) -> None:
        self.rows.extend(rows)

    async def after(self, seconds: float) -> list[Row]:
        self.now += seconds
        self.rows.clear()
        await self.puller.tick()
        return list(self.rows)


async def test_a_minute_is_asked_once_and_only_when_it_is_over_and_settled(server: Any, pull: PrometheusPull) -> None:
    server.get(NAMES, json=names(CALLS))
    server.post(QUERY, json=vector(("web", "payments", "1")))
    minutes = Minutes(pull)

    assert await minutes.after(80) == []
    assert [row.minute for row in await minutes.after(10)] == [MINUTE]
    assert await minutes.after(10) == []


async def test_minutes_of_an_outage_are_asked_for_when_it_is_over_and_the_oldest_given_up(
    server: Any, pull: PrometheusPull
) -> None:
    server.get(NAMES, json=names(CALLS))
    failing = server.post(QUERY, status=500, json=failure("internal"))
    minutes = Minutes(pull)
    for _ in range(20):
        assert await minutes.after(60) == []
    assert len(failing.calls) <= 20, "one failure a tick is enough"
    assert len(minutes.puller.state()["backlog"]) == MAX_BACKLOG - 1  # type: ignore[arg-type]

    server.replace("POST", QUERY, json=vector(("web", "payments", "1")))
    late = [row.minute for row in await minutes.after(60)]

    assert late == sorted(late, reverse=True)
    assert len(late) == len(set(late)) == MAX_BACKLOG - 1
    assert minutes.puller.dropped == {"minute: too old": 6}
    assert minutes.puller.state()["backlog"] == []


async def test_of_a_minute_that_failed_in_part_only_that_part_is_asked_again(server: Any, pull: PrometheusPull) -> None:
    server.get(NAMES, json=names(CALLS, ERRORS))
    server.post(QUERY, json=vector(("web", "payments", "1")))
    server.post(QUERY, status=500, json=failure("internal"))
    server.post(QUERY, json=vector(("web", "search", "2")))
    minutes = Minutes(pull)

    assert [row.increase for row in await minutes.after(90)] == [1]
    assert [row.increase for row in await minutes.after(10)] == [2]
    assert await minutes.after(10) == []


async def test_a_metric_that_appears_is_asked_for_since_the_last_look(
    server: Any, pull: PrometheusPull, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.get(NAMES, json=names(CALLS))
    asked = server.post(QUERY, json=vector())
    minutes = Minutes(pull)
    monkeypatch.setattr(time, "time", lambda: minutes.now)
    monkeypatch.setattr(time, "monotonic", lambda: minutes.now)
    for _ in range(10):
        await minutes.after(60)
    server.replace("GET", NAMES, json=names(CALLS, ERRORS))
    await minutes.after(60)
    before = len(asked.calls)
    await minutes.after(60)
    await minutes.after(10)

    late = [call.request.body for call in asked.calls[before:] if ERRORS in call.request.body]
    assert len(late) >= 9
    assert minutes.puller.state()["backlog"] == []


async def test_before_the_server_was_ever_reached_the_minutes_wait(server: Any, pull: PrometheusPull) -> None:
    server.get(NAMES, status=404)
    minutes = Minutes(pull)

    assert await minutes.after(90) == []
    assert minutes.puller.state()["backlog"] == [MINUTE]
    with pytest.raises(PullError):
        pull.discover()
