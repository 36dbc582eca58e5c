"""Whose pods are, by their labels and annotations."""

from __future__ import annotations

import pytest

from bot.catalog.facts import Format
from bot.kubernetes.labels import Pods, reading
from bot.kubernetes.objects import Metadata, Owner, Pod


def pod(name: str, labels: dict[str, str], annotations: dict[str, str] | None = None, namespace: str = "shop") -> Pod:
    owner = Owner("ReplicaSet", f"{name}-abc", True)
    hashed = {"pod-template-hash": "abc"} | labels
    return Pod(
        Metadata(f"{name}-abc-x", namespace, "u", "1", labels=hashed, annotations=annotations, owner_references=[owner])
    )


def said(*pods: Pod, split: frozenset[tuple[str, str]] = frozenset(), environment: str = "") -> dict[str, str]:
    return {one.id: one.team for one in reading(Pods(pods, split, environment), "labels at k8s.test").facts}


def test_everything_labels_and_annotations_say() -> None:
    labels = {"team": "payments", "shop.example/tier": "tier-1", "domain": "money"}
    annotations = {"a8r.io/owner": "somebody", "a8r.io/chat": "#pay", "a8r.io/runbook": "https://w.example/pay",
                   "a8r.io/repository": "shop/payments"}  # fmt: skip
    (found,) = reading(Pods((pod("pay", labels, annotations),), frozenset(), "prod"), "labels at k8s.test").facts

    assert (found.id, found.format, found.source) == ("pay.shop@prod", Format.KUBERNETES, "labels at k8s.test")
    assert (found.team, found.slack, found.tier, found.domain) == ("payments", "#pay", "1", "money")
    assert (found.runbook, found.repository) == ("https://w.example/pay", "")


@pytest.mark.parametrize(
    "labels",
    [{}, {"tier": "frontend"}, {"app.kubernetes.io/owner": "x"}, {"x.k8s.io/team": "x"}, {"team": " "}, {"teams": "x"}],
)
def test_what_says_nothing_of_an_owner_makes_no_fact(labels: dict[str, str]) -> None:
    assert said(pod("pay", labels)) == {}


def test_a_service_is_named_as_on_the_map() -> None:
    release = {"app.kubernetes.io/instance": "shop-release", "team": "a"}
    explicit = pod("x", {"owner": "b"}, {"resource.opentelemetry.io/service.name": "pay"})

    assert said(pod("web", release), explicit) == {"shop-release.shop": "a", "pay.shop": "b"}
    assert said(pod("web", release), split=frozenset({("shop", "shop-release")})) == {"web.shop": "a"}


def test_of_several_pods_the_first_that_says_anything_counts() -> None:
    assert said(pod("pay", {}), pod("pay", {"team": "a"}), pod("pay", {"team": "b"})) == {"pay.shop": "a"}
