"""What pods' labels and annotations say of whose they are. Pure.

Comes in: the pods of a cluster. Goes out: facts about their services, ranked low by the catalogue. What is lost: keys that are
Kubernetes' own, and all but those below; a `tier` that is no number (`frontend` is a place in a picture, not an importance).

No key is standard. Read are, under any prefix, in labels first and then in annotations: `team`, `owner`; `slack-channel`, `slack`,
`chat`; `slack-mention`, `slack-usergroup`; `tier`, `domain`, `runbook`, `repository` (the names of a8r.io's conventions among them).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot import names
from bot.catalog.facts import MAX_SERVICES, MAX_TEXT, Facts, Format, Reading, address_or_nothing, plain_tier
from bot.kubernetes.naming import Named, named
from bot.kubernetes.objects import Pod
from bot.slack_ids import mention_id

_THEIR_OWN = ("kubernetes.io", "k8s.io")
_READ = {
    "team": ("team", "owner"), "slack": ("slack-channel", "slack", "chat"), "tier": ("tier",), "domain": ("domain",),
    "runbook": ("runbook",), "repository": ("repository",), "mention": ("slack-mention", "slack-usergroup"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pods:
    """The pods of a cluster as they are at a moment; `split` are releases (namespace, instance) that name no service."""

    pods: tuple[Pod, ...]
    split: frozenset[tuple[str, str]]
    environment: str = ""


def service_name(one: Named, split: bool) -> str:
    """The name of a pod's service. `split`: its release has several workloads, and so is the name of none of them."""
    return one.explicit or ("" if split else one.instance) or one.workload


def reading(known: Pods, source: str) -> Reading:
    """What the labels say; of several pods of a service, the first that says anything."""
    found: dict[str, Facts] = {}
    for pod in known.pods:
        said = _said(pod.metadata.labels or {}, pod.metadata.annotations or {})
        if not said or len(found) >= MAX_SERVICES:
            continue
        one = named(pod)
        split = (pod.metadata.namespace, one.instance) in known.split
        node = names.service(service_name(one, split), one.namespace, one.environment or known.environment)
        if node is not None and node.id not in found:
            found[node.id] = Facts(id=node.id, format=Format.KUBERNETES, source=source, **said)  # type: ignore[arg-type]
    return Reading(tuple(found.values()))


def _said(labels: Mapping[str, str], annotations: Mapping[str, str]) -> dict[str, str]:
    by_word: dict[str, str] = {}
    for place in (labels, annotations):
        for key in sorted(place):
            prefix, _, word = key.rpartition("/")
            text = names.printable(place[key][:MAX_TEXT]).strip()
            if text and not prefix.endswith(_THEIR_OWN):
                by_word.setdefault(word.lower(), text)
    found = {fact: next((by_word[word] for word in words if word in by_word), "") for fact, words in _READ.items()}
    found["tier"] = tier if (tier := plain_tier(found["tier"])).isdigit() else ""
    found["mention"] = mention_id(found["mention"])
    for fact in ("runbook", "repository"):
        found[fact] = address_or_nothing(found[fact])
    return {fact: text for fact, text in found.items() if text}
