"""The sender, against a Slack that refuses, stalls, breaks off and forgets to say that it took a message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from bot.model import OutboxRow
from bot.slack.courier import Courier
from tests.slack.bench import HURRIED, Bench, counted, open_bench, until


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with open_bench() as one:
        yield one


# -- when all is well --------------------------------------------------------------------------------------------------


async def test_a_message_is_posted_and_its_place_recorded(bench: Bench) -> None:
    bench.put("k1", "payments is failing")
    async with bench.running():
        await until(bench.all_sent)
    [post], row = bench.slack.messages("incidents"), bench.outbox.rows["k1"]

    assert (post.text, post.key, len(post.blocks)) == ("payments is failing", "k1", 1)
    assert (row.ts, row.channel_id, row.sent_revision) == (post.ts, bench.slack.workspace.channel("incidents").id, 1)


async def test_links_are_not_unfurled(bench: Bench) -> None:
    bench.put("k1", "see https://a.test")
    async with bench.running():
        await until(bench.all_sent)
    args = bench.slack.called("chat.postMessage")[0].args

    assert (args["unfurl_links"], args["unfurl_media"]) == (False, False)


async def test_a_message_that_changed_before_it_went_out_is_posted_once_as_it_is_wanted_now(bench: Bench) -> None:
    for number in range(10):
        bench.put("k1", f"version {number}")
    async with bench.running():
        await until(bench.all_sent)

    assert [(post.text, post.edits) for post in bench.slack.messages("incidents")] == [("version 9", 0)]


async def test_many_changes_in_a_row_become_few_edits_and_the_last_one_stands(bench: Bench) -> None:
    bench.put("k1", "version 0")
    async with bench.running() as worker:
        await until(bench.all_sent)
        for number in range(1, 101):
            bench.put("k1", f"version {number}")
            worker.wake()
            if number % 10 == 0:
                await asyncio.sleep(0.002)
        await until(bench.all_sent)
    [post] = bench.slack.messages("incidents")

    assert post.text == "version 100"
    assert post.edits <= 10


async def test_a_change_while_the_post_is_under_way_becomes_an_edit(bench: Bench) -> None:
    bench.slack.fail_next("chat.postMessage", "timeout", accepted=True)
    bench.put("k1", "one")
    async with bench.running():
        await until(lambda: bench.texts() == ["one"])
        bench.put("k1", "two")
        await until(bench.all_sent)

    assert [(post.text, post.edits) for post in bench.slack.messages("incidents")] == [("two", 1)]


async def test_a_thread_line_waits_for_its_root_and_stands_in_its_thread(bench: Bench) -> None:
    bench.slack.fail_next("chat.postMessage", "http_500", times=2)
    bench.put("root", "payments is failing")
    bench.put("line", "checkout is now failing", parent="root")
    async with bench.running():
        await until(bench.all_sent)
    [root] = bench.slack.messages("incidents")

    assert [reply.text for reply in root.replies] == ["checkout is now failing"]


async def test_a_sleeping_worker_sends_as_soon_as_it_is_woken(bench: Bench) -> None:
    async with bench.running(poll=30.0) as worker:
        await asyncio.sleep(0.05)
        bench.put("k1", "payments is failing")
        worker.wake()
        await until(bench.all_sent, 1.0)


async def test_an_idle_worker_does_not_spin(bench: Bench) -> None:
    looks = 0
    due = bench.outbox.due

    async def counting(now: float, limit: int) -> list[OutboxRow]:
        nonlocal looks
        looks += 1
        return await due(now, limit)

    bench.outbox.due = counting  # type: ignore[method-assign]
    async with bench.running(poll=0.1):
        await asyncio.sleep(0.35)

    assert looks <= 5


# -- exactly one message -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accepted", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "kind", ["http_500", "http_503", "internal_error", "fatal_error", "service_unavailable", "drop", "timeout"]
)
async def test_whatever_fails_before_or_after_slack_took_the_post_there_is_one_message(
    bench: Bench, kind: str, accepted: bool
) -> None:
    before = counted("outbox_possible_duplicates")
    bench.slack.fail_next("chat.postMessage", kind, accepted=accepted)
    bench.put("k1", "payments is failing")
    bench.put("k2", "search is failing")
    async with bench.running():
        await until(bench.all_sent)

    assert bench.texts() == ["payments is failing", "search is failing"]
    assert counted("outbox_possible_duplicates") == before


async def test_several_failures_in_a_row_still_end_in_one_message(bench: Bench) -> None:
    for kind, accepted in (("ratelimited", False), ("http_503", False), ("drop", False), ("timeout", True)):
        bench.slack.fail_next("chat.postMessage", kind, accepted=accepted, retry_after=0.1)
    bench.put("k1", "payments is failing")
    async with bench.running():
        await until(bench.all_sent)

    assert bench.texts() == ["payments is failing"]


async def test_a_post_that_slack_takes_after_we_gave_up_waiting_is_found(bench: Bench) -> None:
    bench.slack.fail_next("chat.postMessage", "timeout", accepted=True, delay=0.3)
    bench.put("k1", "payments is failing")
    async with bench.running():
        await until(bench.all_sent)

    assert bench.texts() == ["payments is failing"]


async def test_a_thread_line_whose_answer_was_lost_is_found_in_its_thread(bench: Bench) -> None:
    bench.put("root", "payments is failing")
    async with bench.running() as worker:
        await until(bench.all_sent)
        bench.slack.fail_next("chat.postMessage", "drop", accepted=True)
        bench.put("line", "checkout is now failing", parent="root")
        worker.wake()
        await until(bench.all_sent)
    [root] = bench.slack.messages("incidents")

    assert len(root.replies) == 1


async def test_while_slack_cannot_be_asked_nothing_is_posted_on_a_guess(bench: Bench) -> None:
    bench.slack.fail_next("chat.postMessage", "drop", accepted=True)
    bench.slack.fail_next("conversations.history", "http_503", times=4)
    bench.put("k1", "payments is failing")
    async with bench.running():
        await until(bench.all_sent)

    assert bench.texts() == ["payments is failing"]
    assert len(bench.slack.called("chat.postMessage")) == 1


async def test_a_look_up_that_comes_too_fast_waits_as_long_as_it_is_told(bench: Bench) -> None:
    bench.slack.fail_next("chat.postMessage", "drop", accepted=True)
    bench.slack.fail_next("conversations.history", "ratelimited", retry_after=0.5)
    bench.put("k1", "payments is failing")
    async with bench.running():
        await until(bench.all_sent)
    first, second = (call.at for call in bench.slack.called("conversations.history"))

    assert 0.5 <= second - first < 0.9
    assert bench.texts() == ["payments is failing"]


async def test_a_doubt_that_outlasts_the_lease_is_taken_up_again_when_it_ran_out(bench: Bench) -> None:
    bench.slack.fail_next("chat.postMessage", "drop", accepted=True)
    bench.slack.fail_next("conversations.history", "http_503", times=50)
    bench.put("k1", "payments is failing")
    async with bench.running(lease=0.4):
        await until(lambda: len(bench.slack.called("conversations.history")) > 2)
        await asyncio.sleep(0.4)
        assert bench.outbox.rows["k1"].state == "sending"
        bench.slack.recover()
        bench.clock.ahead = 61.0
        await until(bench.all_sent)

    assert bench.texts() == ["payments is failing"]


async def test_where_the_look_up_took_too_long_to_post_within_the_lease_the_doubt_is_left_to_the_next(
    bench: Bench,
) -> None:
    bench.slack.fail_next("chat.postMessage", "drop")
    bench.put("k1", "payments is failing")
    [row] = await bench.outbox.due(bench.clock(), 10)
    hurry = replace(HURRIED, lease=0.5, call=0.3, grace=0.25)
    outcome = await Courier(bench.outbox, bench.sink(), hurry, bench.clock).deliver(row)

    assert outcome.reason == "in doubt"
    assert bench.outbox.rows["k1"].state == "sending"


@pytest.mark.parametrize("scope", ["metadata.message:read", "channels:history"])
async def test_where_it_is_not_allowed_to_look_an_alert_is_rather_doubled_than_lost(bench: Bench, scope: str) -> None:
    bench.slack.workspace.scopes -= {scope, "groups:history" if "history" in scope else scope}
    bench.slack.fail_next("chat.postMessage", "drop", accepted=True)
    before = counted("outbox_possible_duplicates")
    bench.put("k1", "payments is failing")
    async with bench.running() as worker:
        await until(bench.all_sent)
        assert "missing_scope" in worker.problems["slack history"]

    assert bench.texts() == ["payments is failing"] * 2
    assert counted("outbox_possible_duplicates") == before + 1


# -- killed in between -------------------------------------------------------------------------------------------------


class Stuck:
    """An outbox whose next `sent` never returns: the process dies between Slack's answer and its record."""

    def __init__(self, bench: Bench) -> None:
        self.reached = asyncio.Event()
        self._outbox, self._sent = bench.outbox, bench.outbox.sent
        bench.outbox.sent = self  # type: ignore[method-assign, assignment]

    async def __call__(self, *_: Any) -> None:
        self._outbox.sent = self._sent  # type: ignore[method-assign]
        self.reached.set()
        await asyncio.Event().wait()


