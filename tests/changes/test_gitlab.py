"""GitLab's deployments and feature flags."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest

from bot.changes import gitlab
from bot.changes.report import Report
from bot.errors import BadRequest, Unauthorized
from bot.model import Change, ChangeKind
from tests.changes import bodies
from tests.changes.bodies import SECRET, packed

NOW = 1_795_400_000.0


def read(body: object, **headers: str) -> Report:
    return gitlab.parse(packed(body), {name.replace("_", "-"): value for name, value in headers.items()}, NOW)


def one(body: object, **headers: str) -> Change:
    (change,) = read(body, **headers).changes
    return change


def test_a_deployment_is_a_change_of_its_project() -> None:
    change = one(bodies.gitlab())

    assert (change.service, change.kind) == ("payments@production", ChangeKind.DEPLOY)
    assert change.title == "deploy 279484c0 to production: Charge twice"
    assert (change.author, change.at) == ("ada", 1_795_401_840.0)
    assert change.link == "https://gitlab.example/shop/payments/-/jobs/796"


def test_its_start_and_its_end_are_one_change_and_its_failure_another() -> None:
    assert one(bodies.gitlab("running")).id == one(bodies.gitlab("success")).id == "shop/payments/15"
    failed = one(bodies.gitlab("failed"))
    assert (failed.id, failed.title) == (
        "shop/payments/15/failed",
        "deploy 279484c0 to production failed: Charge twice",
    )


@pytest.mark.parametrize("status", ["canceled", "created", "blocked", ""])
def test_a_deployment_that_does_not_happen_is_none(status: str) -> None:
    assert "changes nothing" in read(bodies.gitlab(status)).ignored


def test_a_flag_that_is_turned_is_a_change_each_time() -> None:
    first = one(bodies.gitlab_flag(), Idempotency_Key="a")

    assert (first.service, first.kind, first.title) == ("payments", ChangeKind.FLAG, "flag new-ledger turned on")
    assert first.id == one(bodies.gitlab_flag(), Idempotency_Key="a", X_Gitlab_Event_UUID="c").id
    assert first.id != one(bodies.gitlab_flag(), Idempotency_Key="b").id
    assert one(bodies.gitlab_flag(active=False)).title == "flag new-ledger turned off"


def test_other_events_are_taken() -> None:
    assert read({"object_kind": "push"}).ignored == "push says nothing of a change"
    assert "without object_kind" in read({}).ignored


def test_the_token_is_one_of_the_secrets() -> None:
    gitlab.verify({"X-Gitlab-Token": SECRET}, b"", ("older", SECRET))

    for headers in ({}, {"X-Gitlab-Token": ""}, {"X-Gitlab-Token": SECRET + "x"}):
        with pytest.raises(Unauthorized, match="X-Gitlab-Token"):
            gitlab.verify(headers, b"", (SECRET, ""))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"project": None}, "project is missing"),
        ({"project": {}}, "project.path_with_namespace is missing"),
        ({"deployment_id": None}, "deployment_id is missing"),
        ({"status_changed_at": "soon"}, "status_changed_at"),
    ],
)
def test_what_is_missing_is_named(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        read(bodies.gitlab(**changes))


SIGNING = "whsec_" + base64.b64encode(b"k" * 32).decode()


def signed_hook(body: bytes, key: bytes = b"k" * 32, **changes: str) -> dict[str, str]:
    headers = {"webhook-id": "d-17", "webhook-timestamp": "1795400000"}
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return headers | {"webhook-signature": f"v1a,x v1,{signature}"} | changes


def test_a_hook_with_a_signing_token_is_known_by_its_signature() -> None:
    body = packed(bodies.gitlab())

    gitlab.verify(signed_hook(body), body, ("older", SIGNING))
    gitlab.verify(signed_hook(body, key=SECRET.encode()), body, (SECRET,))


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook-id": "d-18"},
        {"webhook-timestamp": "1795400001"},
        {"webhook-timestamp": ""},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v2,AAAA"},
        {"webhook-signature": "v1,\udcff"},
        {"webhook-signature": ""},
    ],
)
def test_a_signature_that_does_not_fit_is_refused_even_beside_the_token(changes: dict[str, str]) -> None:
    body = packed(bodies.gitlab())
    with pytest.raises(Unauthorized) as refused:
        gitlab.verify(signed_hook(body) | changes | {"X-Gitlab-Token": SIGNING}, body, (SIGNING,))
    assert SIGNING not in str(refused.value)


def test_a_signed_body_that_was_changed_or_a_signing_token_that_is_none_is_refused() -> None:
    body = packed(bodies.gitlab())
    with pytest.raises(Unauthorized):
        gitlab.verify(signed_hook(body), body + b" ", (SIGNING,))
    for secrets in ((), ("",), ("whsec_",), ("whsec_no base64",)):
        with pytest.raises(Unauthorized):
            gitlab.verify(signed_hook(body, key=b""), body, secrets)
