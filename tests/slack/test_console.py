"""What a terminal shows where there is no Slack token."""

from __future__ import annotations

import pytest

from bot.model import Message
from bot.slack.console import ConsoleSink, plain


@pytest.mark.parametrize(
    ("mrkdwn", "shown"),
    [
        ("*payments* is failing", "payments is failing"),
        ("_HighErrorRate_: 5xx &gt; 10% &amp; rising", "HighErrorRate: 5xx > 10% & rising"),
        ("<https://runbooks.example/x|Runbook>", "Runbook (https://runbooks.example/x)"),
        ("since <!date^1795400000^{time}|02:13 UTC>", "since 02:13 UTC"),
        ("svc_with_marks and 2*3*4 stay", "svc_with_marks and 2*3*4 stay"),
    ],
)
def test_markup_is_spelt_out(mrkdwn: str, shown: str) -> None:
    assert plain(mrkdwn) == shown


async def test_posts_and_edits_are_printed() -> None:
    printed: list[str] = []
    sink = ConsoleSink(printed.append)
    posted = await sink.post(key="k", channel="#incidents", message=Message("*a*", ()), thread_ts=None)
    await sink.update(channel_id=posted.channel_id, ts=posted.ts, message=Message("b", ()))

    assert printed == ["── #incidents ──\na", "── #incidents (edited) ──\nb"]
    assert await sink.find(key="k", channel="#incidents", thread_ts=None, since=0.0) is None
    assert "SLACK_BOT_TOKEN" in await sink.check()
