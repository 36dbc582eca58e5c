"""Laying pictures out: real Graphviz in a process of its own, and what happens when that is missing, slow or dead."""

from __future__ import annotations

import asyncio
import os
import struct
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree as Tree

import pytest

from bot import metrics
from bot.errors import PictureError
from bot.picture import layout, layout_worker, painter
from bot.picture.dot import dot
from bot.picture.layout import Layout
from bot.picture.painter import Format, Painter
from bot.picture.words import alt
from tests.kit.maps import MapMaker
from tests.picture.focuses import around, trouble

_READY = r"import struct, sys, time, os; out = sys.stdout.buffer; out.write(struct.pack('!?I', True, 0)); out.flush()"


@pytest.fixture
async def paints() -> AsyncIterator[Painter]:
    async with Painter(1, 20) as made:
        yield made


def counted(form: Format, outcome: str) -> float:
    return (
        metrics.REGISTRY.get_sample_value("topology_bot_pictures_total", {"format": form.value, "outcome": outcome})
        or 0.0
    )


def command(then: str, ready: str = _READY) -> tuple[str, ...]:
    """A stand-in for the layout program that says it is ready, and then does otherwise."""
    return sys.executable, "-c", f"{ready}; {then}"


async def test_a_png_is_a_picture_of_a_readable_size(paints: Painter) -> None:
    body = await paints.paint(trouble(), Format.PNG)

    assert body.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack("!II", body[16:24])
    assert 600 < width < 2_400
    assert 200 < height < 2_400


async def test_an_svg_says_the_same_in_words_and_has_full_names_as_tooltips(paints: Painter) -> None:
    focus = trouble()

    root = Tree.fromstring(await paints.paint(focus, Format.SVG))

    space = "{http://www.w3.org/2000/svg}"
    assert root.get("role") == "img"
    assert root.findtext(f"{space}desc") == alt(focus)
    tips = {
        title.text
        for node in root.iter(f"{space}g")
        if node.get("class") == "node"
        for title in node.iter(f"{space}title")
    }
    assert tips == {spot.id for spot in focus.spots}
    assert root.find(f".//{space}polygon").get("fill") == "#ffffff"  # type: ignore[union-attr]


async def test_the_same_picture_is_laid_out_once_however_many_ask(paints: Painter) -> None:
    before = metrics.REGISTRY.get_sample_value("topology_bot_picture_seconds_count", {"format": "png"}) or 0.0

    bodies = await asyncio.gather(*(paints.paint(trouble(), Format.PNG) for _ in range(5)))
    bodies.append(await paints.paint(trouble(), Format.PNG))

    assert len(set(bodies)) == 1
    assert metrics.REGISTRY.get_sample_value("topology_bot_picture_seconds_count", {"format": "png"}) == before + 1
    assert counted(Format.PNG, "kept") >= 1


