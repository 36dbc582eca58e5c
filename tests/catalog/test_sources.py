"""The catalogue read again and again, while files break and hosts fall silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot import metrics
from bot.catalog.facts import Format, Reading
from bot.catalog.fetch import SourceError
from bot.catalog.sources import Sources
from tests.catalog.readings import fact


class Host:
    """A source over HTTP that says, or fails, what a test puts there."""

    source = "backstage.test"

    def __init__(self, *says: Reading | str) -> None:
        self.says = list(says)
        self.closed = False

    def read(self) -> Reading:
        said = self.says.pop(0)
        if isinstance(said, str):
            raise SourceError(said)
        return said

    def close(self) -> None:
        self.closed = True


def saying(tier: str) -> Reading:
    return Reading((fact("pay", Format.BACKSTAGE, "backstage.test", tier=tier),))


def test_files_and_hosts_are_one_catalogue_with_the_time_of_each(tmp_path: Path) -> None:
    file = tmp_path / "services.yaml"
    file.write_text("services: [{id: pay, team: Payments}]")
    sources = Sources([file], [Host(saying("1"), saying("2"))])
    first, second = sources.read(100.0), sources.read(700.0)

    assert first.entries["pay"].sources == {"owner": "services.yaml", "tier": "backstage.test"}
    assert first.read_at == {"services.yaml": 100.0, "backstage.test": 100.0}
    assert (first.entries["pay"].tier, second.entries["pay"].tier) == ("1", "2")
    assert second.read_at == {"services.yaml": 700.0, "backstage.test": 700.0}


def test_a_host_that_fails_keeps_what_it_said_and_the_problem_says_how_old_that_is() -> None:
    sources = Sources([], [Host(saying("1"), "answered 503", "answered 503", saying("2"))])
    sources.read(100.0)
    failures = metrics.CATALOG_FAILURES.labels("backstage.test")._value.get()
    failed = sources.read(700.0)

    assert failed.entries["pay"].tier == "1"
    assert failed.read_at == {"backstage.test": 100.0}
    assert failed.problems == ("backstage.test: answered 503; what it said 10 min ago is used",)
    assert metrics.CATALOG_FAILURES.labels("backstage.test")._value.get() == failures + 1
    assert sources.state() == {"files": 0, "last_read": 700.0, "backstage.test": "answered 503"}

    assert sources.read(1_300.0).problems == ("backstage.test: answered 503; what it said 20 min ago is used",)
    assert sources.read(1_900.0).problems == ()
    assert sources.state()["backstage.test"] == "fine"


def test_two_sources_on_one_host_fail_by_themselves() -> None:
    sources = Sources([], [Host(saying("1"), "answered 503"), Host(Reading(), Reading())])
    sources.read(100.0)
    found = sources.read(700.0)

    assert found.entries["pay"].tier == "1"
    assert found.read_at == {"backstage.test": 100.0}
    assert sources.state()["backstage.test"] == "answered 503"


def test_a_host_that_never_answered_says_nothing() -> None:
    found = Sources([], [Host("answered 503")]).read(100.0)

    assert (found.entries, found.problems) == ({}, ("backstage.test: answered 503",))


def test_hosts_are_asked_only_where_that_is_wanted() -> None:
    host = Host(saying("1"))
    sources = Sources([], [host])

    assert sources.read(1.0, remote=False).entries == {}
    assert host.says
    assert sources.state() == {"files": 0, "last_read": 1.0}
    sources.close()
    assert host.closed


@pytest.mark.parametrize("broken", ["services: [", "", "nothing", "services:"])
def test_a_file_that_breaks_keeps_what_it_said(tmp_path: Path, broken: str) -> None:
    file = tmp_path / "services.yaml"
    file.write_text("services: [{id: pay, tier: 1}]")
    sources = Sources([file])
    sources.read(100.0)
    file.write_text(broken)
    found = sources.read(700.0)

    assert found.entries["pay"].tier == "1"
    assert found.read_at == {"services.yaml": 100.0}
    assert [problem.startswith(str(file)) for problem in found.problems] == [True, True]
    assert found.problems[-1] == f"{file}: what it said 10 min ago is used"

    file.write_text("services: [{id: pay, tier: 2}]")
    mended = sources.read(1_300.0)
    assert (mended.entries["pay"].tier, mended.problems) == ("2", ())


def test_a_named_file_that_is_gone_keeps_what_it_said_and_one_in_a_directory_takes_it_along(tmp_path: Path) -> None:
    named, found = tmp_path / "named.yaml", tmp_path / "dir" / "services.yaml"
    found.parent.mkdir()
    named.write_text("services: [{id: a}]")
    found.write_text("services: [{id: b}]")
    sources = Sources([named, found.parent])
    assert set(sources.read(1.0).entries) == {"a", "b"}
    named.unlink()
    found.unlink()

    after = sources.read(2.0)
    assert set(after.entries) == {"a"}
    assert "No such file" in after.problems[0]


def test_the_catalogues_numbers_are_published(tmp_path: Path) -> None:
    (tmp_path / "services.yaml").write_text("services: [{id: a}, {id: b}, c]")
    Sources([tmp_path]).read(1.0)

    assert (metrics.CATALOG_SERVICES._value.get(), metrics.CATALOG_PROBLEMS._value.get()) == (2, 1)
    assert Sources([tmp_path]).configured
    assert not Sources([]).configured
