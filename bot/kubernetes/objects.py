"""The parts of Kubernetes objects that say who has which address, and what is rolled out. Comes in: JSON of the API. Goes out: these types.

What is lost: every other field, unread. An object that does not fit its type costs only itself.

Sources: kubernetes.io/docs/reference/kubernetes-api: core/v1 Pod, Service, Node; discovery.k8s.io/v1 EndpointSlice;
apps/v1 Deployment, StatefulSet, DaemonSet.
"""

from __future__ import annotations

from datetime import datetime

import msgspec


class _Read(msgspec.Struct, rename="camel", gc=False):
    """Field names are the API's, in our spelling."""


class Owner(_Read):
    """The controller that made an object."""

    kind: str = ""
    name: str = ""
    controller: bool | None = None


class Metadata(_Read):
    """What every object has. Times are aware datetimes."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[Owner] | None = None
    creation_timestamp: datetime | None = None


class Address(_Read):
    """One of an object's addresses."""

    ip: str = ""


class Ran(_Read):
    """When a container ran."""

    started_at: datetime | None = None
    finished_at: datetime | None = None


class ContainerState(_Read):
    """One of the two is there, or none before the container ever ran."""

    running: Ran | None = None
    terminated: Ran | None = None


class ContainerStatus(_Read):
    """A container now, and the one it replaced."""

    state: ContainerState | None = None
    last_state: ContainerState | None = None


class Condition(_Read):
    """A pod's condition. `status` is the text True, False or Unknown."""

    type: str = ""
    status: str = ""
    last_transition_time: datetime | None = None


class PodSpec(_Read):
    """`host_network`: it has its node's addresses, and none of its own."""

    host_network: bool | None = None
    node_name: str = ""


class PodStatus(_Read):
    """`pod_ips` has one address for each family, `pod_ip` the first of them."""

    phase: str = ""
    pod_ip: str = msgspec.field(name="podIP", default="")
    pod_ips: list[Address] | None = msgspec.field(name="podIPs", default=None)
    conditions: list[Condition] | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None


class Pod(_Read):
    """A pod."""

    metadata: Metadata
    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)


class ServicePort(_Read):
    """A port of a Service. Its name, not its number, ties it to the endpoints' ports."""

    port: int
    name: str = ""


class ServiceSpec(_Read):
    """`cluster_ips` has one address for each family, or the text None for a headless Service."""

    type: str = ""
    cluster_ip: str = msgspec.field(name="clusterIP", default="")
    cluster_ips: list[str] | None = msgspec.field(name="clusterIPs", default=None)
    ports: list[ServicePort] | None = None


class LoadBalancerStatus(_Read):
    """Addresses of the load balancer; those known by a host name only have none."""

    ingress: list[Address] | None = None


class ServiceStatus(_Read):
    """What the cloud gave a Service."""

    load_balancer: LoadBalancerStatus | None = None


class Service(_Read):
    """A Service."""

    metadata: Metadata
    spec: ServiceSpec = msgspec.field(default_factory=ServiceSpec)
    status: ServiceStatus = msgspec.field(default_factory=ServiceStatus)


class Conditions(_Read):
    """`ready` unknown counts as ready (the API's own rule)."""

    ready: bool | None = None


class Endpoint(_Read):
    """One backend. All its addresses are the same."""

    addresses: list[str] | None = None
    conditions: Conditions | None = None


class EndpointPort(_Read):
    """The port endpoints listen on; no number means all ports."""

    name: str | None = None
    port: int | None = None


class EndpointSlice(_Read):
    """Some of a Service's backends; the label `kubernetes.io/service-name` says whose."""

    metadata: Metadata
    address_type: str = ""
    endpoints: list[Endpoint] | None = None
    ports: list[EndpointPort] | None = None


class NodeAddress(_Read):
    """`type` is InternalIP, ExternalIP or Hostname; an address may be a name."""

    type: str = ""
    address: str = ""


class NodeStatus(_Read):
    """A node's addresses."""

    addresses: list[NodeAddress] | None = None


class Node(_Read):
    """A node."""

    metadata: Metadata
    status: NodeStatus = msgspec.field(default_factory=NodeStatus)


class Container(_Read):
    """One container of a pod template."""

    name: str = ""
    image: str = ""


class TemplateSpec(_Read):
    """What a template's pods run."""

    containers: list[Container] | None = None
    init_containers: list[Container] | None = None


class Template(_Read):
    """A pod template."""

    metadata: Metadata = msgspec.field(default_factory=Metadata)
    spec: TemplateSpec = msgspec.field(default_factory=TemplateSpec)


class WorkloadSpec(_Read):
    """`template` stays as it came: whether it changed is asked of all of it. A DaemonSet has no `replicas`."""

    replicas: int | None = None
    template: msgspec.Raw = msgspec.Raw(b"{}")


class Workload(_Read):
    """What keeps pods running."""

    metadata: Metadata
    spec: WorkloadSpec = msgspec.field(default_factory=WorkloadSpec)


class Deployment(Workload):
    """A Deployment."""


class StatefulSet(Workload):
    """A StatefulSet."""


class DaemonSet(Workload):
    """A DaemonSet."""


class Bookmark(_Read):
    """An object sent for its resource version only."""

    metadata: Metadata


Object = Pod | Service | EndpointSlice | Node | Workload
