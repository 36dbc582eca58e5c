"""A body is taken once, and one that could not be kept is taken when it comes again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import pytest

from bot.intake import Intake
from bot.model import Layer, LayerDelta, Node


class Lines:
    """A body's lines, as a batch."""

    def __init__(self, body: bytes) -> None:
        self.accepted = len(body.splitlines())
        self.rejected = 0
        self.nodes: Mapping[str, Node] = {}


class Idle:
    """A pipeline that learns nothing."""

    layer = Layer.TRACE

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()

    def collect(self, now: float) -> LayerDelta:
        return LayerDelta(Layer.TRACE)

    flush = collect


@pytest.fixture
def intake() -> Iterator[Intake]:
    made = Intake([Idle()], {}, lambda: "")
    yield made
    made.close()


async def test_a_body_that_comes_again_is_kept_once(intake: Intake) -> None:
    kept: list[int] = []
    for _ in range(3):
        await intake.take(
            "lines", Layer.TRACE, b"a\nb", lambda body, now: Lines(body), lambda batch, now: kept.append(batch.accepted)
        )

    assert kept == [2]
    assert intake.drops()["trace layer", "duplicate batch"] == 2


async def test_a_body_that_could_not_be_kept_is_kept_when_it_comes_again(intake: Intake) -> None:
    kept: list[int] = []

    def keep(batch: Lines, now: float) -> None:
        if not kept:
            kept.append(0)
            raise MemoryError
        kept.append(batch.accepted)

    with pytest.raises(MemoryError):
        await intake.take("lines", Layer.TRACE, b"a\nb", lambda body, now: Lines(body), keep)
    await intake.take("lines", Layer.TRACE, b"a\nb", lambda body, now: Lines(body), keep)

    assert kept == [0, 2]
    assert intake.drops()["trace layer", "duplicate batch"] == 0
