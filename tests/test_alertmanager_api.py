"""Silences in Alertmanager: what one would cover, created, ended. The same situations for Debian's and for a strict fake."""

from __future__ import annotations

import time
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from bot.actions import Matcher
from bot.alertmanager_api import MAX_MATCHERS, MAX_SECONDS, AlertmanagerApi
from bot.errors import AmbiguousDeliveryError, DeliveryError, PermanentDeliveryError, RetryableDeliveryError
from tests.kit.bots import until
from tests.kit.fake_alertmanager import TOKEN, FakeAlertmanager, fake_alertmanager
from tests.kit.processes import alertmanager, webhook

PAYMENTS = Matcher("service", "payments")
ERRORS = {"alertname": "HighErrorRate", "service": "payments", "pod": "payments-1"}
SLOW = {"alertname": "Slow", "service": "payments", "pod": "payments-1"}


@dataclass(frozen=True, slots=True)
class Server:
    """An Alertmanager, whose ever: our client of it, how to make it fire, and what it says when asked directly."""

    api: AlertmanagerApi
    fire: Callable[[Sequence[Mapping[str, str]]], Coroutine[Any, Any, None]]
    ask: Callable[[str], Coroutine[Any, Any, Any]]

    async def suppressed(self) -> list[str]:
        """The names of alerts that a silence covers."""
        listed = await self.ask("/alerts")
        return sorted(one["labels"]["alertname"] for one in listed if one["status"]["state"] == "suppressed")


