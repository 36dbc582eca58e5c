"""Any label, host or address -> one service id. The only place where names are made and compared.

Three layers that disagree on a name give three services and a useless map, so every door comes here, and every rule is
one that cannot merge two different services: explicit attributes, normalisation, the alias table. What is only likely
(`bot.near_names`) is offered as a suggestion, never applied to what telemetry says.
"""

from __future__ import annotations

import fnmatch
import hashlib
import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import lru_cache

from bot.errors import Ambiguous, NotFound
from bot.model import PSEUDO, Kind, Node
from bot.near_names import close_matches, misspelt

MAX_ID = 200
"""Longest service id. A longer one keeps its start and gets a hash of the whole, so that two long names stay two."""
_MAX_RAW = 1_000  # read of a name before it is cleaned: normalising marks takes time in the square of their number

# A pod behind a headless service has its own name before the service's (kubernetes.io, DNS for Services and Pods).
_CLUSTER_DNS = re.compile(r"^(?:[^.]+\.)?(?P<name>[^.]+)\.(?P<namespace>[^.]+)\.svc(?:\..+)?$")
_RESERVED = re.compile(r"[@()]")
_PORT = re.compile(r":\d{1,5}$")
# Kubernetes makes its suffixes from an alphabet without vowels and look-alikes (apimachinery util/rand).
_POD = re.compile(r"^(?P<name>.+?)(?:-[bcdfghjklmnpqrstvwxz2456789]{6,10})?-[bcdfghjklmnpqrstvwxz2456789]{5}$")
_ORDINAL = re.compile(r"^(?P<name>.+)-\d{1,4}$")
_LOCAL_HOSTS = frozenset(("localhost", "localhost.localdomain", "ip6-localhost", "host.docker.internal"))
_INTERNAL_SUFFIXES = frozenset(("internal", "local", "lan", "corp", "intra", "consul", "private", "home", "test"))


def clean(text: str) -> str:
    """Lower case, compatibility-normalised, without control characters, bidirectional marks or outer white space."""
    if text.isascii() and text.isprintable():
        return text.strip().lower()
    # Normalised again at the end: a capital and its mark may be two characters where the small letter has one for both.
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", printable(text)).lower())
    return " ".join(plain.split())


def printable(text: str) -> str:
    """The text without control, format (bidirectional marks, zero width) and surrogate characters; line ends become spaces."""
    if text.isprintable():
        return text
    return "".join(
        " " if char in "\n\r\t" else char for char in text if char in "\n\r\t" or unicodedata.category(char)[0] != "C"
    )


def _bounded(text: str, limit: int = MAX_ID) -> str:
    """At most `limit` characters, the same for the same text, different for different texts."""
    if len(text) <= limit:
        return text
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=6).hexdigest()
    return f"{text[: limit - 13]}~{digest}"


def service(name: str, namespace: str = "", environment: str = "", kind: Kind = Kind.SERVICE) -> Node | None:
    """The node for an explicitly named service; None where nothing is left of the name.

    `name.namespace` where a namespace is known and the name does not end in it, `@environment` where one is given
    (design: service id). `@` and parentheses become `_`: the first divides off the environment, the second mark
    pseudo-callers.
    """
    make = _known_service if max(len(name), len(namespace), len(environment)) <= MAX_ID else _service
    return make(_bounded(name, _MAX_RAW), _bounded(namespace, _MAX_RAW), _bounded(environment, _MAX_RAW), kind)


def _service(name: str, namespace: str, environment: str, kind: Kind) -> Node | None:
    parts = [_bounded(_RESERVED.sub("_", clean(part))) for part in (name, namespace, environment)]
    if not parts[0]:
        return None
    identifier = parts[0]
    if parts[1] and not identifier.endswith("." + parts[1]):
        identifier = f"{identifier}.{parts[1]}"
    if parts[2]:
        identifier = f"{identifier}@{parts[2]}"
    return Node(_bounded(identifier), kind, *parts)


_known_service = lru_cache(maxsize=65_536)(_service)


def from_id(identifier: str) -> Node | None:
    """The node of a service somebody names by its full id (`name.namespace@environment`); None where nothing is left of it.

    An id made here comes back as it is. Whatever else is sent becomes one, so that nobody can call himself a pseudo-caller.
    """
    name, _, environment = identifier.partition("@")
    return service(name, "", environment)


def workload(name: str, namespace: str = "", cluster: str = "") -> str:
    """A workload's name, `name[.namespace][@cluster]`; "" where nothing is left of it."""
    node = service(name, namespace, cluster)
    return node.id if node is not None else ""


MAX_SEEN = 2 * MAX_ID + 1
"""Longest service id with its workload, as `on_workload` makes them."""
_ON = "\n"  # in no id: `clean` takes control characters out


