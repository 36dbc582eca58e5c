"""Other names of services: what people say stands until they say otherwise, and never against the catalogue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.alias_book import AliasBook, objection, settled
from bot.catalog.entries import Catalog, CatalogEntry
from bot.errors import BadRequest, NotFound
from bot.storage.alias_store import APART, FORGOTTEN, SAME, AliasStore, AliasWord
from bot.storage.database import Database
from tests.kit.maps import NOW, MapMaker

WORDS = st.builds(
    AliasWord,
    st.just(1.0),
    st.sampled_from((SAME, APART, FORGOTTEN)),
    st.sampled_from("abc"),
    st.sampled_from("xyz"),
    st.just(""),
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[AliasStore]:
    database = Database(f"sqlite:///{tmp_path}/bot.db")
    await database.upgrade()
    yield AliasStore(database)
    await database.close()


def said(*words: tuple[str, str, str]) -> list[AliasWord]:
    return [AliasWord(NOW, verdict, alias, service, "ada") for verdict, alias, service in words]


def test_the_last_word_about_a_name_stands() -> None:
    found = settled(said((SAME, "a", "x"), (SAME, "a", "y"), (APART, "b", "x"), (SAME, "b", "x"), (APART, "c", "z")))

    assert found.aliases == {"a": "y", "b": "x"}
    assert found.apart == {("c", "z")}


def test_what_is_taken_back_is_as_if_it_had_never_been_said() -> None:
    assert settled(said((SAME, "a", "x"), (APART, "b", "x"), (FORGOTTEN, "a", "x"), (FORGOTTEN, "b", ""))) == settled(
        []
    )


def test_that_a_name_is_not_one_service_leaves_it_anothers() -> None:
    assert settled(said((SAME, "a", "x"), (APART, "a", "y"))).aliases == {"a": "x"}
    assert settled(said((SAME, "a", "x"), (APART, "a", "x"))).aliases == {}


@given(st.lists(WORDS, max_size=30))
def test_no_pair_is_ever_the_same_and_apart(words: list[AliasWord]) -> None:
    found = settled(words)
    assert not found.apart & set(found.aliases.items())


@pytest.mark.parametrize(
    ("alias", "why"),
    [
        ("", "no name"),
        ("x" * 201, "no name"),
        ("(unattributed)", "no name"),
        ("payments", "its own name"),
        ("catalogued", "The catalogue says that catalogued is ledger"),
        ("middle", "leaf leads to middle"),
        ("free", ""),
    ],
)
def test_a_name_is_not_given_to_a_service_where_something_speaks_against_it(alias: str, why: str) -> None:
    found = objection(alias, "payments", {"catalogued": "ledger"}, {"leaf": "middle"})
    assert why in found if why else found == ""


async def test_a_confirmed_name_finds_its_service_at_once_after_a_restart_and_until_it_is_taken_back(
    store: AliasStore,
) -> None:
    made = MapMaker("web>payments")
    book = AliasBook(made.view, store)
    await book.load()
    assert "for alerts and questions" in await book.same("Pay-Svc-Prod", "payments", "ada (U1)", NOW)
    assert made.graph.names.resolve("pay-svc-prod") == "payments"

    again = MapMaker("web>payments")
    reborn = AliasBook(again.view, store)
    await reborn.load()
    assert again.graph.names.resolve("pay-svc-prod") == "payments"
    assert [(one["alias"], one["service"], one["by"]) for one in reborn.listed()] == [
        ("pay-svc-prod", "payments", "ada (U1)")
    ]

    assert await reborn.forget("pay-svc-prod", "bob", NOW + 1) == "pay-svc-prod is no longer payments."
    with pytest.raises(NotFound):
        again.graph.names.resolve("pay-svc-prod")
    with pytest.raises(BadRequest, match="Nobody has said here"):
        await reborn.forget("pay-svc-prod", "bob", NOW + 2)
    assert [word.verdict for word in await store.words()] == [SAME, FORGOTTEN]


async def test_the_catalogue_goes_before_what_people_said_and_a_new_reading_of_it_keeps_their_words(
    store: AliasStore,
) -> None:
    made = MapMaker("web>payments", "web>ledger")
    book = AliasBook(made.view, store)
    for name in "ab":
        await book.same(name, "payments", "ada", NOW)

    made.view.learn(Catalog({"ledger": CatalogEntry()}, {"b": "ledger"}))
    assert [made.graph.names.resolve(one) for one in "ab"] == ["payments", "ledger"]
    with pytest.raises(BadRequest, match="The catalogue says that b is ledger"):
        await book.same("b", "payments", "ada", NOW)


async def test_a_name_that_is_on_the_map_itself_is_told_when_its_calls_follow(store: AliasStore) -> None:
    made = MapMaker("web>pay", "web>payments")
    assert "when the bot starts next" in await AliasBook(made.view, store).same("pay", "payments", "ada", NOW)