async def test_pictures_are_kept_for_a_while_and_within_bounds(
    paints: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(painter, "_KEPT", 2)
    for name in ("a", "b", "c"):
        await paints.paint(around(MapMaker(f"{name}>hub"), "hub"), Format.SVG)
    assert len(paints._kept) == 2

    monkeypatch.setattr(painter, "_KEPT_SECONDS", -1.0)
    kept = counted(Format.SVG, "kept")
    await paints.paint(around(MapMaker("c>hub"), "hub"), Format.SVG)
    assert counted(Format.SVG, "kept") == kept


async def test_the_event_loop_goes_on_while_a_picture_is_laid_out(paints: Painter) -> None:
    pairs = [f"c{number}>s{number % 9}" for number in range(18)] + [f"s{number}>hub" for number in range(9)]
    late = 0.0

    async def watch() -> None:
        nonlocal late
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            late = max(late, time.perf_counter() - began)

    await paints.paint(trouble(), Format.SVG)
    focus = around(MapMaker(*pairs), "hub")
    watching = asyncio.create_task(watch())
    began = time.perf_counter()
    await paints.paint(focus, Format.PNG)
    took = time.perf_counter() - began
    watching.cancel()

    assert late < max(0.1, took / 2)


async def test_a_crash_costs_one_picture_and_the_next_is_drawn() -> None:
    async with Painter(1, 20) as paints:
        await paints.paint(trouble(), Format.SVG)
        process = paints._layouts[0]._process
        assert process is not None
        paints._layouts[0]._command = command("sys.stdin.buffer.read(9); os.abort()")
        await paints._layouts[0].close()
        before = counted(Format.PNG, "crashed")

        with pytest.raises(PictureError, match="SIGABRT") as caught:
            await paints.paint(trouble(), Format.PNG)

        assert caught.value.reason == "crashed"
        assert counted(Format.PNG, "crashed") == before + 1
        paints._layouts[0]._command = layout._WORKER
        assert (await paints.paint(trouble(), Format.PNG)).startswith(b"\x89PNG")


async def test_a_layout_that_takes_too_long_is_ended() -> None:
    slow = Layout(0.2, command("time.sleep(60)"))

    with pytest.raises(PictureError, match=r"within 0\.2 s") as caught:
        await slow.draw(b"digraph {}", "svg")

    assert caught.value.reason == "timed out"
    assert slow._process is None


@pytest.mark.parametrize(
    ("worker", "says"),
    [
        (("/nonexistent/layout",), "cannot be started"),
        (
            command("0", r"import struct, sys; sys.stdout.buffer.write(struct.pack('!?I', False, 9) + b'no fonts!')"),
            "no fonts!",
        ),
    ],
)
async def test_without_the_layout_program_svg_and_png_say_why_and_dot_and_mermaid_are_drawn(
    worker: tuple[str, ...], says: str
) -> None:
    async with Painter(1, 20) as paints:
        paints._layouts[0]._command = worker
        for form in (Format.SVG, Format.PNG):
            with pytest.raises(PictureError, match=says) as caught:
                await paints.paint(trouble(), form)
            assert caught.value.reason == "absent"

        assert await paints.paint(trouble(), Format.DOT) == dot(trouble()).encode()
        assert (await paints.paint(trouble(), Format.MERMAID)).startswith(b"flowchart LR\n")


def test_a_machine_without_fonts_is_told_which_package_has_one(tmp_path: Path) -> None:
    assert (
        layout_worker.why_not((str(tmp_path), "/nonexistent"))
        == "no font is installed: apt-get install fonts-dejavu-core"
    )
    (tmp_path / "truetype").mkdir()
    (tmp_path / "truetype" / "Any.ttf").touch()
    assert layout_worker.why_not((str(tmp_path),)) == ""


async def test_what_graphviz_refuses_is_an_error_with_its_words_and_the_process_goes_on() -> None:
    real = Layout(20)
    with pytest.raises(PictureError) as caught:
        await real.draw(b"digraph {{{", "svg")
    first = real._process

    assert caught.value.reason == "refused"
    assert b"</svg>" in await real.draw(b"digraph { a -> b }", "svg")
    assert real._process is first
    await real.close()


async def test_a_picture_out_of_all_proportion_is_refused() -> None:
    for huge in (
        Layout(20),
        Layout(20, command("out.write(struct.pack('!?I', True, 2**31)); out.flush(); time.sleep(60)")),
    ):
        with pytest.raises(PictureError) as caught:
            await huge.draw(b" " * (layout.MAX_DOT + 1) if huge._command == layout._WORKER else b"digraph {}", "svg")
        assert caught.value.reason == "too big"
        await huge.close()


async def test_too_many_who_wait_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painter, "_WAITING", 2)
    async with Painter(1, 20) as paints:
        asked = [around(MapMaker(f"c{number}>hub"), "hub") for number in range(5)]
        results = await asyncio.gather(*(paints.paint(one, Format.SVG) for one in asked), return_exceptions=True)

    refused = [one for one in results if isinstance(one, PictureError)]
    assert {one.reason for one in refused} == {"busy"}
    assert len(refused) == 2


async def test_whoever_goes_away_takes_nothing_from_the_others(paints: Painter) -> None:
    impatient = asyncio.create_task(paints.paint(trouble(), Format.PNG))
    patient = asyncio.create_task(paints.paint(trouble(), Format.PNG))
    await asyncio.sleep(0.01)
    impatient.cancel()

    assert (await patient).startswith(b"\x89PNG")
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_an_idle_process_ends_and_a_long_lived_one_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    idle = Layout(20, idle=0.05)
    await idle.draw(b"digraph { a }", "svg")
    process = idle._process
    assert process is not None
    idle._end()
    assert b"</svg>" in await idle.draw(b"digraph { a }", "svg")  # while it is about to end, another takes its place
    assert idle._process is not process
    process = idle._process
    assert process is not None
    assert await asyncio.wait_for(process.wait(), 10) == 0
    assert b"</svg>" in await idle.draw(b"digraph { a }", "svg")
    await idle.close()

    monkeypatch.setattr(layout, "MAX_DRAWN", 1)
    busy = Layout(20)
    await busy.draw(b"digraph { a }", "svg")
    assert busy._process is None


async def test_the_layout_process_gets_no_secret_of_the_bots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-secret")
    tell = "body = repr(dict(os.environ)).encode(); out.write(struct.pack('!?I', True, len(body)) + body); out.flush()"
    telling = Layout(20, command(f"{tell}; time.sleep(9)"))

    told = await telling.draw(b"digraph {}", "svg")
    await telling.close()

    assert b"xoxb" not in told
    assert os.environ["PATH"].encode() in told
