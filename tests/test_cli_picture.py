"""`topology-bot show SERVICE --picture FILE`, from a running bot and from the database."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.kit.bots import bot, until
from tests.kit.spans import PROTOBUF, calls
from tests.test_cli import learnt, run

__all__ = ["learnt"]


@pytest.mark.parametrize(
    ("ending", "begins"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("dot", b"digraph"), ("mmd", b"flowchart")]
)
def test_the_files_ending_says_the_format(learnt: Path, ending: str, begins: bytes) -> None:
    file = learnt / f"out.{ending}"

    done = run("show", "cart", "--picture", str(file), folder=learnt)

    assert done.returncode == 0, done.stderr
    assert file.read_bytes().startswith(begins)
    assert "Map around cart" in done.stdout


async def test_a_running_bot_is_asked_for_the_picture(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, session):
        async with session.post("/v1/traces", data=calls([("web", "cart"), ("cart", "ledger")]), headers=PROTOBUF):
            pass

        async def known() -> bool:
            return running.view.graph.edge_count == 2

        await until(known, "the map did not learn the pairs")
        file = tmp_path / "out.mmd"
        words = ("show", "cart", "--picture", str(file), "--depth", "1", "--json", "--url", running.url)
        done = await asyncio.to_thread(run, *words)
        unknown = await asyncio.to_thread(run, "show", "nobody", "--picture", str(file), "--url", running.url)

    assert json.loads(done.stdout) == {"file": str(file), "format": "mmd", "bytes": file.stat().st_size, "alt": None}
    assert b'"ledger"' in file.read_bytes()
    assert unknown.returncode == 1
    assert "nobody" in unknown.stdout


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("show", "cart", "--picture", "out.gif"), 2, ".svg, .png, .dot, .mmd"),
        (("show", "cart", "--picture", "/nonexistent/out.dot"), 2, "cannot write"),
        (("show", "cart", "--depth", "2"), 2, "--picture FILE"),
        (("show", "cart", "--picture", "out.dot", "--depth", "x"), 1, "depth"),
        (("show", "nobody", "--picture", "out.dot"), 1, "nobody"),
    ],
)
def test_what_cannot_be_drawn_is_told(learnt: Path, words: tuple[str, ...], code: int, says: str) -> None:
    done = run(*words, folder=learnt)

    assert done.returncode == code
    assert says in done.stdout + done.stderr
