"""GitHub's webhooks `deployment` and `deployment_status` -> changes (docs.github.com, "Webhook events and payloads").

Comes in: one signed event; the header X-GitHub-Event says which. Goes out: one change for each deployment, at the first moment that
was told of: when it was created, in progress or done; another one where it failed. Where deployments wait for an approval, subscribe
to `deployment_status` alone, since `deployment` is sent before it. Every other event is taken and says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from bot.alerts.reading import identity, json_object, mapping, moment, optional, text
from bot.alerts.verify import Secrets, hmac_header
from bot.changes.report import Named, Report, change
from bot.errors import BadRequest
from bot.model import Change, ChangeKind

SOURCE = "github"
SIGNATURE_HEADER = "X-Hub-Signature-256"
EVENT_HEADER = "X-GitHub-Event"

_UNDER_WAY = frozenset(("in_progress", "success"))
_FAILED = frozenset(("failure", "error"))
_FORM = b"payload="


def verify(headers: Mapping[str, str], body: bytes, secrets: Secrets) -> None:
    """`X-Hub-Signature-256: sha256=…` over the raw body. Raises Unauthorized."""
    hmac_header(headers, SIGNATURE_HEADER, body, secrets, prefix="sha256=")


def parse(body: bytes, headers: Mapping[str, str], received_at: float) -> Report:
    """The change of one event. Raises BadRequest naming what is missing or wrong."""
    event = text(headers.get(EVENT_HEADER), 60)
    if event not in ("deployment", "deployment_status"):
        return Report(ignored=f"{event or 'an event without a name'} says nothing of a deployment")
    data = json_object(_document(body))
    deployment = mapping(data.get("deployment"), "deployment")
    status = mapping(data.get("deployment_status"), "deployment_status") if event == "deployment_status" else {}
    state = text(status.get("state"), 40)
    if event == "deployment_status" and state not in _UNDER_WAY | _FAILED:
        return Report(ignored=f"a deployment that is {state or 'in no state'} changes nothing yet")
    told = status or deployment
    at = moment(told.get("created_at"), f"{event}.created_at") or received_at
    return Report((_change(data, deployment, told, at, failed=state in _FAILED),))


def _change(
    data: Mapping[str, Any], deployment: Mapping[str, Any], told: Mapping[str, Any], at: float, *, failed: bool
) -> Change:
    repository = mapping(data.get("repository"), "repository")
    number = identity(deployment.get("id"), 60)
    if not number:
        raise BadRequest("deployment.id is missing")
    environment = text(told.get("environment"), 100) or text(deployment.get("environment"), 100)
    said = _payload(deployment.get("payload"))
    version = _version(deployment)
    title = f"deploy {version}" + (f" to {environment}" if environment else "") + (" failed" if failed else "")
    return change(
        SOURCE, at, Named(said.get("service") or repository.get("name"), environment=environment),
        (ChangeKind.DEPLOY, title),
        f"{identity(repository.get('full_name'), 200)}/{number}{'/failed' if failed else ''}",
        link=next((one for name in ("log_url", "target_url") if (one := told.get(name))), repository.get("html_url")),
        author=optional(told.get("creator")).get("login"),
    )  # fmt: skip


def _document(body: bytes) -> bytes:
    """The JSON of a body: GitHub sends it as a form unless the hook says otherwise, and then as the form's `payload`."""
    if not body.startswith(_FORM):
        return body
    return unquote_to_bytes(body.removeprefix(_FORM).partition(b"&")[0].replace(b"+", b" "))


def _payload(said: object) -> Mapping[str, Any]:
    """Whatever whoever deploys put there: an object, or a text that may hold one."""
    if isinstance(said, str):
        try:
            said = json_object(said.encode(errors="replace"))
        except BadRequest:
            return {}
    return optional(said)


def _version(deployment: Mapping[str, Any]) -> str:
    """`main (f95f852)`; the commit alone where that is what was asked for."""
    ref, commit = text(deployment.get("ref"), 100), text(deployment.get("sha"), 64)
    if not ref or ref == commit:
        return commit[:7] or "an unnamed version"
    return f"{ref} ({commit[:7]})" if commit else ref
