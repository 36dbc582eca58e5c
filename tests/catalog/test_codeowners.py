"""CODEOWNERS by the rules of GitHub and GitLab."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from bot.catalog import codeowners
from bot.catalog.codeowners import Rules
from bot.catalog.facts import Format, Notes


def rules(text: str, *, gitlab: bool = False) -> tuple[Rules, tuple[str, ...]]:
    notes = Notes(Format.CODEOWNERS, "CODEOWNERS", "CODEOWNERS")
    return codeowners.read(text.encode(), notes, gitlab=gitlab), notes.reading().problems


def owners(text: str, path: str, *, gitlab: bool = False) -> str:
    found, problems = rules(text, gitlab=gitlab)
    assert problems == ()
    return " ".join(found.owners(path)[0])


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("*", "a a/b a/b/c.py", ""),
        ("*.js", "a.js x/a.js", "a.jsx a.py"),
        ("/build/logs/", "build/logs/a build/logs/x/a", "x/build/logs/a build/logs build/other"),
        ("docs/*", "docs/a.md", "docs/build/a.md x/docs/a.md"),
        ("apps/", "apps/a x/apps/a x/apps/y/a", "apps myapps/a"),
        ("/docs/", "docs/a", "x/docs/a"),
        ("/scripts", "scripts scripts/a", "x/scripts scripts2"),
        ("**/logs", "logs/a build/logs/a deep/ly/logs/a", "logs2/a"),
        ("/apps/**", "apps/a apps/x/a", "apps other/a"),
        ("a/**/b", "a/b a/x/b a/x/y/b/c", "x/a/b ab"),
        ("/a?c", "abc abc/x", "ac a/c"),
        ("/a*b*c", "abc axbxc", "ab axc a/b/c"),
        ("/with\\ blank", "with\x00blank", "with"),
        ("/.github/workflows/", ".github/workflows/x", "xgithub/workflows/x"),
    ],
)
def test_githubs_patterns_mean_what_githubs_examples_say(pattern: str, matching: str, other: str) -> None:
    for path in matching.split():
        assert owners(f"{pattern} @shop/team", path.replace("\x00", " ")) == "@shop/team", path
    for path in other.split():
        assert owners(f"{pattern} @shop/team", path) == "", path


def test_the_last_match_wins_and_a_match_without_owners_owns_nothing() -> None:
    text = "# all\n* @shop/all\n/pay/ @shop/pay @ada # their own\n/pay/generated/\n"

    assert owners(text, "cart/a") == "@shop/all"
    assert owners(text, "pay/a") == "@shop/pay @ada"
    assert owners(text, "pay/generated/a") == ""


def test_gitlab_adds_up_its_sections_and_gives_them_owners_by_default() -> None:
    text = """
    * @all
    [Backend][2] @backend
    /pay/
    /cart/ @cart
    ^[Docs]
    *.md docs@shop.example
    !/pay/skip.md
    """

    assert owners(text, "pay/a") == "@all @backend"
    assert owners(text, "cart/readme.md") == "@all @cart docs@shop.example"
    assert owners(text, "pay/skip.md") == "@all @backend"


def test_gitlab_finds_a_path_without_a_leading_slash_anywhere() -> None:
    assert owners("pay/api @pay", "x/pay/api/a", gitlab=True) == "@pay"
    assert owners("pay/api @pay", "x/pay/api/a") == ""


def test_a_service_is_known_by_its_catalogue_file_or_by_its_folder() -> None:
    found, _ = rules("* @shop/all\n/services/pay/ @ada @shop/pay\nteams/*/ @shop/x\n/apps/Web/** ops@shop.example\n")
    facts = codeowners.facts(found, [("ledger", "money/ledger/catalog-info.yaml"), ("pay", "other/catalog-info.yaml")])

    assert [(one.id, one.team, one.email, one.where("team")) for one in facts] == [
        ("ledger", "@shop/all", "", "CODEOWNERS:1"),
        ("pay", "@shop/all", "", "CODEOWNERS:1"),
        ("web", "ops@shop.example", "ops@shop.example", "CODEOWNERS:4"),
    ]


def test_of_several_owners_a_team_is_the_owner() -> None:
    found, _ = rules("/services/pay/ ada@shop.example @ada @shop/pay\n")

    assert codeowners.facts(found, [])[0].team == "@shop/pay"


@pytest.mark.parametrize(
    ("path", "root"),
    [
        ("shop/CODEOWNERS", "shop"),
        ("shop/.github/CODEOWNERS", "shop"),
        ("shop/.gitlab/CODEOWNERS", "shop"),
        ("shop/docs/CODEOWNERS", "shop"),
    ],
)
def test_the_root_is_the_repositorys(path: str, root: str) -> None:
    assert codeowners.root(PurePosixPath(path)) == PurePosixPath(root)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("!/pay @a", "CODEOWNERS:2: '!/pay' uses `!` or `[ ]`, which GitHub does not read; write the paths out"),
        ("/p[ab]y @a", "CODEOWNERS:2: '/p[ab]y' uses `!` or `[ ]`, which GitHub does not read; write the paths out"),
        ("a/**/b/**/c/**/d/**/e/**/f @a", "has more than 4 `**`; write a shorter pattern"),
        ("/" + "x" * 400 + " @a", "is longer than 300"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_and_the_rest_is(line: str, problem: str) -> None:
    found, problems = rules(f"* @all\n{line}\n/cart @cart\n")

    assert len(problems) == 1
    assert problem in problems[0]
    assert [rule.line for rule in found.rules] == [1, 3]


def test_only_so_many_rules_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codeowners, "MAX_RULES", 2)
    found, problems = rules("/a @a\n/b @b\n/c @c\n/d @d\n")

    assert len(found.rules) == 2
    assert problems == ("CODEOWNERS:3: only the first 2 rules are used",)


def test_a_pattern_made_to_be_slow_is_not() -> None:
    """Backtracking through this would take longer than anybody waits."""
    assert owners("/" + "a*" * 100 + "b @x", "a" * 5_000) == ""
