"""Argo CD's syncs: a change of each workload that one touched."""

from __future__ import annotations

from typing import Any

import pytest

from bot.changes import argocd
from bot.changes.report import Report
from bot.errors import BadRequest, Unauthorized
from tests.changes import bodies
from tests.changes.bodies import SECRET, applied, packed

NOW = 1_795_400_000.0


def read(body: object) -> Report:
    return argocd.parse(packed(body), {}, NOW)


def test_a_sync_changes_the_workloads_that_it_applied_and_no_others() -> None:
    resources = [
        applied("Deployment", "payments", "deployment.apps/payments configured"),
        applied("StatefulSet", "ledger", "statefulset.apps/ledger created", "money"),
        applied("Deployment", "web", "deployment.apps/web unchanged"),
        applied("Service", "payments", "service/payments configured"),
        "no resource",
        applied("Deployment", "", "configured"),
    ]
    changes = read(bodies.argocd(resources=resources)).changes

    assert [one.service for one in changes] == ["payments.apps", "ledger.money"]
    assert {one.title for one in changes} == {"sync of shop to f95f852"}
    assert {(one.at, one.author, one.link) for one in changes} == {
        (1_795_401_840.0, "ada", "https://argocd.example/applications/argocd/shop")
    }


@pytest.mark.parametrize("resources", [None, [], "no list", [applied("ConfigMap", "payments", "configured")]])
def test_a_sync_that_names_no_workload_changes_the_application(resources: object) -> None:
    assert [one.service for one in read(bodies.argocd(resources=resources)).changes] == ["shop.apps"]


def test_the_application_alone_will_do_and_the_template_may_name_the_service() -> None:
    assert read(bodies.argocd()["app"]).changes[0].service == "shop.apps"
    assert read(bodies.argocd(service="payments", environment="prod")).changes[0].service == "payments@prod"


def test_the_start_and_the_end_of_an_operation_are_one_change_and_its_failure_another() -> None:
    ids = {phase: read(bodies.argocd(phase)).changes[0].id for phase in ("Running", "Succeeded", "Failed", "Error")}

    assert ids["Running"] == ids["Succeeded"] != ids["Failed"] == ids["Error"]
    assert read(bodies.argocd("Failed")).changes[0].title == "sync of shop to f95f852 failed"


def test_an_operation_that_is_not_under_way_is_none() -> None:
    assert "changes nothing" in read(bodies.argocd("Terminating")).ignored
    assert "no phase" in read({"metadata": {"name": "shop"}}).ignored


def test_several_sources_are_told_each() -> None:
    body = bodies.argocd()
    body["app"]["status"]["operationState"]["syncResult"] = {"revisions": ["1.2.3", "a" * 40, None]}

    assert read(body).changes[0].title == "sync of shop to 1.2.3, aaaaaaa"


def test_of_too_many_workloads_the_first_are_taken() -> None:
    resources = [applied("Deployment", f"s{number}", "deployment.apps/x configured") for number in range(1_000)]

    assert len(read(bodies.argocd(resources=resources)).changes) == argocd.MAX_WORKLOADS


def test_a_bearer_token_or_basic_auth_is_wanted() -> None:
    argocd.verify({"Authorization": f"Bearer {SECRET}"}, b"", (SECRET,))
    with pytest.raises(Unauthorized):
        argocd.verify({}, b"", (SECRET,))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"app": 7}, "app is missing"),
        ({"app": {}}, "app.metadata is missing"),
        ({"app": {"metadata": {"name": ""}}}, "app.metadata.name is missing"),
        (bodies.argocd(service="\u200b"), "names no service"),
    ],
)
def test_what_is_missing_is_named(body: dict[str, Any], why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        read(body)
