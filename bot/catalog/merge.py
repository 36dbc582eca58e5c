"""Many sources, one catalogue: who is believed, fact by fact, and where they contradict each other.

Comes in: what each source said. Goes out: a `Catalog` whose entries name the source of each fact. What is lost: what a
stronger source says otherwise (`facts.Format` has the order), named in `problems`; problems beyond `MAX_CONTRADICTIONS`.

Two sources mean one service where the names they give it meet: an id, an alias, a PagerDuty id. A name points straight at an
id, and the first to take it keeps it, so aliases can make no circle. What is said of `payments` holds for `payments.shop@prod`, too,
as far as nobody as strong says something of just that one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import TypeVar

from bot import names
from bot.catalog.entries import Catalog, CatalogEntry, parts
from bot.catalog.facts import Facts, Format, Reading, team_key
from bot.model import Kind, Owner
from bot.slack_ids import mention_id

MAX_CONTRADICTIONS = 100
_MAX_LINKS = 20
_T = TypeVar("_T")

# A repository has a dozen addresses that mean the same, and reviewers are not a claim about who owns a service.
_COMPARED: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("team", team_key), ("tier", names.clean), ("domain", team_key), ("runbook", lambda url: url.rstrip("/")),
)  # fmt: skip
_SHOWN = {"team": "owner"}


def merge(readings: Iterable[Reading], read_at: Mapping[str, float] | None = None) -> Catalog:
    """One catalogue of everything that was read."""
    listed = list(readings)
    problems = [problem for reading in listed for problem in reading.problems]
    systems: dict[str, str] = {}
    emails: dict[str, tuple[str, str]] = {}
    mentions: dict[str, tuple[str, str]] = {}
    for reading in listed:
        systems = dict(reading.systems) | systems
        emails = dict(reading.emails) | emails
        mentions = dict(reading.mentions) | mentions
    said = sorted((one for reading in listed for one in reading.facts), key=lambda one: one.format)
    merging = _Merging(systems, emails, mentions)
    for _, group in groupby(said, key=lambda one: one.format):
        merging.take(list(group))
    return merging.catalog(problems, read_at or {})


class _Merging:
    def __init__(
        self,
        systems: Mapping[str, str],
        emails: Mapping[str, tuple[str, str]],
        mentions: Mapping[str, tuple[str, str]],
    ) -> None:
        self._systems = systems
        self._emails = emails
        self._mentions = mentions
        self._said: dict[str, list[Facts]] = {}
        self._called: dict[str, tuple[str, Facts]] = {}
        """Every name -> (the id it means, who said so)."""
        self._contradictions: list[str] = []
        self._unnamed = 0

    def take(self, group: Sequence[Facts]) -> None:
        """Take what sources of one format say, after all that are stronger."""
        stronger = dict(self._called)
        own = {one.id for one in group}
        for one in group:
            identifier = self._meant(one, stronger, own)
            self._said.setdefault(identifier, []).append(one)
            self._called.setdefault(one.id, (identifier, one))
        for one in group:
            identifier = self._called[one.id][0]
            for alias in (*one.aliases, *one.names):
                other, first = self._called.setdefault(alias, (identifier, one))
                if other != identifier and not (one.format is Format.SERVICES and one.source == first.source):
                    service = "a service of its own" if alias == first.id else f"one of {other}"
                    self._contradict(
                        f"{identifier}: {alias!r} is an alias in {one.where('aliases')}, and {service} in "
                        f"{first.where('aliases')}; {first.source} wins"
                    )

    def _meant(self, one: Facts, stronger: Mapping[str, tuple[str, Facts]], own: set[str]) -> str:
        if one.id in stronger:
            return stronger[one.id][0]
        # An alias that its own source has as a service is no hint at what another source means.
        hints = {stronger[name][0] for name in (*one.aliases, *one.names) if name in stronger and name not in own}
        if len(hints) == 1:
            return hints.pop()
        if hints:
            self._contradict(
                f"{one.id}: by its aliases in {one.where('aliases')} it would be each of {', '.join(sorted(hints))}"
            )
        return one.id

    def catalog(self, problems: list[str], read_at: Mapping[str, float]) -> Catalog:
        """All that was taken. `problems` are those of the sources themselves."""
        for identifier, said in self._said.items():
            self._compare(identifier, said)
        entries = {identifier: self._entry(self._about(identifier), said) for identifier, said in self._said.items()}
        aliases = {name: identifier for name, (identifier, _) in self._called.items() if name not in entries}
        problems += self._contradictions
        if self._unnamed:
            problems.append(f"catalogue: and {self._unnamed} contradictions more")
        return Catalog(entries, aliases, tuple(problems), dict(read_at))

    def _about(self, identifier: str) -> list[Facts]:
        """Everything that holds for an id: the stronger source first, and of one source what is about fewer services first."""
        name, namespace, environment = parts(identifier)
        general = [identifier]
        if namespace and environment:
            general += [f"{name}.{namespace}", f"{name}@{environment}"]
        if namespace or environment:
            general.append(name)
        said = [fact for one in dict.fromkeys(general) for fact in self._said.get(one, ())]
        return sorted(said, key=lambda fact: fact.format)

    def _entry(self, said: Sequence[Facts], own: Sequence[Facts]) -> CatalogEntry:
        sources: dict[str, str] = {}

        def text(fact: str, among: Sequence[Facts] = said) -> str:
            winner = next((one for one in among if getattr(one, fact)), None)
            if winner is not None:
                sources[_SHOWN.get(fact, fact)] = winner.source
            return str(getattr(winner, fact)) if winner is not None else ""

        if domain := self._domain(said):
            sources["domain"] = domain[1]
        kind = next((one for one in said if one.kind is not None), None)
        entry_point = next((one for one in said if one.entry_point is not None), None)
        sources |= {"kind": kind.source} if kind else {}
        sources |= {"entry_point": entry_point.source} if entry_point else {}
        links = _together(one.links for one in said)
        depends_on = _together(one.depends_on for one in said)
        for fact, found in (("links", links), ("depends_on", depends_on)):
            if found:
                sources[fact] = ", ".join(dict.fromkeys(one.source for one in said if getattr(one, fact)))
        return CatalogEntry(
            owner=self._owner(said, text, sources),
            tier=text("tier"),
            domain=domain[0] if domain else "",
            runbook=text("runbook"),
            entry_point=bool(entry_point and entry_point.entry_point),
            aliases=_together(one.aliases for one in own),
            kind=Kind(kind.kind) if kind and kind.kind else None,
            repository=text("repository"),
            reference=text("reference", own),
            links=links[:_MAX_LINKS],
            depends_on=depends_on,
            sources=sources,
        )

    def _owner(self, said: Sequence[Facts], text: Callable[..., str], sources: dict[str, str]) -> Owner | None:
        team = text("team")
        # A channel belongs to a team: one that a source gives beside another team's name would wake the wrong people.
        same = [one for one in said if not one.team or team_key(one.team) == team_key(team)]
        slack, email, on_call = text("slack", same), text("email", same), text("on_call")
        mention = text("mention", same)
        if called := mention_id(slack):  # an id that nobody reads, where a channel or a handle should stand
            slack, mention = "", mention or called
            sources.setdefault("mention", sources.pop("slack"))
        if not (team or slack or on_call or mention):
            return None
        if not email and (known := self._emails.get(team_key(team))):
            email, sources["email"] = known
        if not mention and (told := self._mentions.get(team_key(team))):
            mention, sources["mention"] = told
        source = next(sources[fact] for fact in ("owner", "slack", "on_call", "mention") if fact in sources)
        return Owner(team or slack or on_call or mention, slack, source, on_call, email, mention)

    def _domain(self, said: Sequence[Facts]) -> tuple[str, str] | None:
        for one in said:
            if found := one.domain or self._systems.get(one.system, ""):
                return found, one.source
        return None

    # -- contradictions --------------------------------------------------------------------------------------------------

    def _compare(self, identifier: str, said: Sequence[Facts]) -> None:
        """Note where a weaker source says something else than the one that is believed."""
        claims = [one for one in said if one.format is not Format.CODEOWNERS]
        for fact, same in _COMPARED:
            telling = [one for one in claims if getattr(one, fact)]
            for other in telling[1:]:
                first = telling[0]
                if same(getattr(other, fact)) != same(getattr(first, fact)):
                    self._contradict(
                        f"{identifier}: {_SHOWN.get(fact, fact)} {getattr(first, fact)} in {first.where(fact)}, "
                        f"{getattr(other, fact)} in {other.where(fact)}; {first.source} wins"
                    )
        kinds = [one for one in claims if one.kind is not None]
        for other in kinds[1:]:
            if other.kind is not kinds[0].kind:
                self._contradict(
                    f"{identifier}: kind {kinds[0].kind} in {kinds[0].where('kind')}, {other.kind} in {other.where('kind')}; "
                    f"{kinds[0].source} wins"
                )

    def _contradict(self, text: str) -> None:
        if len(self._contradictions) < MAX_CONTRADICTIONS:
            self._contradictions.append(text)
        else:
            self._unnamed += 1


def _together(listed: Iterable[Iterable[_T]]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(one for some in listed for one in some))