def on_workload(identifier: str, workload: str) -> str:
    """A service id together with the workload that was seen, as one text: what layers fold by before they hand over."""
    return f"{identifier}{_ON}{workload}" if workload else identifier


def off_workload(text: str) -> tuple[str, str]:
    """(service id, workload), as `on_workload` put them together; the workload is "" where none was known."""
    identifier, _, workload = text.partition(_ON)
    return identifier, workload


def has_workload(text: str) -> bool:
    """Whether `on_workload` put a workload to it."""
    return _ON in text


def from_host(host: str, environment: str = "", kind: Kind | None = None) -> Node | None:
    """The node behind a host name or address a caller dialled; None where it identifies nobody.

    Cluster DNS gives `name.namespace`; a bare host is a service's short name; a public address or a dotted name outside
    the usual internal suffixes is an external host. A private address or this very host (`localhost`) names nobody:
    attribution by address is the network layer's work, and a guess here would merge every service's own localhost.
    """
    make = _known_host if max(len(host), len(environment)) <= MAX_ID else _from_host
    return make(_bounded(host, _MAX_RAW), environment, kind)


def _from_host(host: str, environment: str, kind: Kind | None) -> Node | None:
    text = clean(host).rstrip(".")
    if text.count(":") <= 1 or "]:" in text:  # a bare IPv6 address has colons but no port
        text = _PORT.sub("", text)
    text = text.strip("[]").rstrip(".")
    if not text or text in _LOCAL_HOSTS:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        pass
    else:
        # A socket that takes both families gives IPv4 peers as ::ffff:a.b.c.d.
        address = getattr(address, "ipv4_mapped", None) or address
        return service(str(address), kind=kind or Kind.EXTERNAL) if address.is_global else None
    if match := _CLUSTER_DNS.match(text):
        return service(match["name"], match["namespace"], environment, kind or Kind.SERVICE)
    if "." not in text or text.rsplit(".", 1)[1] in _INTERNAL_SUFFIXES:
        return service(text, "", environment, kind or Kind.SERVICE)
    return service(text, kind=kind or Kind.EXTERNAL)


_known_host = lru_cache(maxsize=65_536)(_from_host)


def database(system: str, host: str = "", namespace: str = "", environment: str = "") -> Node | None:
    """The node of a database only its callers know: by host, else `database.system`, else the system alone."""
    kind = Kind.CACHE if clean(system) in ("redis", "memcached", "valkey") else Kind.DATABASE
    return (
        from_host(host, environment, kind)
        or service(namespace, system, environment, kind)
        or service(system, "", environment, kind)
    )


def queue(system: str, destination: str = "", environment: str = "") -> Node | None:
    """The node of a queue or topic: `destination.system`, so that a queue never merges with a service of its name."""
    return service(destination, system, environment, Kind.QUEUE) or service(system, "", environment, Kind.QUEUE)


def workload_of_pod(pod: str) -> str:
    """`payments-7d9f8b6c5d-x2x9z` -> `payments`, `payments-db-0` -> `payments-db`; anything else as it is."""
    text = clean(pod)
    match = _POD.match(text) or _ORDINAL.match(text)
    return match["name"] if match else text


def bare(identifier: str) -> str:
    """The id without its environment: `payments.shop@prod` -> `payments.shop`."""
    return identifier.partition("@")[0]


_ENVIRONMENTS = (
    frozenset(("production", "prod", "prd", "live")),
    frozenset(("staging", "stage", "stg")),
    frozenset(("development", "dev")),
    frozenset(("testing", "test", "qa")),
)
"""Spellings of one environment: deploy tools and telemetry are seldom configured by the same people."""


def _same_environment(wanted: str, held: str) -> bool:
    """Whether a service in the environment `held` can be meant by `wanted`; on a map without environments (`held` is ""),
    production is."""
    if wanted == held or not wanted:
        return True
    spellings = next((one for one in _ENVIRONMENTS if wanted in one), frozenset((wanted,)))
    return held in spellings if held else "production" in spellings


BACKGROUND = (
    "kube-dns", "coredns", "node-local-dns", "nodelocaldns", "*.kube-system", "*.istio-system", "*.linkerd", "*.linkerd-viz",
    "*.monitoring", "prometheus*", "alertmanager*", "vmagent*", "grafana-agent*", "grafana-alloy*", "otel-collector*",
    "opentelemetry-collector*", "node-exporter*", "kube-state-metrics*", "istiod*", "datadog-agent*", "jaeger-collector*",
    "zipkin", "topology-bot*",
)  # fmt: skip
"""Services that talk to everybody and explain nothing: scrapers, DNS, mesh control planes, telemetry collectors."""


