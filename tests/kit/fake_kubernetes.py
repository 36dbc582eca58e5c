"""A Kubernetes API server to test against: lists in pages, watches from a resource version, and its ways to fail.

async with FakeKubernetes() as cluster:
    cluster.put("pods", pod("web-1", ip="10.0.0.1"))
    ...
    cluster.forget_history()   # the next watch gets 410 Gone
    cluster.drop_watches()     # connections break in the middle of a line
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from typing import Any, Self

from aiohttp import web

TOKEN = "kubernetes-token-for-tests"
PATHS = {
    "pods": "/api/v1/pods",
    "services": "/api/v1/services",
    "nodes": "/api/v1/nodes",
    "endpointslices": "/apis/discovery.k8s.io/v1/endpointslices",
    "deployments": "/apis/apps/v1/deployments",
    "statefulsets": "/apis/apps/v1/statefulsets",
    "daemonsets": "/apis/apps/v1/daemonsets",
}
KINDS = {
    "pods": "Pod", "services": "Service", "nodes": "Node", "endpointslices": "EndpointSlice", "deployments": "Deployment",
    "statefulsets": "StatefulSet", "daemonsets": "DaemonSet",
}  # fmt: skip
Json = dict[str, Any]


class FakeKubernetes:
    """The server. `refuse[resource]` is a status to answer with instead; `token` may be changed, as it rotates."""

    def __init__(self, *, page: int = 500) -> None:
        self.url = ""
        self.token = TOKEN
        self.refuse: dict[str, int] = {}
        self.requests: Counter[str] = Counter()
        """`list pods`, `watch pods`, …: how often it was asked."""
        self._page = page
        self._version = 1_000
        self._forgotten = 0
        self._objects: dict[str, dict[tuple[str, str], Json]] = {name: {} for name in PATHS}
        self._events: dict[str, list[tuple[int, Json]]] = {name: [] for name in PATHS}
        self._once: set[int] = set()
        self._watches: set[web.StreamResponse] = set()
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        application = web.Application()
        for resource, path in PATHS.items():
            application.router.add_get(path, self._handler(resource))
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.drop_watches()
        await self._runner.cleanup()

    # -- for tests -----------------------------------------------------------------------------------------------------

    def put(self, resource: str, one: Json) -> None:
        """Create or change an object."""
        place = _place(one)
        kind = "MODIFIED" if place in self._objects[resource] else "ADDED"
        self._objects[resource][place] = self._stamped(resource, one)
        self._tell(resource, kind, self._objects[resource][place])

    def delete(self, resource: str, name: str, namespace: str = "shop") -> None:
        """Delete an object."""
        one = self._objects[resource].pop((namespace, name))
        self._tell(resource, "DELETED", self._stamped(resource, one))

    def delete_unseen(self, resource: str, name: str, namespace: str = "shop") -> None:
        """Delete an object without an event: a watcher can only find out by listing."""
        self._version += 1
        del self._objects[resource][namespace, name]

    def bookmark(self, resource: str) -> None:
        """Tell watchers how far they are, with an object that is empty but for that."""
        self._version += 1
        metadata = {"resourceVersion": str(self._version), "creationTimestamp": None}
        self._tell(resource, "BOOKMARK", {"kind": KINDS[resource], "metadata": metadata, "spec": {"containers": None}})

    def send(self, resource: str, event: Json, *, once: bool = False) -> None:
        """Send watchers any event; `once`: only to those that watch now, and not to who comes back."""
        self._version += 1
        self._events[resource].append((self._version, event))
        if once:
            self._once.add(self._version)
        self._wake()

    def forget_history(self) -> None:
        """Compact: no watch can start from a version before now."""
        self._version += 1
        self._forgotten = self._version

    def drop_watches(self, rest: bytes = b'{"type":"MODIFIED","object":{"meta') -> None:
        """Break every watch, in the middle of a line."""
        for watch in list(self._watches):
            task = asyncio.ensure_future(_break(watch, rest))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._watches.clear()
        self._wake()

    # -- requests ------------------------------------------------------------------------------------------------------

    def _handler(self, resource: str) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            watching = request.query.get("watch") == "true"
            self.requests[f"{'watch' if watching else 'list'} {resource}"] += 1
            if request.headers.get("Authorization") != f"Bearer {self.token}":
                return _status(401, "Unauthorized")
            if resource in self.refuse:
                return _status(self.refuse[resource], "Refused")
            return await self._watch(request, resource) if watching else self._list(request, resource)

        return handle

    def _list(self, request: web.Request, resource: str) -> web.Response:
        start = int(request.query.get("continue", "0"))
        size = min(self._page, int(request.query.get("limit", "500")))
        objects = [self._objects[resource][place] for place in sorted(self._objects[resource])]
        metadata = {"resourceVersion": str(self._version)}
        if start + size < len(objects):
            metadata["continue"] = str(start + size)
        return web.json_response(
            {"kind": f"{KINDS[resource]}List", "metadata": metadata, "items": objects[start : start + size]}
        )

    async def _watch(self, request: web.Request, resource: str) -> web.StreamResponse:
        version = int(request.query["resourceVersion"])
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        if version < self._forgotten:
            gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
            await response.write(_line({"type": "ERROR", "object": gone}))
            return response
        self._watches.add(response)
        try:
            while response in self._watches:
                for at, event in [one for one in self._events[resource] if one[0] > version]:
                    version = at
                    if at in self._once:
                        self._once.discard(at)
                        self._events[resource] = [one for one in self._events[resource] if one[0] != at]
                    line = _line(event)
                    await response.write(line[: len(line) // 2])  # chunks end anywhere but at a line's end
                    await response.write(line[len(line) // 2 :])
                async with self._news:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._news.wait(), 0.05)
        finally:
            self._watches.discard(response)
        return response

    def _stamped(self, resource: str, one: Json) -> Json:
        self._version += 1
        metadata = {"uid": f"uid-{one['metadata']['name']}"} | one["metadata"] | {"resourceVersion": str(self._version)}
        return one | {"kind": KINDS[resource], "metadata": metadata}

    def _tell(self, resource: str, kind: str, one: Json) -> None:
        self._events[resource].append((self._version, {"type": kind, "object": one}))
        self._wake()

    def _wake(self) -> None:
        task = asyncio.ensure_future(self._notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self) -> None:
        async with self._news:
            self._news.notify_all()


def pod(name: str, *, ip: str = "", owner: tuple[str, str] | None = None, started: str = "", **more: Any) -> Json:
    """A running pod in namespace `shop`. `owner` is (kind, name); `labels`, `annotations`, `phase`, `hostNetwork`, `namespace`."""
    metadata: Json = {"name": name, "namespace": more.get("namespace", "shop")}
    metadata |= {key: more[key] for key in ("labels", "annotations", "uid") if key in more}
    if owner is not None:
        metadata["ownerReferences"] = [{"kind": owner[0], "name": owner[1], "controller": True}]
    status: Json = {"phase": more.get("phase", "Running")}
    if ip:
        status |= {"podIP": ip, "podIPs": [{"ip": ip}]}
    if started:
        status["containerStatuses"] = [{"name": "main", "state": {"running": {"startedAt": started}}}]
    return {
        "metadata": metadata,
        "spec": {"hostNetwork": more.get("hostNetwork", False), "nodeName": more.get("node", "")},
        "status": status | more.get("status", {}),
    }


def deployed(workload: str, suffix: str, *, ip: str = "", started: str = "", **more: Any) -> Json:
    """A pod of a Deployment, by way of its ReplicaSet."""
    template = "7d9f8b6c5d"
    labels = {"pod-template-hash": template} | more.pop("labels", {})
    owner = ("ReplicaSet", f"{workload}-{template}")
    return pod(f"{workload}-{template}-{suffix}", ip=ip, owner=owner, started=started, labels=labels, **more)


def service(name: str, ip: str, ports: dict[str, int], *, balancer: tuple[Json, ...] = (), created: str = "") -> Json:
    """A Service in namespace `shop`; `ports` by name."""
    metadata: Json = {"name": name, "namespace": "shop"} | ({"creationTimestamp": created} if created else {})
    listed = [{"name": key, "port": port, "protocol": "TCP"} if key else {"port": port} for key, port in ports.items()]
    return {
        "metadata": metadata,
        "spec": {
            "type": "LoadBalancer" if balancer else "ClusterIP",
            "clusterIP": ip,
            "clusterIPs": [ip],
            "ports": listed,
        },
        "status": {"loadBalancer": {"ingress": list(balancer)} if balancer else {}},
    }


def endpoint_slice(
    service_name: str, ready: dict[str, bool | None], ports: dict[str, int], suffix: str = "abcde"
) -> Json:
    """The endpoints of a Service: address -> whether it is ready."""
    labels = {"kubernetes.io/service-name": service_name}
    return {
        "metadata": {"name": f"{service_name}-{suffix}", "namespace": "shop", "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [ip], "conditions": {"ready": is_ready}} for ip, is_ready in ready.items()],
        "ports": [{"name": name, "port": port, "protocol": "TCP"} for name, port in ports.items()],
    }


def workload(name: str, *images: str, replicas: int | None = 3, generation: int = 1, **more: Any) -> Json:
    """A Deployment (or the like) in namespace `shop`, one container for each image; `labels`, `annotations` and `env` of its
    pods."""
    containers = [
        {"name": f"c{number}", "image": image, "env": more.get("env", [])} for number, image in enumerate(images)
    ]
    metadata: Json = {"name": name, "namespace": more.get("namespace", "shop"), "generation": generation}
    metadata |= {key: more[key] for key in ("uid",) if key in more}
    template = {
        "metadata": {key: more[key] for key in ("labels", "annotations") if key in more},
        "spec": {"containers": containers},
    }
    return {
        "metadata": metadata,
        "spec": ({} if replicas is None else {"replicas": replicas}) | {"template": template},
    }


def node(name: str, *addresses: str, zone: str = "") -> Json:
    """A node."""
    given = [{"type": "InternalIP", "address": ip} for ip in addresses] + [{"type": "Hostname", "address": name}]
    labels = {"topology.kubernetes.io/zone": zone} if zone else {}
    return {"metadata": {"name": name, "labels": labels}, "status": {"addresses": given}}


def _place(one: Json) -> tuple[str, str]:
    return one["metadata"].get("namespace", ""), one["metadata"]["name"]


def _line(event: Json) -> bytes:
    return json.dumps(event).encode() + b"\n"


async def _break(watch: web.StreamResponse, rest: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        await watch.write(rest)
    payload = watch._payload_writer
    if payload is not None and payload.transport is not None:
        payload.transport.abort()


def _status(code: int, reason: str) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "reason": reason}, status=code)
