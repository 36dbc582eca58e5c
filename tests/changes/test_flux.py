"""Flux's events: what a Kustomization applied, what became of a Helm release."""

from __future__ import annotations

import pytest

from bot.changes import flux
from bot.changes.report import Report
from bot.errors import BadRequest, Unauthorized
from bot.model import ChangeKind
from tests.changes import bodies
from tests.changes.bodies import SECRET, packed, signed

NOW = 1_795_400_000.0
APPLIED = """Service/apps/payments configured
Deployment/apps/payments configured
StatefulSet/money/ledger created
Deployment/apps/web unchanged"""


def read(body: object) -> Report:
    return flux.parse(packed(body), {}, NOW)


def test_a_kustomization_changes_the_workloads_that_it_applied() -> None:
    changes = read(bodies.flux(message=APPLIED)).changes

    assert [one.service for one in changes] == ["payments.apps", "ledger.money"]
    assert {(one.kind, one.title, one.at) for one in changes} == {
        (ChangeKind.DEPLOY, "Kustomization payments applied main@sha1:731f7ea", 1_795_401_840.0)
    }
    assert len({one.id for one in changes}) == 2
    assert read(bodies.flux(message=APPLIED)).changes == changes


def test_one_that_applied_no_workload_is_a_change_of_configuration() -> None:
    (change,) = read(bodies.flux(message="ConfigMap/apps/payments-env configured")).changes

    assert (change.service, change.kind) == ("payments.apps", ChangeKind.CONFIG)


@pytest.mark.parametrize(
    "message", ["", "Reconciliation finished in 1s, next run in 10m", "Deployment/apps/web unchanged", None, 7]
)
def test_one_that_applied_nothing_is_none(message: object) -> None:
    assert read(bodies.flux() | {"message": message}).ignored == "Kustomization payments changed nothing"


@pytest.mark.parametrize(
    ("reason", "title"),
    [
        ("InstallSucceeded", "Helm install of payments to 1.2.0 done"),
        ("UpgradeFailed", "Helm upgrade of payments to 1.2.0 failed"),
        ("RollbackSucceeded", "Helm rollback of payments to 1.2.0 done"),
    ],
)
def test_a_helm_release_changes_its_service(reason: str, title: str) -> None:
    metadata = {"helm.toolkit.fluxcd.io/revision": "1.2.0", "environment": "prod"}
    (change,) = read(bodies.flux("HelmRelease", "…", reason=reason, metadata=metadata)).changes

    assert (change.service, change.title) == ("payments.apps@prod", title)


@pytest.mark.parametrize("reason", ["ArtifactFailed", "TestSucceeded", "", None])
def test_what_else_is_told_of_a_helm_release_is_none(reason: str | None) -> None:
    assert "changes nothing" in read(bodies.flux("HelmRelease", reason=reason)).ignored


@pytest.mark.parametrize("kind", ["GitRepository", "OCIRepository", "Bucket", ""])
def test_events_of_other_objects_are_taken(kind: str) -> None:
    assert "says nothing of a service" in read(bodies.flux(kind)).ignored


def test_a_signature_or_a_bearer_token_is_wanted_and_a_wrong_signature_is_not_made_up_for() -> None:
    body = packed(bodies.flux())
    bearer = {"Authorization": f"Bearer {SECRET}"}
    flux.verify(signed("X-Signature", body), body, (SECRET,))
    flux.verify(bearer, body, (SECRET,))

    for headers in ({}, signed("X-Signature", body, "wrong") | bearer, {"X-Signature": "sha512=00"} | bearer):
        with pytest.raises(Unauthorized):
            flux.verify(headers, body, (SECRET,))


def test_a_message_of_any_size_gives_no_more_than_it_may() -> None:
    message = "\n".join(f"Deployment/apps/s{number} configured" for number in range(100_000))

    assert len(read(bodies.flux(message=message)).changes) == flux.MAX_WORKLOADS


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"involvedObject": []}, "involvedObject is missing"),
        ({"involvedObject": {"kind": "HelmRelease"}}, "involvedObject.name is missing"),
        ({"timestamp": "soon", "message": APPLIED}, "timestamp is not"),
    ],
)
def test_what_is_missing_is_named(changes: dict[str, object], why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        read(bodies.flux() | changes)
