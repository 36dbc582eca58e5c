"""Flux's notification controller, providers `generic` and `generic-hmac` -> changes (notification-controller docs/spec/v1beta3).

Comes in: one event. Goes out: of a Kustomization, one change for each workload it changed or made, or of the Kustomization itself
where it changed something else; of a HelmRelease, one for each install, upgrade, rollback or removal. An event that names no such
thing (a source was fetched, nothing had to be done) is taken and says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bot.alerts.reading import MAX_TEXT, identity, json_object, mapping, moment, optional, text
from bot.alerts.verify import Secrets, bearer_or_basic, hmac_header
from bot.changes.report import Named, Report, change, digest
from bot.errors import BadRequest
from bot.model import ChangeKind

SOURCE = "flux"
SIGNATURE_HEADER = "X-Signature"
MAX_WORKLOADS = 200

_MAX_MESSAGE = 256 * 1024
# kustomize-controller lists what it applied, one resource a line: `Deployment/apps/payments configured`.
_APPLIED = re.compile(
    r"^(?P<kind>[A-Za-z]{1,60})/(?:(?P<namespace>[^/\s]{1,63})/)?(?P<name>[^/\s]{1,253}) (?:configured|created|deleted)$"
)
_WORKLOADS = frozenset(("Deployment", "StatefulSet", "DaemonSet"))
_RELEASED = re.compile(r"^(Install|Upgrade|Rollback|Uninstall)(Succeeded|Failed)$")


def verify(headers: Mapping[str, str], body: bytes, secrets: Secrets) -> None:
    """`X-Signature: sha256=…` over the raw body (`generic-hmac`), or an Authorization header from the provider's secret (`generic`).
    Raises Unauthorized."""
    if SIGNATURE_HEADER in headers:
        hmac_header(headers, SIGNATURE_HEADER, body, secrets, prefix="sha256=")
    else:
        bearer_or_basic(headers, secrets)


def parse(body: bytes, headers: Mapping[str, str], received_at: float) -> Report:
    """The changes of one event. Raises BadRequest naming what is missing or wrong."""
    event = json_object(body)
    involved = mapping(event.get("involvedObject"), "involvedObject")
    kind, name = text(involved.get("kind"), 60), identity(involved.get("name"), 200)
    if not name:
        raise BadRequest("involvedObject.name is missing")
    match kind:
        case "Kustomization":
            return _applied(event, involved, name, received_at)
        case "HelmRelease":
            return _released(event, involved, name, received_at)
        case _:
            return Report(ignored=f"{kind or 'an object without a kind'} says nothing of a service")


def _applied(event: Mapping[str, Any], involved: Mapping[str, Any], name: str, received_at: float) -> Report:
    message = event.get("message")
    lines = message[:_MAX_MESSAGE].splitlines() if isinstance(message, str) else []
    applied = [found for line in lines if (found := _APPLIED.match(line.strip()))]
    if not applied:
        return Report(ignored=f"Kustomization {name} changed nothing")
    workloads = [(one["name"], one["namespace"] or "") for one in applied if one["kind"] in _WORKLOADS]
    namespace, revision = text(involved.get("namespace"), 200), _revision(event)
    what = (
        ChangeKind.DEPLOY if workloads else ChangeKind.CONFIG,
        f"Kustomization {name} applied {revision or 'a new revision'}",
    )
    at, environment = _at(event, received_at), _environment(event)
    return Report(
        tuple(
            # The same revision applied again over what drifted is another change.
            change(SOURCE, at, Named(*one, environment), what, f"{namespace}/{name}/{revision}/{at}/{'/'.join(one)}")
            for one in workloads[:MAX_WORKLOADS] or [(name, namespace)]
        )
    )


def _released(event: Mapping[str, Any], involved: Mapping[str, Any], name: str, received_at: float) -> Report:
    found = _RELEASED.match(text(event.get("reason"), 60))
    if found is None:
        return Report(ignored=f"{text(event.get('reason'), 60) or 'no reason'} of HelmRelease {name} changes nothing")
    namespace, revision = text(involved.get("namespace"), 200), _revision(event)
    done = "failed" if found[2] == "Failed" else "done"
    title = f"Helm {found[1].lower()} of {name}{f' to {revision}' if revision else ''} {done}"
    return Report(
        (
            change(
                SOURCE, _at(event, received_at), Named(name, namespace, _environment(event)), (ChangeKind.DEPLOY, title),
                f"{namespace}/{name}/{found[0]}/{revision}/{digest(text(event.get('message'), MAX_TEXT))}",
            ),
        )
    )  # fmt: skip


def _at(event: Mapping[str, Any], received_at: float) -> float:
    return moment(event.get("timestamp"), "timestamp") or received_at


def _revision(event: Mapping[str, Any]) -> str:
    """`metadata.revision`; events that did not pass through an Alert have the controller's prefix before it."""
    metadata = optional(event.get("metadata"))
    found = (text(value, 200) for key, value in metadata.items() if text(key, 200).rpartition("/")[2] == "revision")
    return next(found, "")


def _environment(event: Mapping[str, Any]) -> str:
    """What an Alert's `eventMetadata` (or an annotation event.toolkit.fluxcd.io/environment) calls `environment`."""
    return text(optional(event.get("metadata")).get("environment"), 100)
