"""CODEOWNERS, by GitHub's rules or GitLab's: who answers for a path.

Comes in: the bytes of a file. Goes out: its rules, and from them facts about the services of its repository. What is lost:
lines that cannot be used, each named with its line; rules beyond `MAX_RULES`.

Of a service this file knows only where its files lie: beside a catalogue file that describes it, or in a directory of the
service's name under `services/`, `apps/` or `microservices/`. It says who reviews changes, not who is woken: ranked lowest.

Rules: docs.github.com "About code owners", docs.gitlab.com "Code Owners syntax". The last match wins; a match without owners
owns nothing. GitLab: so in each `[Section]`, whose owners are added up; a pattern without a leading slash matches anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from bot import names
from bot.catalog.facts import Facts, Format, Notes

MAX_RULES = 2_000
MAX_PATHS = 5_000
_MAX_PATTERN = 300
_MAX_STARS = 4  # each `**` multiplies how long a match may take
_SECTION = re.compile(r"\^?\[(?P<name>[^\]]+)\](?:\[\d+\])?(?P<owners>(?:\s.*)?)")
_SERVICE_FOLDER = re.compile(r"/?(?:.*/)?(?:services|apps|microservices)/(?P<name>[\w.-]+)(?:/|/\*\*?)?")


@dataclass(frozen=True, slots=True)
class Rule:
    """One line: which paths it is about, and whose they are."""

    section: str
    pattern: str
    owners: tuple[str, ...]
    line: int
    matches: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Rules:
    """One file's rules, in its order. `source` is what people are told."""

    rules: tuple[Rule, ...]
    source: str

    def owners(self, path: str) -> tuple[tuple[str, ...], int]:
        """(owners, line) of a path that is relative to the repository's root; no owners where nobody has it."""
        found: dict[str, Rule] = {}
        for rule in reversed(self.rules):
            if rule.section not in found and rule.matches.fullmatch(path):
                found[rule.section] = rule
        owning = sorted((rule for rule in found.values() if rule.owners), key=lambda rule: rule.line)
        listed = dict.fromkeys(owner for rule in owning for owner in rule.owners)
        return tuple(listed), owning[0].line if owning else 0

    def folders(self) -> dict[str, str]:
        """Service names to their folders, where the rules name such folders."""
        found = {}
        for rule in self.rules:
            if match := _SERVICE_FOLDER.fullmatch(rule.pattern):
                found[names.clean(match["name"])] = rule.pattern.strip("/").removesuffix("/**").removesuffix("/*")
        return found


def read(data: bytes, notes: Notes, *, gitlab: bool = False) -> Rules:
    """The rules of a file. `gitlab` where its place says so; a line that opens a section says it too."""
    lines = data.decode("utf-8", "replace").splitlines()
    plain = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    plain = [(number, line) for number, line in plain if line and not line.startswith("#")]
    gitlab = gitlab or any(_SECTION.fullmatch(line) for _, line in plain)
    section, by_default, rules = "", tuple[str, ...](), list[Rule]()
    for number, line in plain:
        if gitlab and (opened := _SECTION.fullmatch(line)):
            section, by_default = opened["name"].strip().lower(), _owners(opened["owners"].split())
            continue
        if len(rules) >= MAX_RULES:
            notes.problem(number, f"only the first {MAX_RULES} rules are used")
            break
        # A blank in a pattern is written with a backslash before it, and so is a leading `#`.
        words = [word.replace("\\ ", " ") for word in re.split(r"(?<!\\)\s+", line)]
        end = next((place for place, word in enumerate(words) if word.startswith("#")), len(words))
        pattern = words[0].removeprefix("\\")
        if why := _unusable(pattern, gitlab=gitlab):
            notes.problem(number, f"{names.printable(pattern)[:80]!r} {why}")
            continue
        owners = _owners(words[1:end])
        excluded = gitlab and pattern.startswith("!")
        expression = re.compile(_expression(pattern.removeprefix("!") if excluded else pattern, gitlab=gitlab))
        rules.append(Rule(section, pattern, () if excluded else owners or by_default, number, expression))
    return Rules(tuple(rules), notes.source)


def facts(rules: Rules, placed: Iterable[tuple[str, str]]) -> list[Facts]:
    """What the rules say of services; `placed` are (service id, path of the file that describes it, from the root)."""
    probes = [(name, f"{folder}/service") for name, folder in rules.folders().items()]
    found: dict[str, Facts] = {}
    for identifier, path in [*placed, *probes][:MAX_PATHS]:
        owners, line = rules.owners(path)
        if owners and identifier not in found:
            # A team before a person, a person before an address.
            team = min(owners, key=lambda owner: ("/" not in owner, not owner.startswith("@")))
            found[identifier] = Facts(
                id=identifier,
                format=Format.CODEOWNERS,
                source=rules.source,
                line=line,
                team=team,
                email=next((owner for owner in owners if "@" in owner[1:] and not owner.startswith("@")), ""),
            )
    return list(found.values())


def root(path: PurePosixPath) -> PurePosixPath:
    """The root of the repository that a CODEOWNERS file speaks of: its folder, or the one above `.github`, `.gitlab`, `docs`."""
    return path.parent.parent if path.parent.name in (".github", ".gitlab", "docs") else path.parent


def _owners(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(names.printable(word)[:100] for word in words if "@" in word)


def _unusable(pattern: str, *, gitlab: bool) -> str:
    if len(pattern) > _MAX_PATTERN or pattern.count("**") > _MAX_STARS:
        return f"is longer than {_MAX_PATTERN} or has more than {_MAX_STARS} `**`; write a shorter pattern"
    if not gitlab and (pattern.startswith("!") or "[" in pattern):
        return "uses `!` or `[ ]`, which GitHub does not read; write the paths out"
    return ""


def _expression(pattern: str, *, gitlab: bool) -> str:
    """A pattern as a regular expression over whole paths without a leading slash."""
    # A slash at the start or inside ties a pattern to the root as in gitignore(5); in GitLab only one at the start does.
    anchored = pattern.startswith("/") or (not gitlab and "/" in pattern.rstrip("/"))
    parts = [part for part in pattern.strip("/").split("/") if part]
    if not parts:
        return ".*" if pattern == "/" else r"(?!)"
    expression = "" if anchored else "(?:[^/]+/)*"
    for part in parts[:-1]:
        expression += "(?:[^/]+/)*" if part == "**" else _segment(part) + "/"
    last = parts[-1]
    if last == "**":
        return expression + ".+"
    if last == "*" and len(parts) > 1:  # `docs/*` is the files in docs, not those further down (GitHub's own example)
        return expression + "[^/]+"
    return expression + _segment(last) + ("/.+" if pattern.endswith("/") else "(?:/.+)?")


def _segment(part: str) -> str:
    """One part between slashes. What lies between two stars is taken where it first fits, for good: the time stays linear."""
    first, *rest = (re.escape(text).replace(r"\?", "[^/]") for text in re.sub(r"\*+", "*", part).split("*"))
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>[^/]*?{text})" for text in middle) + f"[^/]*{last}"
