"""Builds what the sources of changes send, with the fields that matter and some that do not."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from bot import names
from bot.model import Node

SECRET = "secret-of-a-change-source"


def node(name: str, namespace: str = "", environment: str = "") -> Node:
    """A service of the map."""
    made = names.service(name, namespace, environment)
    assert made is not None
    return made


def signed(header: str, body: bytes, secret: str = SECRET) -> dict[str, str]:
    """`header: sha256=…`, as GitHub and Flux sign."""
    return {header: "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def packed(value: object) -> bytes:
    """The value as JSON."""
    return json.dumps(value).encode()


def github(event: str = "deployment_status", state: str = "success", **changes: Any) -> dict[str, Any]:
    """A deployment of acme/payments, number 17, or its status. `changes` replace fields of the deployment."""
    deployment = {
        "id": 17, "sha": "f95f852bd8fca8fcc58a9a2d6c842781e32a215e", "ref": "main", "task": "deploy", "payload": {},
        "environment": "production", "creator": {"login": "ada"}, "created_at": "2026-11-23T02:40:00Z",
    } | changes  # fmt: skip
    status = {
        "id": 99, "state": state, "environment": "production", "creator": {"login": "bob"}, "log_url": "https://ci.example/17",
        "created_at": "2026-11-23T02:44:00Z",
    }  # fmt: skip
    repository = {"name": "payments", "full_name": "acme/payments", "html_url": "https://github.example/acme/payments"}
    told = {"deployment_status": status} if event == "deployment_status" else {}
    return {"action": "created", "deployment": deployment, "repository": repository, "sender": {"login": "bob"}} | told


def gitlab(status: str = "success", **changes: Any) -> dict[str, Any]:
    """A deployment of shop/payments, number 15."""
    return {
        "object_kind": "deployment", "status": status, "status_changed_at": "2026-11-23 03:44:00 +0100", "deployment_id": 15,
        "deployable_url": "https://gitlab.example/shop/payments/-/jobs/796", "environment": "production", "short_sha": "279484c0",
        "project": {"name": "The Payments", "path_with_namespace": "shop/payments"}, "user": {"username": "ada"},
        "commit_title": "Charge twice",
    } | changes  # fmt: skip


def gitlab_flag(active: bool = True) -> dict[str, Any]:
    """A feature flag of shop/payments that was turned."""
    return {
        "object_kind": "feature_flag", "user": {"username": "ada"},
        "project": {"path_with_namespace": "shop/payments", "web_url": "https://gitlab.example/shop/payments"},
        "object_attributes": {"id": 6, "name": "new-ledger", "active": active},
    }  # fmt: skip


def argocd(phase: str = "Succeeded", resources: object = None, **changes: Any) -> dict[str, Any]:
    """A sync of the application shop."""
    operation = {
        "phase": phase, "startedAt": "2026-11-23T02:44:00Z", "operation": {"initiatedBy": {"username": "ada"}},
        "syncResult": {"revision": "f95f852bd8fca8fcc58a9a2d6c842781e32a215e", "resources": resources},
    }  # fmt: skip
    app = {
        "metadata": {"name": "shop", "namespace": "argocd"}, "spec": {"destination": {"namespace": "apps"}},
        "status": {"operationState": operation, "sync": {"status": "Synced"}},
    }  # fmt: skip
    return {"app": app, "link": "https://argocd.example/applications/argocd/shop"} | changes


def applied(kind: str, name: str, message: str, namespace: str = "apps") -> dict[str, str]:
    """One resource of a sync."""
    return {"group": "apps", "version": "v1", "kind": kind, "namespace": namespace, "name": name, "message": message}


def flux(kind: str = "Kustomization", message: str = "", **changes: Any) -> dict[str, Any]:
    """An event of the Kustomization or HelmRelease payments."""
    return {
        "involvedObject": {"kind": kind, "name": "payments", "namespace": "apps", "uid": "7d0c"}, "severity": "info",
        "timestamp": "2026-11-23T02:44:00Z", "message": message, "reason": "Progressing",
        "reportingController": "kustomize-controller", "metadata": {"revision": "main@sha1:731f7ea"},
    } | changes  # fmt: skip


def pagerduty(**changes: Any) -> dict[str, Any]:
    """A change event as a pipeline enqueues it."""
    payload = {
        "summary": "Build 2 of payments is out", "timestamp": "2026-11-23T02:44:00.000+0000", "source": "pipeline-1",
        "custom_details": {"service": "payments", "build": "2"},
    } | changes  # fmt: skip
    return {"routing_key": SECRET, "payload": payload, "links": [{"href": "https://ci.example/2", "text": "Build"}]}