async def test_killed_between_taken_and_recorded_the_next_process_finds_the_message(bench: Bench) -> None:
    stuck = Stuck(bench)
    bench.put("k1", "payments is failing")
    async with bench.running():
        await stuck.reached.wait()
    assert bench.outbox.rows["k1"].state == "sending"
    async with bench.running(sole_worker=True):
        await until(bench.all_sent)

    assert [(post.text, post.edits) for post in bench.slack.messages("incidents")] == [("payments is failing", 0)]


async def test_killed_between_taken_and_recorded_another_replica_finds_it_when_the_lease_ran_out(bench: Bench) -> None:
    stuck = Stuck(bench)
    bench.put("k1", "payments is failing")
    bench.put("k2", "search is failing")
    async with bench.running():
        await stuck.reached.wait()
    async with bench.running():
        await asyncio.sleep(0.2)
        assert bench.texts() == ["payments is failing"]  # k2 does not overtake it
        bench.clock.ahead = 61.0
        await until(bench.all_sent)

    assert bench.texts() == ["payments is failing", "search is failing"]


async def test_killed_before_slack_had_it_the_next_process_posts_it(bench: Bench) -> None:
    bench.slack.fail_next("chat.postMessage", "timeout")
    bench.put("k1", "payments is failing")
    bench.put("k2", "search is failing")
    async with bench.running():
        await until(lambda: bench.slack.called("chat.postMessage"))
    async with bench.running(sole_worker=True):
        await until(bench.all_sent)

    assert bench.texts() == ["payments is failing", "search is failing"]


