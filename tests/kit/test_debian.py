"""What a test hears about a program that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit import debian

REQUIRED = [
    (debian.require_prometheus, "prometheus"),
    (debian.require_alertmanager, "prometheus-alertmanager"),
    (debian.require_chromium, "chromium"),
    (debian.require_postgresql, "postgresql"),
]


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(debian, "POSTGRESQL", tmp_path / "postgresql")
    monkeypatch.delenv(debian.INSIST, raising=False)


@pytest.mark.usefixtures("bare_machine")
@pytest.mark.parametrize(("require", "package"), REQUIRED, ids=lambda value: value if isinstance(value, str) else "")
def test_a_missing_program_skips_the_test_and_names_the_package(require: object, package: str) -> None:
    assert callable(require)
    with pytest.raises(pytest.skip.Exception, match=f"apt-get install {package}$"):
        require()


@pytest.mark.usefixtures("bare_machine")
@pytest.mark.parametrize(("require", "package"), REQUIRED, ids=lambda value: value if isinstance(value, str) else "")
def test_where_nothing_may_be_missing_it_fails_the_test(
    require: object, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(debian.INSIST, "1")
    assert callable(require)

    with pytest.raises(pytest.fail.Exception, match=f"apt-get install {package}$"):
        require()


def test_of_several_postgresql_versions_the_newest_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("9", "15", "17", "common"):
        (tmp_path / version / "bin").mkdir(parents=True)
        (tmp_path / version / "bin" / "initdb").touch()
    monkeypatch.setattr(debian, "POSTGRESQL", tmp_path)

    assert debian.require_postgresql() == tmp_path / "17" / "bin"
