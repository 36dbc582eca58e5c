"""What follows from a cluster's objects: who had which address when, and where Services lead."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from bot.kubernetes import naming
from bot.kubernetes.identities import Identities, Record
from bot.kubernetes.objects import EndpointSlice, Node, Object, Pod, Service
from bot.telemetry import identities as door
from tests.kit.fake_kubernetes import deployed, endpoint_slice, node, pod, service

NOW = 1_700_000_000.0


def at(seconds: float) -> str:
    return datetime.fromtimestamp(NOW + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read(one: dict[str, Any]) -> Object:
    kinds: dict[str, type[Object]] = {"endpoints": EndpointSlice, "addressType": EndpointSlice}
    kind = next((kinds[key] for key in one if key in kinds), None)
    if kind is None:
        kind = Node if "spec" not in one else Service if "clusterIP" in one["spec"] else Pod
    return msgspec.json.decode(json.dumps(one), type=kind)


def put(mirror: Identities, one: dict[str, Any], now: float = NOW) -> list[Record]:
    records = mirror.put(read(one), now)
    accepted_by_the_door(records)
    return records


def accepted_by_the_door(records: list[Record]) -> None:
    """Our own format is what the other end reads."""
    batch = door.decode("\n".join(map(json.dumps, records)).encode(), NOW + 10_000)
    assert batch.errors == []


def mirror(*objects: dict[str, Any]) -> Identities:
    made = Identities()
    for one in objects:
        made.put(read(one), NOW)
    made.begin(NOW)
    accepted_by_the_door(made.records())
    return made


def owners(records: list[Record]) -> dict[object, object]:
    return {record["ip"]: record.get("service") for record in records if "service" in record}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (deployed("payments", "x2x9z"), "payments"),
        (pod("payments-db-0", owner=("StatefulSet", "payments-db")), "payments-db"),
        (pod("agent-x2x9z", owner=("DaemonSet", "agent")), "agent"),
        (pod("report-28374650-x2x9z", owner=("Job", "report-28374650")), "report"),
        (pod("migrate-x2x9z", owner=("Job", "migrate")), "migrate"),
        (pod("etcd-node-1", owner=("Node", "node-1")), "etcd"),
        (pod("pg-1", owner=("Cluster", "pg")), "pg"),
        (pod("web-2", owner=("ReplicaSet", "web")), "web"),
        (pod("db-0"), "db-0"),
    ],
)
def test_a_pod_is_called_after_the_workload_that_made_it(given: dict[str, Any], name: str) -> None:
    found = read(given)
    assert isinstance(found, Pod)
    assert naming.workload(found) == name


def test_two_deployments_of_one_service_keep_their_own_names_beside_it() -> None:
    written = {
        "resource.opentelemetry.io/service.name": "payments",
        "resource.opentelemetry.io/service.namespace": "money",
    }
    made = mirror(
        deployed("payments", "x2x9z", ip="10.0.0.1", annotations=written),
        deployed("payments-canary", "y3y8w", ip="10.0.0.2", annotations=written),
    )
    claims = door.decode("\n".join(map(json.dumps, made.records())).encode(), NOW + 10_000).claims

    assert {claim.ip: (claim.node.id, claim.workload) for claim in claims} == {
        "10.0.0.1": ("payments.money", "payments.shop"),
        "10.0.0.2": ("payments.money", "payments-canary.shop"),
    }


def test_a_pod_has_its_address_since_its_first_container_started() -> None:
    records = put(mirror(), deployed("payments", "x2x9z", ip="10.0.0.1", started=at(-60)))

    assert records == [
        {
            "ip": "10.0.0.1",
            "service": "payments",
            "namespace": "shop",
            "start": NOW - 60,
            "end": None,
            "kind": "service",
            "workload": "payments.shop",
        }
    ]


def test_the_readiness_of_its_network_says_it_better() -> None:
    condition = {"type": "PodReadyToStartContainers", "status": "True", "lastTransitionTime": at(-90)}
    records = put(mirror(), pod("web", ip="10.0.0.1", started=at(-60), status={"conditions": [condition]}))

    assert records[0]["start"] == NOW - 90


def test_what_somebody_wrote_down_goes_before_the_release_and_the_release_before_the_workload() -> None:
    instance = {"app.kubernetes.io/instance": "checkout", "app.kubernetes.io/name": "nginx"}
    otel = "resource.opentelemetry.io/"
    written = {
        f"{otel}service.name": "pay", f"{otel}service.namespace": "money", f"{otel}deployment.environment.name": "prod",
    }  # fmt: skip
    both = deployed("deploy-a", "x2x9z", ip="10.0.0.1", labels=instance, annotations=written)
    label = deployed("deploy-b", "x2x9z", ip="10.0.0.2", labels=instance, namespace="other")

    records = mirror(both, label).records()

    assert owners(records) == {"10.0.0.1": "pay", "10.0.0.2": "checkout"}
    assert (records[0]["namespace"], records[0]["environment"]) == ("money", "prod")


def test_a_release_of_several_workloads_names_none_of_them_and_its_jobs_do_not_count() -> None:
    instance = {"app.kubernetes.io/instance": "shop"}
    job = pod("migrate-x2x9z", ip="10.0.0.3", owner=("Job", "migrate"), labels=instance)
    cluster = mirror(deployed("cart", "x2x9z", ip="10.0.0.1", labels=instance, started=at(-60)), job)
    assert owners(cluster.records()) == {"10.0.0.1": "shop", "10.0.0.3": "migrate"}

    records = put(cluster, deployed("search", "x2x9z", ip="10.0.0.2", labels=instance))

    assert owners(records) == {"10.0.0.1": "cart", "10.0.0.2": "search"}
    assert next(one for one in records if one["ip"] == "10.0.0.1")["start"] == NOW - 60, "it always was cart"


def test_a_node_s_address_is_never_a_pod_s() -> None:
    host = pod("kube-proxy-x2x9z", ip="192.168.0.1", hostNetwork=True)
    unsaid = pod("odd", ip="192.168.0.2")  # says nothing of the host's network, and is on it
    assert mirror(host, unsaid, node("n1", "192.168.0.1", "192.168.0.2")).records() == []

    cluster = mirror(unsaid)
    assert owners(cluster.records()) == {"192.168.0.2": "odd"}
    assert [one["end"] for one in put(cluster, node("n2", "192.168.0.2"), NOW + 5)] == [NOW + 5]
    assert cluster.records() == []


def test_a_pod_that_is_over_gives_its_address_back_when_its_last_container_ended() -> None:
    cluster = mirror(pod("job", ip="10.0.0.1", started=at(-60)))
    ended = {"containerStatuses": [{"state": {"terminated": {"startedAt": at(-60), "finishedAt": at(20)}}}]}

    records = put(cluster, pod("job", ip="10.0.0.1", phase="Succeeded", status=ended), NOW + 30)

    assert [(one["ip"], one["start"], one["end"]) for one in records] == [("10.0.0.1", NOW - 60, NOW + 20)]
    assert cluster.records() == []


def test_a_deleted_pod_ends_and_one_that_was_missed_ends_when_it_is_missed() -> None:
    first, second = pod("a", ip="10.0.0.1", started=at(-60)), pod("b", ip="10.0.0.2", started=at(-60))
    cluster = mirror(first, second)

    assert [one["end"] for one in cluster.remove(read(first), NOW + 5)] == [NOW + 5]
    assert [(one["ip"], one["end"]) for one in cluster.replace(Pod, [], NOW + 9)] == [("10.0.0.2", NOW + 9)]


def test_an_address_that_went_on_to_another_pod_is_not_taken_from_it_when_the_first_is_deleted() -> None:
    old = deployed("payments", "aaaaa", ip="10.0.0.1", started=at(-600))
    cluster = mirror(old)
    new = put(cluster, deployed("payments", "bbbbb", ip="10.0.0.1", started=at(0)), NOW + 1)
    assert [one["start"] for one in new] == [NOW]

    assert put(cluster, old, NOW + 2) == [], "what is left of the old one is no claim"
    assert cluster.remove(read(old), NOW + 3) == []
    assert len(cluster.records()) == 1


def test_a_stateful_pod_made_anew_under_its_old_name_is_another_one() -> None:
    cluster = mirror(pod("db-0", ip="10.0.0.1", uid="first", started=at(-60)))

    records = put(cluster, pod("db-0", ip="10.0.0.2", uid="second", started=at(10)), NOW + 12)

    assert [(one["ip"], one["end"]) for one in records] == [("10.0.0.1", NOW + 12), ("10.0.0.2", None)]


def test_a_service_leads_to_its_ready_endpoints_by_the_name_of_the_port() -> None:
    cluster = mirror(
        service("payments", "10.96.0.1", {"http": 80, "grpc": 9000, "unused": 1}, created=at(-900)),
        endpoint_slice(
            "payments", {"10.0.0.1": True, "10.0.0.2": False, "10.0.0.3": None}, {"http": 8080, "grpc": 9090}
        ),
        endpoint_slice("payments", {"10.0.0.4": True}, {"http": 8081}, suffix="fghij"),
    )
    vip, *listeners = cluster.records()

    assert vip == {
        "ip": "10.96.0.1", "service": "payments", "namespace": "shop", "start": NOW - 900, "end": None, "kind": "vip",
    }  # fmt: skip
    targets: dict[object, Any] = {one["port"]: one["targets"] for one in listeners}
    assert targets[80] == [
        {"ip": "10.0.0.1", "port": 8080}, {"ip": "10.0.0.3", "port": 8080}, {"ip": "10.0.0.4", "port": 8081},
    ]  # fmt: skip
    assert [one["ip"] for one in targets[9000]] == ["10.0.0.1", "10.0.0.3"]
    assert 1 not in targets
    assert {one["intermediary"] for one in listeners} == {"payments"}


def test_an_endpoint_that_turns_ready_makes_a_new_listener_and_the_last_one_gone_ends_it() -> None:
    cluster = mirror(service("pay", "10.96.0.1", {"": 80}), endpoint_slice("pay", {"10.0.0.1": True}, {"": 8080}))

    more = put(cluster, endpoint_slice("pay", {"10.0.0.1": True, "10.0.0.2": True}, {"": 8080}), NOW + 5)
    none = put(cluster, endpoint_slice("pay", {"10.0.0.1": False, "10.0.0.2": False}, {"": 8080}), NOW + 9)

    assert [(one["start"], one["end"], len(one["targets"])) for one in more] == [(NOW + 5, None, 2)]  # type: ignore[arg-type]
    assert [(one["start"], one["end"]) for one in none] == [(NOW + 5, NOW + 9)]
    assert put(cluster, service("pay", "10.96.0.1", {"": 80}), NOW + 10) == [], "nothing changed"


def test_headless_and_external_services_have_no_address_of_their_own() -> None:
    assert (
        mirror(service("db", "None", {"": 5432}), endpoint_slice("db", {"10.0.0.1": True}, {"": 5432})).records() == []
    )
    assert mirror(service("db", "", {"": 5432})).records() == []


def test_a_load_balancer_is_one_service_s_unless_it_is_shared_or_a_node() -> None:
    endpoints = endpoint_slice("pay", {"10.0.0.1": True}, {"": 8080})
    cluster = mirror(
        service("pay", "10.96.0.1", {"": 80}, balancer=({"ip": "203.0.113.9"}, {"hostname": "x.elb"})), endpoints
    )
    found = {(one["ip"], one.get("port")): one.get("kind") for one in cluster.records()}
    assert found == {
        ("10.96.0.1", None): "vip", ("203.0.113.9", None): "load_balancer",
        ("10.96.0.1", 80): None, ("203.0.113.9", 80): None,
    }  # fmt: skip

    records = put(cluster, service("cart", "10.96.0.2", {"": 81}, balancer=({"ip": "203.0.113.9"},)), NOW + 5)
    assert {one["ip"]: one["end"] for one in records} == {"10.96.0.2": None, "203.0.113.9": NOW + 5}

    on_nodes = mirror(
        service("pay", "10.96.0.1", {"": 80}, balancer=({"ip": "192.168.0.1"},)), endpoints, node("n", "192.168.0.1")
    )
    assert ("192.168.0.1", None) not in {(one["ip"], one.get("port")) for one in on_nodes.records()}
    assert ("192.168.0.1", 80) in {(one["ip"], one.get("port")) for one in on_nodes.records()}


def test_addresses_of_both_families_lead_to_targets_of_their_own() -> None:
    both = service("pay", "10.96.0.1", {"": 80})
    both["spec"]["clusterIPs"] = ["10.96.0.1", "fd00::1"]
    six = endpoint_slice("pay", {"fd00:0:0::a": True}, {"": 8080}, suffix="six") | {"addressType": "IPv6"}
    cluster = mirror(both, endpoint_slice("pay", {"10.0.0.1": True}, {"": 8080}), six)

    targets = {one["ip"]: one["targets"] for one in cluster.records() if "targets" in one}

    assert targets == {"10.96.0.1": [{"ip": "10.0.0.1", "port": 8080}], "fd00::1": [{"ip": "fd00::a", "port": 8080}]}


def test_objects_over_the_cap_are_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.kubernetes.identities.MAX_OBJECTS", 1)
    cluster = mirror(pod("a", ip="10.0.0.1"), pod("b", ip="10.0.0.2"))

    assert len(cluster.records()) == 1
    assert cluster.dropped == {"object: too many": 1}


def test_nothing_is_left_when_everything_is_gone() -> None:
    objects = [
        deployed("pay", "x2x9z", ip="10.0.0.1", labels={"app.kubernetes.io/instance": "pay"}),
        service("pay", "10.96.0.1", {"": 80}, balancer=({"ip": "203.0.113.9"},)),
        endpoint_slice("pay", {"10.0.0.1": True}, {"": 8080}), node("n", "192.168.0.1"),
    ]  # fmt: skip
    cluster = mirror(*objects)
    for one in objects:
        cluster.remove(read(one), NOW + 1)

    left = {name: value for name, value in vars(cluster).items() if isinstance(value, dict | set) and value}
    assert left == {}


def test_a_pods_record_says_on_which_machine_it_runs_and_in_which_zone() -> None:
    made = mirror(
        pod("web", ip="10.0.0.1", node="n1"), pod("pay", ip="10.0.0.2"), node("n1", "192.168.0.1", zone="eu-1a")
    )
    said = {record["ip"]: (record.get("node"), record.get("zone")) for record in made.records() if "ip" in record}

    assert said == {"10.0.0.1": ("n1", "eu-1a"), "10.0.0.2": (None, None)}
