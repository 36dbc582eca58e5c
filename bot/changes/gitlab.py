"""GitLab's deployment and feature flag webhooks -> changes (docs.gitlab.com, "Webhook events").

Comes in: one event, signed with the hook's signing token, or with its secret token in a header as it is. Goes out: one change for
each deployment, when it starts or, where that was not told, when it is done; another one where it failed; one for each turn of a
feature flag. Every other event is taken and says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.alerts.reading import identity, json_object, mapping, moment, optional, text
from bot.alerts.verify import Secrets, any_equal, standard_webhook
from bot.changes.report import Named, Report, change
from bot.errors import BadRequest, Unauthorized
from bot.model import Change, ChangeKind

SOURCE = "gitlab"
TOKEN_HEADER = "X-Gitlab-Token"  # noqa: S105 - the header's name
SIGNATURE_HEADER = "webhook-signature"
EVENT_ID_HEADERS = ("webhook-id", "Idempotency-Key", "X-Gitlab-Event-UUID")
"""The first two are the same for every attempt of one delivery, and the first is signed; older versions have only the last."""

_UNDER_WAY = frozenset(("running", "success"))


def verify(headers: Mapping[str, str], body: bytes, secrets: Secrets) -> None:
    """`webhook-signature`, where the hook has a signing token; else `X-Gitlab-Token`, its secret token. Raises Unauthorized."""
    if SIGNATURE_HEADER in headers:
        standard_webhook(headers, body, secrets)
    elif not any_equal(headers.get(TOKEN_HEADER, ""), secrets):
        raise Unauthorized(f"the {TOKEN_HEADER} header is missing or not one of this source's secrets")


def parse(body: bytes, headers: Mapping[str, str], received_at: float) -> Report:
    """The change of one event. Raises BadRequest naming what is missing or wrong."""
    data = json_object(body)
    match text(data.get("object_kind"), 60):
        case "deployment":
            return _deployment(data, received_at)
        case "feature_flag":
            return Report((_flag(data, headers, received_at),))
        case kind:
            return Report(ignored=f"{kind or 'an event without object_kind'} says nothing of a change")


def _deployment(data: Mapping[str, Any], received_at: float) -> Report:
    status = text(data.get("status"), 40)
    failed = status == "failed"
    if status not in _UNDER_WAY and not failed:
        return Report(ignored=f"a deployment that is {status or 'in no state'} changes nothing")
    number, name = identity(data.get("deployment_id"), 60), _project(data)
    if not number:
        raise BadRequest("deployment_id is missing")
    environment = text(data.get("environment"), 100)
    version = text(data.get("ref"), 100) or text(data.get("short_sha"), 40)
    title = " ".join(part for part in ("deploy", version, f"to {environment}" if environment else "") if part)
    commit = text(data.get("commit_title"), 200)
    made = change(
        SOURCE,
        moment(data.get("status_changed_at"), "status_changed_at") or received_at,
        Named(name.rpartition("/")[2], environment=environment),
        (ChangeKind.DEPLOY, f"{title}{' failed' if failed else ''}{f': {commit}' if commit else ''}"),
        f"{name}/{number}{'/failed' if failed else ''}",
        link=data.get("deployable_url") or data.get("commit_url"),
        author=optional(data.get("user")).get("username"),
    )
    return Report((made,))


def _flag(data: Mapping[str, Any], headers: Mapping[str, str], received_at: float) -> Change:
    flag, name = mapping(data.get("object_attributes"), "object_attributes"), _project(data)
    turned = "on" if flag.get("active") is True else "off"
    # The body is the same whenever a flag is turned the same way, and it carries no time.
    delivery = next((one for header in EVENT_ID_HEADERS if (one := headers.get(header))), str(received_at))
    return change(
        SOURCE, received_at, Named(name.rpartition("/")[2]),
        (ChangeKind.FLAG, f"flag {text(flag.get('name'), 200) or 'without a name'} turned {turned}"),
        f"{name}/flag/{identity(flag.get('id'), 60)}/{turned}/{delivery}",
        link=optional(data.get("project")).get("web_url"), author=optional(data.get("user")).get("username"),
    )  # fmt: skip


def _project(data: Mapping[str, Any]) -> str:
    """The project's path; its name may be changed at will and hold spaces."""
    project = mapping(data.get("project"), "project")
    found = identity(project.get("path_with_namespace"), 200) or identity(project.get("name"), 200)
    if not found:
        raise BadRequest("project.path_with_namespace is missing")
    return found
