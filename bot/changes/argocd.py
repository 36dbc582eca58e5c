"""Argo CD's notifications -> changes (argo-cd docs, operator-manual/notifications/services/webhook.md).

Comes in: what our template makes (see deploy/argocd-notifications.yaml): `{"app": <the Application>, "service"?, "environment"?}`,
or the Application alone; Argo CD has no body of its own. Goes out: one change for each sync operation and workload
(Deployment, StatefulSet, DaemonSet) that it changed or made; of the application itself where the operation names no such
resource; another one where the operation failed. An operation that is neither running nor done says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.alerts.reading import identity, json_object, mapping, moment, optional, text
from bot.alerts.verify import Secrets, bearer_or_basic
from bot.changes.report import Named, Report, change
from bot.errors import BadRequest
from bot.model import ChangeKind

SOURCE = "argocd"
MAX_WORKLOADS = 200
WORKLOADS = frozenset(("Deployment", "StatefulSet", "DaemonSet", "Rollout"))

_UNDER_WAY = frozenset(("Running", "Succeeded"))
_FAILED = frozenset(("Failed", "Error"))
_CHANGED = ("configured", "created", "replaced")
"""How kubectl's message on an applied resource ends; one that stayed as it was says `unchanged`."""


def verify(headers: Mapping[str, str], body: bytes, secrets: Secrets) -> None:
    """A bearer token or basic auth, which are what its webhook service can send. Raises Unauthorized."""
    bearer_or_basic(headers, secrets)


def parse(body: bytes, headers: Mapping[str, str], received_at: float) -> Report:
    """The changes of one operation. Raises BadRequest naming what is missing or wrong."""
    data = json_object(body)
    app = mapping(data.get("app", data), "app")
    metadata = mapping(app.get("metadata"), "app.metadata")
    name = identity(metadata.get("name"), 200)
    if not name:
        raise BadRequest("app.metadata.name is missing")
    status = optional(app.get("status"))
    operation = optional(status.get("operationState"))
    phase = text(operation.get("phase"), 40)
    if phase not in _UNDER_WAY | _FAILED:
        return Report(ignored=f"an operation that is {phase or 'in no phase'} changes nothing")
    failed = phase in _FAILED
    result = optional(operation.get("syncResult"))
    revision = _revision(result) or _revision(optional(status.get("sync")))
    title = f"sync of {name}{f' to {revision}' if revision else ''}{' failed' if failed else ''}"
    started = moment(operation.get("startedAt"), "app.status.operationState.startedAt")
    by = optional(optional(operation.get("operation")).get("initiatedBy"))
    environment = data.get("environment", "")
    namespace = optional(optional(app.get("spec")).get("destination")).get("namespace", "")
    # Without a time of its own, an operation is known by what it brought.
    which = f"{text(metadata.get('namespace'), 200)}/{name}/{started or revision}{'/failed' if failed else ''}"
    return Report(
        tuple(
            change(
                SOURCE, started or received_at, service, (ChangeKind.DEPLOY, title), f"{which}/{service.name}",
                link=data.get("link"), author=by.get("username") or ("automated" if by.get("automated") else ""),
            )
            for service in _services(data, result, name, namespace, environment)
        )
    )  # fmt: skip


def _services(
    data: Mapping[str, Any], result: Mapping[str, Any], name: str, namespace: object, environment: object
) -> list[Named]:
    if data.get("service"):
        return [Named(data["service"], "", environment)]
    resources = result.get("resources")
    found = [
        Named(identity(one.get("name"), 200), text(one.get("namespace"), 200), environment)
        for one in (resources if isinstance(resources, list) else ())
        if isinstance(one, dict) and one.get("kind") in WORKLOADS and text(one.get("message"), 500).endswith(_CHANGED)
    ]
    return [one for one in found if one.name][:MAX_WORKLOADS] or [Named(name, namespace, environment)]


def _revision(holder: Mapping[str, Any]) -> str:
    """What was brought: the first seven digits of a commit, or a chart's version; of several sources, each."""
    several = holder.get("revisions")
    given = [text(one, 64) for one in several[:10]] if isinstance(several, list) else [text(holder.get("revision"), 64)]
    return ", ".join(one[:7] if len(one) == 40 else one for one in given if one)
