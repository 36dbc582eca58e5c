"""What people said about names, on both databases: in order, word by word, and no more than fits."""

from __future__ import annotations

import pytest

from bot.storage import word_log
from bot.storage.alias_store import APART, FORGOTTEN, SAME, AliasStore, AliasWord
from bot.storage.database import Database


async def test_every_word_is_kept_in_the_order_it_was_said(database: Database) -> None:
    store = AliasStore(database)
    said = [AliasWord(9.5, SAME, "a", "payménts", "ada (U1)"), AliasWord(3.0, APART, "a", "b", "böb"),
            AliasWord(4.0, FORGOTTEN, "a", "", "")]  # fmt: skip
    for word in (*said, said[0]):
        assert await store.add(word)

    assert await store.words() == [*said, said[0]]


async def test_too_many_words_are_not_kept(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_log, "MAX_WORDS", 2)
    store = AliasStore(database)
    assert [await store.add(AliasWord(1.0, SAME, str(one), "b", "")) for one in range(3)] == [True, True, False]
    assert len(await store.words()) == 2
