"""GitHub's deployments: one change each, at the moment they began to matter."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from bot.changes import github
from bot.changes.report import Report
from bot.errors import BadRequest, Unauthorized
from bot.model import Change, ChangeKind
from tests.changes import bodies
from tests.changes.bodies import SECRET, packed, signed

NOW = 1_795_400_000.0
STATUS, DEPLOYMENT = "deployment_status", "deployment"


def read(body: object, event: str = STATUS) -> Report:
    return github.parse(packed(body), {"X-GitHub-Event": event}, NOW)


def one(event: str = STATUS, state: str = "success", **changes: Any) -> Change:
    (change,) = read(bodies.github(event, state, **changes), event).changes
    return change


def test_a_deployment_that_is_done_is_a_change() -> None:
    change = one()

    assert (change.service, change.kind, change.title) == (
        "payments@production",
        ChangeKind.DEPLOY,
        "deploy main (f95f852) to production",
    )
    assert (change.author, change.link, change.at) == ("bob", "https://ci.example/17", 1_795_401_840.0)


def test_all_that_is_told_of_one_deployment_is_one_change_and_its_failure_another() -> None:
    told = {one(DEPLOYMENT).id, one(state="in_progress").id, one(state="success").id}

    assert told == {"acme/payments/17"}
    assert one(state="failure").id == one(state="error").id == "acme/payments/17/failed"
    assert one(state="failure").title == "deploy main (f95f852) to production failed"
    assert one(DEPLOYMENT).at == 1_795_401_600.0


@pytest.mark.parametrize("state", ["pending", "queued", "waiting", "inactive", ""])
def test_a_deployment_that_changes_nothing_yet_is_none(state: str) -> None:
    report = read(bodies.github(state=state))

    assert (report.changes, "changes nothing yet" in report.ignored) == ((), True)


def test_a_status_without_anything_in_it_is_none() -> None:
    assert "in no state" in read(bodies.github() | {"deployment_status": {}}).ignored


@pytest.mark.parametrize("event", ["ping", "push", "workflow_run", ""])
def test_other_events_are_taken(event: str) -> None:
    assert "says nothing of a deployment" in read({}, event).ignored


def test_the_deployments_payload_may_name_the_service() -> None:
    assert one(payload={"service": "ledger"}).service == "ledger@production"
    assert one(payload={"service": "ledger@eu"}).service == "ledger@eu"
    assert one(payload="just text").service == "payments@production"


def test_a_commit_asked_for_by_itself_is_told_once() -> None:
    assert one(ref=bodies.github()["deployment"]["sha"]).title == "deploy f95f852 to production"
    assert one(ref=None, sha=None).title == "deploy an unnamed version to production"


def test_a_signature_made_with_any_live_secret_is_enough() -> None:
    body = packed(bodies.github())
    github.verify(signed("X-Hub-Signature-256", body), body, ("older", SECRET))

    for headers in (
        {},
        {"X-Hub-Signature-256": "sha256="},
        signed("X-Hub-Signature-256", body + b" "),
        signed("X-Hub-Signature", body),
    ):
        with pytest.raises(Unauthorized, match="X-Hub-Signature-256"):
            github.verify(headers, body, (SECRET,))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"deployment": None}, "deployment is missing"),
        ({"deployment_status": []}, "deployment_status is missing"),
        ({"repository": 7}, "repository is missing"),
        ({"repository": {}}, "names no service"),
        ({"deployment": {"id": None}}, "deployment.id is missing"),
        ({"deployment_status": {"state": "success", "created_at": "soon"}}, "deployment_status.created_at"),
    ],
)
def test_what_is_missing_is_named(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        read(bodies.github() | changes)


def test_a_hook_left_at_sending_forms_is_read_too() -> None:
    whole = bodies.github(ref="größer+1 & 2")
    form = urlencode({"payload": json.dumps(whole)}).encode()
    headers = {"X-GitHub-Event": "deployment_status"}

    assert github.parse(form, headers, NOW) == github.parse(packed(whole), headers, NOW)
    for broken in (b"payload=", b"payload=%", b"payload=%7B&payload=%7B%7D", b"other=1"):
        with pytest.raises(BadRequest):
            github.parse(broken, headers, NOW)


@pytest.mark.parametrize(
    ("payload", "service"),
    [
        ({"service": "billing"}, "billing"),
        ('{"service": "billing"}', "billing"),
        ("billing", "payments"),
        ("[1]", "payments"),
        ("\udcff{", "payments"),
        (None, "payments"),
        (7, "payments"),
    ],
)
def test_whoever_deploys_may_name_the_service_in_an_object_or_in_a_text(payload: object, service: str) -> None:
    (change,) = github.parse(
        packed(bodies.github(payload=payload)), {"X-GitHub-Event": "deployment_status"}, NOW
    ).changes
    assert change.service == f"{service}@production"