async def test_a_change_wanted_while_the_process_was_dead_reaches_the_message_it_left(bench: Bench) -> None:
    stuck = Stuck(bench)
    bench.put("k1", "payments is failing")
    async with bench.running():
        await stuck.reached.wait()
    bench.put("k1", "payments is failing, likely cause: payments-db")
    async with bench.running(sole_worker=True):
        await until(bench.all_sent)

    assert bench.texts() == ["payments is failing, likely cause: payments-db"]


async def test_killed_in_the_middle_of_an_edit_the_edit_is_repeated(bench: Bench) -> None:
    bench.put("k1", "one")
    async with bench.running() as worker:
        await until(bench.all_sent)
        stuck = Stuck(bench)
        bench.put("k1", "two")
        worker.wake()
        await stuck.reached.wait()
    async with bench.running(sole_worker=True):
        await until(bench.all_sent)

    assert bench.texts() == ["two"]


async def test_killed_again_and_again_at_any_moment_every_message_is_there_once(bench: Bench) -> None:
    for number in range(30):
        bench.put(f"k{number}", f"alert {number}", ("incidents", "ops")[number % 2])
    for life in range(25):
        async with bench.running(sole_worker=True):
            await asyncio.sleep(0.003 * (life % 7))
    async with bench.running(sole_worker=True):
        await until(bench.all_sent, 20.0)

    assert bench.texts("incidents") == [f"alert {number}" for number in range(0, 30, 2)]
    assert bench.texts("ops") == [f"alert {number}" for number in range(1, 30, 2)]


# -- several workers ---------------------------------------------------------------------------------------------------


async def test_two_replicas_send_every_message_once(bench: Bench) -> None:
    for number in range(40):
        bench.put(f"k{number}", f"alert {number}", ("incidents", "ops")[number % 2])
    async with bench.running(), bench.running():
        await until(bench.all_sent)

    assert sorted(bench.texts("incidents") + bench.texts("ops")) == sorted(f"alert {number}" for number in range(40))


async def test_what_another_worker_sent_since_we_looked_is_edited_not_posted_again(bench: Bench) -> None:
    bench.put("k1", "one")
    [old_look] = await bench.outbox.due(bench.clock(), 10)
    async with bench.running():
        await until(bench.all_sent)
    bench.put("k1", "two")
    outcome = await Courier(bench.outbox, bench.sink(), HURRIED, bench.clock).deliver(old_look)

    assert outcome.reason == "edited"
    assert bench.texts() == ["two"]


async def test_what_another_worker_tried_and_left_since_we_looked_is_looked_up_first(bench: Bench) -> None:
    bench.put("k1", "one")
    [old_look] = await bench.outbox.due(bench.clock(), 10)
    stuck = Stuck(bench)
    async with bench.running():
        await stuck.reached.wait()
    bench.clock.ahead = 61.0
    outcome = await Courier(bench.outbox, bench.sink(), HURRIED, bench.clock).deliver(old_look)

    assert outcome.reason == "found"
    assert bench.texts() == ["one"]