@pytest.fixture(params=["the strict fake", "Debian's"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        fake = None
        if request.param == "the strict fake":
            fake = await stack.enter_async_context(fake_alertmanager())
            url, headers = fake.url, {"Authorization": f"Bearer {TOKEN}"}
        else:
            url, headers = await stack.enter_async_context(alertmanager(webhook("http://127.0.0.1:9/", "t"))), {}

        async def fire(alerts: Sequence[Mapping[str, str]]) -> None:
            if fake is not None:
                fake.alerts = [dict(one) for one in alerts]
                return
            async with session.post(f"{url}/api/v2/alerts", json=[{"labels": dict(one)} for one in alerts]) as answer:
                assert answer.status == 200, await answer.text()

        async def ask(path: str) -> Any:
            async with session.get(f"{url}/api/v2{path}", headers=headers) as answer:
                assert answer.status == 200, await answer.text()
                return await answer.json()

        yield Server(AlertmanagerApi(session, url, TOKEN if fake else ""), fire, ask)


async def test_the_scope_counts_what_fires_now_and_names_each_kind_of_alert_once(server: Server) -> None:
    other = {"alertname": "HighErrorRate", "service": "checkout"}
    await server.fire([ERRORS, ERRORS | {"pod": "payments-2"}, SLOW, other])

    scope = await server.api.scope({"service": "payments", "empty": ""})

    assert scope.matchers == (PAYMENTS,)
    assert scope.alerts == 3
    assert sorted(scope.examples) == ["HighErrorRate", "Slow"]


@pytest.mark.parametrize("value", ['a "quoted" \\ word', "{a,b}", "a=b,c=~d", "zwölf 🔥", "two\nlines", "' OR 1=1"])
async def test_a_value_covers_itself_and_nothing_else_whatever_characters_it_has(server: Server, value: str) -> None:
    await server.fire([{"alertname": "Odd", "reason": value}, {"alertname": "Plain", "reason": "payments"}])
    assert (await server.api.scope({"reason": value})).examples == ("Odd",)

    await server.api.silence([Matcher("reason", value)], time.time(), time.time() + 600, "ada", "known")

    async def odd() -> bool:
        return await server.suppressed() == ["Odd"]

    await until(odd, "the silence covers something else")


async def test_a_silence_says_who_made_it_and_why_and_keeps_quiet_what_its_scope_said(server: Server) -> None:
    await server.fire([ERRORS, SLOW, {"alertname": "Slow", "service": "checkout"}])
    now = time.time()

    number = await server.api.silence([PAYMENTS], now, now + 3_600, "Ada (U123)", "rolling back")
    made = await server.ask(f"/silence/{number}")

    assert (made["createdBy"], made["comment"], made["status"]["state"]) == ("Ada (U123)", "rolling back", "active")
    assert made["matchers"] == [{"name": "service", "value": "payments", "isRegex": False, "isEqual": True}]

    async def both() -> bool:
        return await server.suppressed() == ["HighErrorRate", "Slow"]

    await until(both, "the silence does not cover what its scope said")


async def test_a_silence_that_is_ended_covers_nothing_and_can_be_ended_again(server: Server) -> None:
    await server.fire([ERRORS])
    number = await server.api.silence([PAYMENTS], time.time(), time.time() + 600, "ada", "known")

    await server.api.expire(number)
    await server.api.expire(number)

    assert (await server.ask(f"/silence/{number}"))["status"]["state"] == "expired"

    async def heard_again() -> bool:
        return await server.suppressed() == []

    await until(heard_again, "the alert is still silenced")


async def test_a_silence_that_is_not_there_cannot_be_ended(server: Server) -> None:
    with pytest.raises(PermanentDeliveryError, match="am_not_found"):
        await server.api.expire("5bd3f43b-5f1c-4f2e-9d7e-000000000000")


async def test_a_silence_whose_time_is_over_is_refused(server: Server) -> None:
    with pytest.raises(PermanentDeliveryError, match="am_http_400"):
        await server.api.silence([PAYMENTS], time.time() - 7_200, time.time() - 3_600, "ada", "known")


# -- what only a fake can do ----------------------------------------------------------------------------------------


@pytest.fixture
async def fake() -> AsyncIterator[FakeAlertmanager]:
    async with fake_alertmanager() as made:
        yield made


@pytest.fixture
async def api(fake: FakeAlertmanager) -> AsyncIterator[AlertmanagerApi]:
    async with aiohttp.ClientSession() as session:
        yield AlertmanagerApi(session, fake.url, TOKEN, timeout=0.5)


def _now() -> tuple[float, float]:
    return time.time(), time.time() + 600


@pytest.mark.parametrize(
    "matchers",
    [(), (Matcher("service", ""),), (Matcher("", "payments"),), (PAYMENTS, Matcher("pod", "")), (PAYMENTS,) * (MAX_MATCHERS + 1)],
    ids=["none", "no value", "no name", "one without value", "too many"],
)  # fmt: skip
async def test_a_silence_that_could_cover_everything_is_never_asked_for(
    fake: FakeAlertmanager, api: AlertmanagerApi, matchers: tuple[Matcher, ...]
) -> None:
    with pytest.raises(PermanentDeliveryError, match="matchers"):
        await api.silence(matchers, *_now(), "ada", "known")

    assert fake.asked == []


async def test_labels_without_a_value_measure_nothing(fake: FakeAlertmanager, api: AlertmanagerApi) -> None:
    with pytest.raises(PermanentDeliveryError, match="am_no_matchers"):
        await api.scope({"service": ""})

    assert fake.asked == []


@pytest.mark.parametrize("seconds", [-1.0, 0.0, MAX_SECONDS + 1, float("nan"), float("inf")])
async def test_a_silence_lasts_for_some_time_and_not_for_ever(
    fake: FakeAlertmanager, api: AlertmanagerApi, seconds: float
) -> None:
    now = time.time()
    with pytest.raises(PermanentDeliveryError, match="am_bad_duration"):
        await api.silence([PAYMENTS], now, now + seconds, "ada", "known")

    assert fake.asked == []


async def test_a_label_whose_name_has_a_dot_is_asked_for_in_quotes(
    fake: FakeAlertmanager, api: AlertmanagerApi
) -> None:
    fake.alerts = [{"alertname": "A", "service.name": "payments"}, {"alertname": "B"}]

    assert (await api.scope({"service.name": "payments"})).examples == ("A",)


TROUBLE: list[tuple[str | int, type[DeliveryError], type[DeliveryError], str]] = [
    ("drop", RetryableDeliveryError, AmbiguousDeliveryError, "am_no_answer"),
    ("hang", RetryableDeliveryError, AmbiguousDeliveryError, "am_no_answer"),
    ("prose", RetryableDeliveryError, AmbiguousDeliveryError, "am_unreadable"),
    ("redirect", PermanentDeliveryError, PermanentDeliveryError, "am_http_302"),
    (400, PermanentDeliveryError, PermanentDeliveryError, "am_http_400"),
    (401, PermanentDeliveryError, PermanentDeliveryError, "am_http_401"),
    (403, PermanentDeliveryError, PermanentDeliveryError, "am_http_403"),
    (404, PermanentDeliveryError, PermanentDeliveryError, "am_not_found"),
    (429, RetryableDeliveryError, RetryableDeliveryError, "am_rate_limited"),
    (500, RetryableDeliveryError, AmbiguousDeliveryError, "am_http_500"),
    (503, RetryableDeliveryError, AmbiguousDeliveryError, "am_http_503"),
]


@pytest.mark.parametrize(("trouble", "asking", "creating", "word"), TROUBLE, ids=[str(one[0]) for one in TROUBLE])
async def test_trouble_is_named_in_one_word_that_says_whether_a_silence_may_exist(
    fake: FakeAlertmanager,
    api: AlertmanagerApi,
    trouble: str | int,
    asking: type[DeliveryError],
    creating: type[DeliveryError],
    word: str,
) -> None:
    fake.trouble = [trouble] * 3  # the HTTP client itself asks once more where a connection broke
    with pytest.raises(asking) as asked:
        await api.scope({"service": "payments"})
    fake.trouble = [trouble]
    with pytest.raises(creating) as created:
        await api.silence([PAYMENTS], *_now(), "ada", "known")

    assert (str(asked.value), str(created.value)) == (word, word)
    for error in (asked.value, created.value):
        told = "".join(traceback.format_exception(error))
        assert TOKEN not in told
        assert fake.url not in told


async def test_a_silence_whose_answer_is_lost_may_exist(fake: FakeAlertmanager, api: AlertmanagerApi) -> None:
    fake.trouble = ["lost"]
    with pytest.raises(AmbiguousDeliveryError):
        await api.silence([PAYMENTS], *_now(), "ada", "known")

    assert len(fake.silences) == 1


async def test_nobody_at_the_address_means_that_there_is_surely_no_silence(fake: FakeAlertmanager) -> None:
    async with fake_alertmanager() as gone:
        pass
    async with aiohttp.ClientSession() as session:
        with pytest.raises(RetryableDeliveryError, match="am_unreachable"):
            await AlertmanagerApi(session, gone.url, TOKEN).silence([PAYMENTS], *_now(), "ada", "known")


@pytest.mark.parametrize("number", ["", "../alerts", "a/b", "a?b=c", "A" * 65])
async def test_what_is_no_silences_id_never_becomes_part_of_an_address(
    fake: FakeAlertmanager, api: AlertmanagerApi, number: str
) -> None:
    with pytest.raises(PermanentDeliveryError, match="am_not_found"):
        await api.expire(number)

    assert fake.asked == []
