"""What people said about names, word by word: added to, never changed, so that who said what when stays known."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Table

from bot.storage.database import Database
from bot.storage.tables import AliasWordRow
from bot.storage.word_log import WordLog

SAME, APART, FORGOTTEN = "same", "apart", "forgotten"

_words: Table = AliasWordRow.__table__  # type: ignore[attr-defined]


class AliasWord(NamedTuple):
    """`verdict`: `same` (the alias is this service's other name), `apart` (it is not), `forgotten` (nothing is said of it any
    more). `at` in epoch seconds; `who` as a person would write it."""

    at: float
    verdict: str
    alias: str
    service: str
    who: str


class AliasStore(WordLog[AliasWord]):
    """Reads and writes one database."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, _words, AliasWord)
