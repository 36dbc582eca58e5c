"""The sender when something has to wait: order, rate limits, what a person must repair, and shutting down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.model import Message, OutboxRow
from tests.kit.slack_limits import Limits
from tests.slack.bench import Bench, counted, message, open_bench, until


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with open_bench() as one:
        yield one


# -- order and independence --------------------------------------------------------------------------------------------


async def test_a_message_that_has_to_wait_holds_back_those_behind_it_in_its_channel(bench: Bench) -> None:
    bench.slack.fail_next("chat.postMessage", "http_500")
    bench.slack.fail_next("chat.postMessage", "ratelimited", retry_after=0.2)
    for number in range(3):
        bench.put(f"k{number}", f"alert {number}")
    async with bench.running():
        await until(bench.all_sent)

    assert bench.texts() == [f"alert {number}" for number in range(3)]


async def test_a_message_put_back_while_the_outbox_was_being_read_is_not_overtaken(bench: Bench) -> None:
    due = bench.outbox.due

    async def slowly(now: float, limit: int) -> list[OutboxRow]:
        rows = await due(now, limit)
        await asyncio.sleep(0.1)
        return rows

    bench.slack.fail_next("chat.postMessage", "timeout")
    bench.put("k1", "first")
    bench.put("k2", "second")
    async with bench.running():
        await until(lambda: bench.slack.called("chat.postMessage"))
    bench.outbox.due = slowly  # type: ignore[method-assign]
    async with bench.running(sole_worker=True, grace=0.02):
        await until(bench.all_sent)

    assert bench.texts() == ["first", "second"]


async def test_one_channel_in_trouble_does_not_hold_back_another(bench: Bench) -> None:
    bench.slack.workspace.channel("incidents").archived = True
    for number in range(3):
        bench.put(f"i{number}", "for incidents")
        bench.put(f"o{number}", "for ops", "ops")
    async with bench.running(slow_retry=60.0) as worker:
        await until(lambda: len(bench.texts("ops")) == 3)
        assert worker.problems == {"incidents": "is_archived"}

    assert len(bench.slack.called("chat.postMessage")) == 4


async def test_a_long_backlog_of_one_channel_does_not_hide_what_is_behind_it(bench: Bench) -> None:
    bench.slack.fail_next("chat.postMessage", "ratelimited", retry_after=30.0)
    for number in range(450):
        bench.put(f"i{number}", "for incidents")
    bench.put("o", "for ops", "ops")
    async with bench.running():
        await until(lambda: bench.texts("ops") == ["for ops"], 2.0)

    assert bench.texts("incidents") == []


async def test_edits_that_have_to_wait_do_not_hold_back_a_post(bench: Bench) -> None:
    bench.put("k1", "one")
    async with bench.running() as worker:
        await until(bench.all_sent)
        bench.slack.fail_next("chat.update", "ratelimited", retry_after=30.0)
        bench.put("k1", "two")
        worker.wake()
        await until(lambda: bench.slack.called("chat.update"))
        bench.put("k2", "new alert")
        worker.wake()
        await until(lambda: bench.texts() == ["one", "new alert"])


async def test_a_slow_channel_leaves_the_others_their_turn(bench: Bench) -> None:
    for number in range(8):
        bench.slack.workspace.add_channel(f"slow{number}")
        bench.slack.fail_next("chat.postMessage", "timeout")
        bench.put(f"s{number}", "slow", f"slow{number}")
    bench.put("o", "for ops", "ops")
    async with bench.running(concurrency=8):
        await until(lambda: bench.texts("ops") == ["for ops"], 2.0)


# -- rate limits -------------------------------------------------------------------------------------------------------


async def test_retry_after_is_honoured_to_the_moment(bench: Bench) -> None:
    bench.slack.fail_next("chat.postMessage", "ratelimited", retry_after=0.6)
    bench.put("k1", "one")
    bench.put("k2", "two")
    async with bench.running():
        await until(bench.all_sent)
    first, second, *_ = (call.at for call in bench.slack.called("chat.postMessage"))

    assert 0.6 <= second - first < 0.9
    assert bench.texts() == ["one", "two"]


async def test_under_slacks_own_limits_every_message_arrives_once_and_in_order() -> None:
    async with open_bench(limits=Limits(burst=3, second=0.05), rate_limits=True) as bench:
        for number in range(10):
            bench.put(f"k{number}", f"alert {number}")
        async with bench.running():
            await until(bench.all_sent, 20.0)

        assert bench.texts() == [f"alert {number}" for number in range(10)]
        # One refusal teaches the pace; after it, it keeps to one a second without being told again.
        assert sum(call.outcome == "ratelimited" for call in bench.slack.called("chat.postMessage")) == 1


# -- what a person has to repair ---------------------------------------------------------------------------------------


async def test_what_slack_will_not_take_as_blocks_goes_out_as_plain_text(bench: Bench) -> None:
    before = counted("outbox_failed", reason="msg_blocks_too_long")
    bench.slack.fail_next("chat.postMessage", "msg_blocks_too_long")
    bench.put("k1", "payments is failing")
    async with bench.running():
        await until(bench.all_sent)
    [post] = bench.slack.messages("incidents")

    assert (post.text, post.blocks) == ("payments is failing", [])
    assert counted("outbox_failed", reason="msg_blocks_too_long") == before + 1


async def test_an_edit_that_slack_will_not_take_as_blocks_goes_out_as_plain_text(bench: Bench) -> None:
    bench.put("k1", "one")
    async with bench.running() as worker:
        await until(bench.all_sent)
        bench.slack.fail_next("chat.update", "invalid_blocks")
        bench.put("k1", "two")
        worker.wake()
        await until(bench.all_sent)
    [post] = bench.slack.messages("incidents")

    assert (post.text, post.blocks) == ("two", [])


async def test_a_message_that_slack_never_takes_is_given_up_and_holds_nobody_back(bench: Bench) -> None:
    bench.slack.fail_next("chat.postMessage", "invalid_blocks", times=2)
    bench.put("k1", "cursed")
    bench.put("k2", "fine")
    async with bench.running():
        await until(lambda: bench.texts() == ["fine"])

    assert bench.outbox.rows["k1"].state == "failed"
    assert bench.outbox.errors["k1"] == "invalid_blocks"


async def test_a_refusal_nobody_knows_is_tried_again_later_and_holds_nobody_back(bench: Bench) -> None:
    bench.slack.fail_next("chat.postMessage", "moon_in_retrograde", times=2)
    bench.put("k1", "unlucky")
    bench.put("k2", "fine")
    async with bench.running():
        await until(bench.all_sent)

    assert bench.texts() == ["fine", "unlucky"]


async def test_a_revoked_token_loses_nothing_and_is_shown_until_it_is_repaired(bench: Bench) -> None:
    bench.slack.token_error = "token_revoked"
    bench.put("k1", "payments is failing")
    bench.put("k2", "search is failing", "ops")
    async with bench.running() as worker:
        await until(lambda: worker.problems == {"slack": "token_revoked"})
        await asyncio.sleep(0.5)
        assert len(bench.slack.called("chat.postMessage")) <= 8  # slowly, and not once for each channel at a time
        bench.slack.token_error = ""
        await until(bench.all_sent)
        assert worker.problems == {}

    assert (bench.texts("incidents"), bench.texts("ops")) == (["payments is failing"], ["search is failing"])


async def test_while_the_token_is_bad_no_other_channel_is_tried_with_it(bench: Bench) -> None:
    bench.slack.token_error = "token_revoked"
    bench.put("k1", "payments is failing")
    async with bench.running(slow_retry=60.0) as worker:
        await until(lambda: worker.problems)
        bench.put("k2", "search is failing", "ops")
        worker.wake()
        await asyncio.sleep(0.2)

    assert len(bench.slack.called("chat.postMessage")) == 1


async def test_a_restart_with_a_good_token_does_not_wait_for_the_slow_retry(bench: Bench) -> None:
    bench.slack.token_error = "invalid_auth"
    bench.put("k1", "payments is failing")
    async with bench.running(slow_retry=300.0) as worker:
        await until(lambda: worker.problems)
    bench.slack.token_error = ""
    async with bench.running(slow_retry=300.0):
        await until(bench.all_sent, 1.0)


async def test_what_a_dead_channel_will_not_take_goes_to_the_fallback_and_says_why(bench: Bench) -> None:
    bench.slack.workspace.channel("incidents").archived = True
    bench.put("root", "payments is failing")
    bench.put("line", "checkout is now failing", parent="root")
    async with bench.running(fallback_channel="ops") as worker:
        await until(bench.all_sent)
        assert worker.problems == {"incidents": "is_archived: posting to ops instead"}
        bench.put("root", "payments recovered")
        worker.wake()
        await until(bench.all_sent)
        assert "incidents" in worker.problems
    [root] = bench.slack.messages("ops")

    assert root.text == "payments recovered"
    assert [reply.text for reply in root.replies] == ["checkout is now failing"]


@pytest.mark.parametrize("lost", [False, True])
async def test_a_message_whose_channel_dies_goes_on_in_the_fallback_with_its_thread(bench: Bench, lost: bool) -> None:
    before = counted("outbox_sent", what="moved") + counted("outbox_sent", what="found")
    bench.put("root", "payments is failing")
    async with bench.running(fallback_channel="ops") as worker:
        await until(bench.all_sent)
        bench.slack.workspace.channel("incidents").archived = True
        if lost:
            bench.slack.fail_next("chat.postMessage", "drop", accepted=True)
        bench.put("line", "checkout is now failing", parent="root")
        worker.wake()
        await until(bench.all_sent)
        worker.wake()
        await until(bench.all_sent)
        bench.put("root", "all recovered")
        worker.wake()
        await until(bench.all_sent)
        assert worker.problems == {"incidents": "is_archived: posting to ops instead"}
    [root] = bench.slack.messages("ops")

    assert bench.texts() == ["payments is failing"]
    assert root.text == "all recovered"
    assert [reply.text.splitlines()[-1] for reply in root.replies] == ["checkout is now failing"]
    assert counted("outbox_sent", what="moved") + counted("outbox_sent", what="found") == before + 1


async def test_a_message_whose_fallback_dies_too_waits_there(bench: Bench) -> None:
    bench.slack.workspace.channel("incidents").archived = True
    bench.put("k1", "payments is failing")
    async with bench.running(fallback_channel="ops") as worker:
        await until(bench.all_sent)
        bench.slack.workspace.channel("ops").archived = True
        bench.put("k1", "payments recovered")
        worker.wake()
        await until(lambda: "is_archived" in worker.problems.get(bench.slack.workspace.channel("ops").id, ""))
        bench.slack.workspace.channel("ops").archived = False
        await until(bench.all_sent)

    assert bench.texts("ops") == ["payments recovered"]


async def test_a_post_to_the_fallback_whose_answer_was_lost_is_found_there(bench: Bench) -> None:
    bench.slack.fail_next("chat.postMessage", "ok")
    bench.slack.fail_next("chat.postMessage", "drop", accepted=True)
    bench.put("k1", "payments is failing", "gone")
    async with bench.running(fallback_channel="ops"):
        await until(bench.all_sent)

    assert len(bench.texts("ops")) == 1
    assert [call.outcome for call in bench.slack.called("chat.postMessage")] == ["channel_not_found", "drop"]


async def test_a_channel_that_is_repaired_gets_what_waited_for_it_in_order(bench: Bench) -> None:
    bench.slack.workspace.channel("incidents").member = False
    for number in range(3):
        bench.put(f"k{number}", f"alert {number}")
    async with bench.running() as worker:
        await until(lambda: worker.problems == {"incidents": "not_in_channel"})
        bench.slack.workspace.channel("incidents").member = True
        await until(bench.all_sent)
        assert worker.problems == {}

    assert bench.texts() == [f"alert {number}" for number in range(3)]


async def test_a_message_somebody_deleted_is_not_edited_and_not_posted_again(bench: Bench) -> None:
    bench.put("k1", "one")
    bench.put("k2", "two")
    async with bench.running() as worker:
        await until(bench.all_sent)
        del bench.slack.messages("incidents")[0]
        bench.put("k1", "one, changed")
        bench.put("k2", "two, changed")
        worker.wake()
        await until(lambda: bench.texts() == ["two, changed"])
        await until(lambda: bench.outbox.rows["k1"].state == "failed")

    assert bench.outbox.errors["k1"] == "message_not_found"


async def test_a_thread_line_whose_root_was_deleted_is_seen_in_the_channel_and_counted(bench: Bench) -> None:
    before = counted("outbox_failed", reason="thread_gone")
    bench.put("root", "payments is failing")
    async with bench.running() as worker:
        await until(bench.all_sent)
        del bench.slack.messages("incidents")[0]
        bench.slack.fail_next("chat.postMessage", "drop", accepted=True)
        bench.put("line", "checkout is now failing", parent="root")
        worker.wake()
        await until(bench.all_sent)

    assert bench.texts() == ["checkout is now failing"]
    assert counted("outbox_failed", reason="thread_gone") == before + 1


async def test_an_edit_whose_answer_was_lost_is_repeated(bench: Bench) -> None:
    bench.put("k1", "one")
    async with bench.running() as worker:
        await until(bench.all_sent)
        bench.slack.fail_next("chat.update", "drop", accepted=True)
        bench.slack.fail_next("chat.update", "fatal_error")
        bench.put("k1", "two")
        worker.wake()
        await until(bench.all_sent)

    assert bench.texts() == ["two"]


# -- starting and stopping ---------------------------------------------------------------------------------------------


async def test_at_the_shutdown_what_is_under_way_is_finished_and_what_is_due_is_sent(bench: Bench) -> None:
    worker = bench.worker()
    async with bench.running(worker):
        await asyncio.sleep(0.02)
        for number in range(20):
            bench.put(f"k{number}", f"alert {number}")
        assert await worker.drain(5.0) is True

    assert len(bench.texts()) == 20
    assert bench.all_sent()


async def test_a_worker_that_is_no_longer_running_can_still_be_drained(bench: Bench) -> None:
    worker = bench.worker()
    async with bench.running(worker):
        await asyncio.sleep(0.02)
    bench.put("k1", "payments is failing")

    assert await worker.drain(5.0) is True
    assert bench.texts() == ["payments is failing"]


async def test_a_shutdown_does_not_wait_longer_than_it_may(bench: Bench) -> None:
    bench.slack.fail_next("chat.postMessage", "timeout", accepted=True)
    worker = bench.worker(grace=30.0)
    bench.put("k1", "payments is failing")
    async with bench.running(worker):
        await until(lambda: bench.texts() == ["payments is failing"])
        began = time.monotonic()
        assert await worker.drain(0.1) is False
        assert time.monotonic() - began < 1.0
    async with bench.running(sole_worker=True):
        await until(bench.all_sent)

    assert bench.texts() == ["payments is failing"]


async def test_an_outbox_that_fails_ends_the_run_so_that_its_keeper_knows(bench: Bench) -> None:
    async def broken(*_: Any) -> bool:
        raise ConnectionError("database gone")

    claim, bench.outbox.claim = bench.outbox.claim, broken  # type: ignore[method-assign, assignment]
    bench.put("k1", "payments is failing")
    worker = bench.worker()
    with pytest.raises(ConnectionError):
        await worker.run()
    bench.outbox.claim = claim  # type: ignore[method-assign]
    async with bench.running(worker):
        await until(bench.all_sent)

    assert bench.texts() == ["payments is failing"]


async def test_the_number_of_problems_kept_is_bounded(bench: Bench) -> None:
    for number in range(150):
        bench.put(f"k{number}", "lost", f"nowhere{number}")
    async with bench.running(slow_retry=60.0) as worker:
        await until(lambda: len(bench.slack.called("chat.postMessage")) == 150)
        await until(lambda: len(worker.problems) == 100)


async def test_a_message_too_long_in_every_way_arrives_shortened(bench: Bench) -> None:
    blocks = tuple(message("x" * 5_000).blocks[0] for _ in range(60))
    bench.outbox.put("k1", "incidents", Message("y" * 50_000, blocks), bench.clock())
    async with bench.running():
        await until(bench.all_sent)
    [post] = bench.slack.messages("incidents")

    assert len(post.text) == 4_000
    assert "more" in str(post.blocks[-1])


async def test_what_is_not_urgent_goes_to_no_other_channel(bench: Bench) -> None:
    bench.slack.workspace.channel("incidents").archived = True
    bench.put("digest:1:2026-11-24", "nothing changed")
    bench.put("incident:1:root", "payments is failing", "nowhere")
    async with bench.running(fallback_channel="#ops", urgent=("incident:",)) as worker:
        await until(lambda: bench.texts("ops"))
        await until(lambda: worker.problems.get("incidents") == "is_archived")

    assert [text.splitlines()[-1] for text in bench.texts("ops")] == ["payments is failing"]


async def test_a_message_that_moves_calls_nobody_a_second_time(bench: Bench) -> None:
    bench.put("root", "payments is failing, for <!subteam^S0PAY1234|@pay>")
    async with bench.running(fallback_channel="ops") as worker:
        await until(bench.all_sent)
        called = list(bench.slack.workspace.mentions)
        bench.slack.workspace.channel("incidents").archived = True
        bench.put("root", "payments still fails, for <!subteam^S0PAY1234|@pay>")
        worker.wake()
        await until(lambda: bench.texts("ops"))

    assert len(called) > 0
    assert bench.slack.workspace.mentions == called
    assert "@pay" in bench.texts("ops")[0]