class Background:
    """Which services stay hidden unless asked for, by `fnmatch` patterns over ids without their environment."""

    def __init__(self, patterns: Iterable[str] = BACKGROUND) -> None:
        self._match = re.compile("|".join(fnmatch.translate(clean(one)) for one in patterns) or r"(?!)").match

    def hides(self, identifier: str) -> bool:
        """Whether a service is hidden by default."""
        return self._match(bare(identifier)) is not None


class NameIndex:
    """Finds the one id a person or an alert means by a text. Grows with the map; holds no more names than the map does."""

    def __init__(self, aliases: Mapping[str, str] | None = None) -> None:
        self._by_text: dict[str, set[str]] = {}
        self._texts: dict[str, frozenset[str]] = {}
        self._aliases = {clean(alias): clean(target) for alias, target in (aliases or {}).items()}
        self._learnt: Mapping[str, str] = self._aliases

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._texts

    def add(self, node: Node) -> None:
        """Make a node findable by its id, its id without environment, and its bare name; and by another one, told later."""
        known = self._texts.get(node.id, frozenset())
        self._texts[node.id] = known | {node.id, bare(node.id), node.name}
        for text in self._texts[node.id] - known:
            self._by_text.setdefault(text, set()).add(node.id)

    def discard(self, identifier: str) -> None:
        """Forget a service that left the map, under whatever texts it was added."""
        for text in self._texts.pop(identifier, ()):
            holders = self._by_text[text]
            holders.discard(identifier)
            if not holders:
                del self._by_text[text]

    def canonical(self, identifier: str) -> str:
        """The id that the alias table has for one; an id it says nothing of is its own. `pay-svc@prod` follows `pay-svc`."""
        if not self._aliases or identifier in PSEUDO:
            return identifier
        if (whole := self._aliases.get(identifier)) is not None:
            return whole
        name, mark, environment = identifier.partition("@")
        target = self._aliases.get(name)
        return identifier if target is None else f"{target}{mark}{environment}" if "@" not in target else target

    @property
    def renamed(self) -> Set[str]:
        """The names that `canonical` has another for."""
        return self._aliases.keys()

    def learn(self, aliases: Mapping[str, str]) -> None:
        """Find services by these names, too, instead of those learnt before; they are `clean`, as a catalogue's are.

        The names of the start stay: `canonical` keeps to them, because a count that is taken back has to go where it was added.
        """
        self._learnt = aliases

    def placed(self, identifier: str) -> str:
        """The id on the map for one that was made without it: the id itself, or the one service of its name in its environment
        (however that is spelled); one without a namespace where only the id has any. Where there is none or several, the id
        that the alias table has for it."""
        known = self.canonical(identifier)
        if known in self._texts:
            return known
        name, _, environment = known.partition("@")
        # An orchestrator always has a namespace, telemetry only where it was told of one.
        plain = name.rpartition(".")[0]
        for found in (self._holders(name), [one for one in self._holders(plain) if bare(one) == plain]):
            fitting = [one for one in found if _same_environment(environment, one.partition("@")[2])]
            if fitting:
                return fitting[0] if len(fitting) == 1 else known
        return known

    def find(self, text: str) -> str | None:
        """The id for a text where exactly one service answers to it, else None."""
        holders = self._holders(text)
        return holders[0] if len(holders) == 1 else None

    def _holders(self, text: str) -> Sequence[str]:
        wanted = clean(text)
        wanted = self._learnt.get(wanted, self._aliases.get(wanted, wanted))
        return (wanted,) if wanted in self._texts else sorted(self._by_text.get(wanted, ()))

    def resolve(self, text: str) -> str:
        """The id for a text. Raises `Ambiguous` where several answer to it, `NotFound` with suggestions where none does."""
        holders = self._holders(text)
        if len(holders) == 1:
            return holders[0]
        shown = clean(text)[:80]
        if holders:
            raise Ambiguous(f"{len(holders)} services are called {shown!r}: say which one.", tuple(holders[:10]))
        suggestions = close_matches(clean(text[:MAX_ID]), self._texts)
        hint = f" Closest: {', '.join(suggestions)}." if suggestions else " The map is empty so far."
        raise NotFound(
            f"No service called {shown!r} on the map.{hint if suggestions or not self._texts else ''}", suggestions
        )

    def misspelt(self, text: str) -> str | None:
        """The one service that a person surely meant by a text nobody answers to; None where it may be two, or none."""
        if self._holders(text):
            return None
        near = misspelt(clean(text[:MAX_ID]), (*self._by_text, *self._learnt))
        meant = {holder for one in near for holder in self._holders(one)}
        return meant.pop() if len(meant) == 1 else None
