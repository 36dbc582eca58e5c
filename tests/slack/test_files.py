"""What messages enclose gets to Slack: drawn, uploaded, shown; and whatever goes wrong costs the picture alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp
import pytest

from bot.errors import PictureError, RetryableDeliveryError
from bot.model import Message
from bot.slack.client import SlackSink, web_client
from bot.slack.enclosures import Enclosure
from bot.slack.files import REST_SECONDS, Files
from tests.kit.fake_slack import TOKEN, FakeSlack

PNG = b"\x89PNG\r\n\x1a\n picture"
PICTURE = Enclosure(
    "payments.png", "payments is failing", "payments is failing. Hit now: <checkout>.", dot="digraph {}"
)
LIST = Enclosure("incident-1.txt", "All 40 alerts <!channel>", "not uploaded", content="payments\t3 firing\n")


@dataclass(slots=True)
class Scene:
    """A sink that uploads to a fake Slack; what the layout does and what the clock says can be set."""

    slack: FakeSlack
    files: Files
    sink: SlackSink
    now: float = 0.0
    drawn: int = 0
    draws: Callable[[str], Awaitable[bytes]] | None = None

    async def draw(self, dot: str) -> bytes:
        self.drawn += 1
        return PNG if self.draws is None else await self.draws(dot)

    async def post(self, *enclosed: Enclosure, key: str = "k") -> list[dict[str, object]]:
        """Post one message that encloses these; its blocks as Slack has them."""
        message = Message("words", tuple(one.block() for one in enclosed))
        await self.sink.post(key=key, channel="incidents", message=message, thread_ts=None)
        return self.slack.messages("incidents")[-1].blocks


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with FakeSlack() as slack, aiohttp.ClientSession() as session:
        client = web_client(TOKEN, slack.url, session)
        made: list[Scene] = []
        files = Files(client, lambda dot: made[0].draw(dot), lambda: made[0].now)
        made.append(Scene(slack, files, SlackSink(client, attach=files.attach)))
        yield made[0]


def words_of(block: dict[str, object]) -> str:
    assert block["type"] == "context"
    elements = block["elements"]
    assert isinstance(elements, list)
    return str(elements[0]["text"])


async def test_a_picture_is_uploaded_and_shown_with_its_words(scene: Scene) -> None:
    (block,) = await scene.post(PICTURE)
    file = scene.slack.workspace.files.all["F000000001"]
    assert (file.body, file.alt, file.name) == (PNG, PICTURE.alt, "payments.png")
    assert block["slack_file"] == {"id": file.id}
    assert block["alt_text"] == PICTURE.alt
    assert scene.files.state() == {"problem": ""}


async def test_a_file_is_uploaded_and_linked_and_its_title_mentions_nobody(scene: Scene) -> None:
    (block,) = await scene.post(LIST)
    file = scene.slack.workspace.files.all["F000000001"]
    assert file.body == b"payments\t3 firing\n"
    assert words_of(block) == f"📎 <{file.permalink}|All 40 alerts &lt;!channel&gt;>"
    assert scene.slack.workspace.mentions == []


async def test_an_edit_shows_another_picture(scene: Scene) -> None:
    await scene.post(PICTURE)
    post = scene.slack.messages("incidents")[0]
    channel = scene.slack.workspace.channel("incidents").id
    await scene.sink.update(channel_id=channel, ts=post.ts, message=Message("words", (PICTURE.block(),)))
    assert post.blocks[0]["slack_file"] == {"id": "F000000002"}


async def test_a_picture_slack_has_not_looked_through_yet_is_waited_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.client._UNREADY_SECONDS", (0.01, 0.01, 0.0))
    scene.slack.workspace.files.slow = 2
    (block,) = await scene.post(PICTURE)
    assert block["slack_file"] == {"id": "F000000001"}
    assert len(scene.slack.called("chat.postMessage")) == 3


async def test_a_picture_slack_never_takes_is_told_in_words_and_posted_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.client._UNREADY_SECONDS", (0.01, 0.01, 0.0))
    scene.slack.workspace.files.slow = 99
    (block,) = await scene.post(PICTURE)
    assert words_of(block) == "payments is failing. Hit now: &lt;checkout&gt;."
    assert len(scene.slack.messages("incidents")) == 1


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("files.getUploadURLExternal", "http_500"), ("files.getUploadURLExternal", "missing_scope"),
        ("files.getUploadURLExternal", "drop"), ("files.getUploadURLExternal", "ratelimited"), ("upload", "http_500"),
        ("files.completeUploadExternal", "fatal_error"), ("files.completeUploadExternal", "drop"),
    ],
)  # fmt: skip
async def test_an_upload_that_fails_costs_the_picture_alone_and_is_not_tried_for_a_while(
    scene: Scene, method: str, kind: str
) -> None:
    scene.slack.fail_next(method, kind)
    (block,) = await scene.post(PICTURE)
    assert words_of(block).startswith("payments is failing")
    assert "cannot be uploaded" in scene.files.state()["problem"]

    tried = len(scene.slack.calls)
    await scene.post(PICTURE, key="second")
    assert [call.method for call in list(scene.slack.calls)[tried:]] == ["chat.postMessage"]

    scene.now = REST_SECONDS + 1
    (block,) = await scene.post(PICTURE, key="third")
    assert "slack_file" in block
    assert scene.files.state() == {"problem": ""}


async def test_a_picture_that_cannot_be_laid_out_is_told_in_words_and_the_next_is_tried(scene: Scene) -> None:
    async def crash(dot: str) -> bytes:
        raise PictureError("crashed", "the layout crashed")

    scene.draws = crash
    (block,) = await scene.post(PICTURE)
    assert words_of(block).startswith("payments is failing")
    scene.draws = None
    (block,) = await scene.post(PICTURE, key="second")
    assert "slack_file" in block


async def test_a_sink_without_uploads_tells_in_words(scene: Scene) -> None:
    scene.sink = SlackSink(scene.sink._web)
    (block,) = await scene.post(PICTURE)
    assert words_of(block).startswith("payments is failing")


async def test_a_refused_message_with_a_picture_is_not_sent_again_by_the_sink(scene: Scene) -> None:
    scene.slack.fail_next("chat.postMessage", "ratelimited")
    with pytest.raises(RetryableDeliveryError):
        await scene.post(PICTURE)
    assert len(scene.slack.called("chat.postMessage")) == 1
