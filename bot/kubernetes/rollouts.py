"""What a cluster's workloads say of changes: a mirror of its Deployments, StatefulSets and DaemonSets.

Comes in: lists and single changes, in the order the API gives them. Goes out: `Change`s: another image or a new workload (deploy),
anything else of its pods (config), another number of replicas (scale). What is lost, and counted: workloads over the cap; in
between, what an autoscaler does within ten minutes of what it did before; and what happened while nobody watched.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from bot import names
from bot.kubernetes import naming
from bot.kubernetes.objects import Template, Workload
from bot.model import Change, ChangeKind

SOURCE = "kubernetes"
MAX_WORKLOADS = 50_000
SCALE_SECONDS = 600.0
"""An autoscaler's steps would push everything else out of the log: they are told at most this often, as one."""

_MAX_TOLD = 3
_MAX_TITLE = 300

Key = tuple[type[Workload], str, str]
"""(type, namespace, name)"""


@dataclass(slots=True)
class _Known:
    """A workload as it was last. `replicas` is what was last told of."""

    images: Mapping[str, str]
    template: bytes
    generation: int
    replicas: int | None
    service: naming.Named
    scaled_at: float = float("-inf")


class Rollouts:
    """The mirror of one cluster. `environment` goes into the id of every service whose pods name none themselves."""

    def __init__(self, environment: str = "") -> None:
        self.dropped: Counter[str] = Counter()
        self._environment = environment
        self._known: dict[Key, _Known] = {}
        self._listed: set[type[Workload]] = set()
        self._releases: dict[tuple[str, str], set[Key]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def replace(self, kind: type[Workload], listed: Iterable[Workload], now: float) -> list[Change]:
        """Take in a whole list. The first is how things are; a later one tells what changed since."""
        found = {key_of(one): one for one in listed}
        for key in [key for key in self._known if key[0] is kind and key not in found]:
            self.remove(key)
        out: list[Change] = []
        for one in found.values():
            out += self.put(one, now)
        self._listed.add(kind)
        return out

    def put(self, one: Workload, now: float) -> list[Change]:
        """Take in a new or changed workload at `now` (epoch s); returns what that tells."""
        key = key_of(one)
        try:
            template = msgspec.json.decode(one.spec.template, type=Template)
        except msgspec.DecodeError:
            self.dropped["template: malformed"] += 1
            return []
        before = self._known.get(key)
        if before is None and len(self._known) >= MAX_WORKLOADS:
            self.dropped["workload: too many"] += 1
            return []
        images = _images(template)
        named = naming.templated(template.metadata, one.metadata)
        self.remove(key)
        after = self._known[key] = _Known(
            images, _digest(one.spec.template), one.metadata.generation, one.spec.replicas, named
        )
        if named.instance:
            self._releases.setdefault((key[1], named.instance), set()).add(key)
        if before is None:
            return (
                [self._change(key, one, ChangeKind.DEPLOY, _created(key, images), now)]
                if key[0] in self._listed
                else []
            )
        out = []
        if told := _rolled(before.images, images):
            out.append(self._change(key, one, ChangeKind.DEPLOY, f"image {told}", now))
        elif before.template != after.template and before.generation != after.generation:
            # A newer API server may spell a template differently that nobody touched.
            out.append(
                self._change(key, one, ChangeKind.CONFIG, f"{key[0].__name__} {key[2]}: pod template changed", now)
            )
        if scaled := self._scaled(before, after, now):
            out.append(self._change(key, one, ChangeKind.SCALE, scaled, now))
        return out

    def remove(self, key: Key) -> None:
        """Take in that a workload is gone, which is told as nothing: there is no service left to have changed."""
        known = self._known.pop(key, None)
        if known is not None and known.service.instance:
            release = (key[1], known.service.instance)
            self._releases[release].discard(key)
            if not self._releases[release]:
                del self._releases[release]

    def _scaled(self, before: _Known, after: _Known, now: float) -> str:
        old, new = before.replicas, after.replicas
        after.scaled_at = before.scaled_at
        if old == new or old is None or new is None:
            return ""
        if now - before.scaled_at < SCALE_SECONDS and old and new:
            after.replicas = old  # to be told with the next step
            return ""
        after.scaled_at = now
        return f"replicas {old} -> {new}"

    def _change(self, key: Key, one: Workload, kind: ChangeKind, title: str, now: float) -> Change:
        named = self._known[key].service
        release = named.instance if len(self._releases.get((key[1], named.instance), ())) == 1 else ""
        environment = named.environment or self._environment
        node = names.service(named.explicit or release or named.workload, named.namespace, environment)
        place = "/".join((key[0].__name__, key[1], key[2], one.metadata.uid, str(one.metadata.generation)))
        return Change(now, node.id if node else key[2], kind, title[:_MAX_TITLE], SOURCE, f"{place}/{kind.value}")


def key_of(one: Workload) -> Key:
    """What tells workloads apart."""
    return (type(one), one.metadata.namespace, one.metadata.name)


def _digest(template: msgspec.Raw) -> bytes:
    return hashlib.blake2b(bytes(template), digest_size=16).digest()


def _images(template: Template) -> dict[str, str]:
    containers = (*(template.spec.init_containers or ()), *(template.spec.containers or ()))
    return {one.name: one.image for one in containers}


def _created(key: Key, images: Mapping[str, str]) -> str:
    return f"{key[0].__name__} {key[2]} created with {_some([_short(one) for one in images.values()])}"


def _rolled(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """`payments:1.2 -> 1.3` for each container whose image is another one; "" where none is."""
    told = []
    for name, image in after.items():
        old = before.get(name)
        if old is not None and old != image:
            was, now = _short(old), _short(image)
            base = was.partition(":")[0] + ":"
            told.append(f"{was} -> {now.removeprefix(base) if now.startswith(base) else now}")
    return _some(told)


def _some(told: list[str]) -> str:
    more = f" and {len(told) - _MAX_TOLD} more" if len(told) > _MAX_TOLD else ""
    return ", ".join(told[:_MAX_TOLD]) + more


def _short(image: str) -> str:
    """`registry.example/shop/payments:1.2@sha256:…` -> `payments:1.2`; one that only has a digest, with its start."""
    name, _, digest = image.rpartition("/")[2].partition("@")
    return name if ":" in name or not digest else f"{name}:{digest.removeprefix('sha256:')[:12]}"
