"""What is rolled out in a cluster: images, pod templates, replicas; nothing of what was there before."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bot.errors import Overloaded
from bot.kubernetes import rollouts, watch
from bot.kubernetes.config import Cluster, Token
from bot.kubernetes.objects import DaemonSet, Deployment, StatefulSet, Workload
from bot.kubernetes.rollout_watcher import RolloutWatcher
from bot.kubernetes.rollouts import Rollouts, key_of
from bot.model import Change, ChangeKind
from tests.changes.bodies import node
from tests.kit.bots import bot, get, until
from tests.kit.fake_kubernetes import TOKEN, FakeKubernetes, Json, workload

NOW = 1_795_400_000.0


def read(one: Json, kind: type[Workload] = Deployment) -> Workload:
    return msgspec.json.decode(json.dumps(one), type=kind)


def made(*images: str, kind: type[Workload] = Deployment, name: str = "payments", **more: Any) -> Workload:
    return read(workload(name, *images, uid="u1", **more), kind)


def mirror(*listed: Workload, environment: str = "prod") -> Rollouts:
    mirrored = Rollouts(environment)
    for kind in (Deployment, StatefulSet, DaemonSet):
        assert mirrored.replace(kind, [one for one in listed if type(one) is kind], NOW) == []
    return mirrored


def told(changes: list[Change]) -> list[tuple[str, str]]:
    return [(one.kind.value, one.title) for one in changes]


@pytest.mark.parametrize(
    ("before", "after", "title"),
    [
        ("payments:1.2", "payments:1.3", "image payments:1.2 -> 1.3"),
        (
            "registry.example:5000/shop/payments:1.2",
            "registry.example:5000/shop/payments:1.3",
            "image payments:1.2 -> 1.3",
        ),
        ("payments:1.2", "ledger:1.2", "image payments:1.2 -> ledger:1.2"),
        ("payments:1.2@sha256:aa", "payments:1.3@sha256:bb", "image payments:1.2 -> 1.3"),
        ("payments@sha256:" + "a" * 64, "payments@sha256:" + "b" * 64, f"image payments:{'a' * 12} -> {'b' * 12}"),
        ("payments", "payments:1.3", "image payments -> 1.3"),
    ],
)
def test_another_image_is_a_deploy(before: str, after: str, title: str) -> None:
    (change,) = mirror(made(before)).put(made(after, generation=2), NOW + 1)

    assert (change.kind, change.title, change.at) == (ChangeKind.DEPLOY, title, NOW + 1)
    assert (change.service, change.source) == ("payments.shop@prod", "kubernetes")


def test_of_many_containers_the_first_are_told() -> None:
    before, after = ([f"c{number}:{version}" for number in range(5)] for version in (1, 2))

    assert told(mirror(made(*before)).put(made(*after, generation=2), NOW)) == [
        ("deploy", "image c0:1 -> 2, c1:1 -> 2, c2:1 -> 2 and 2 more")
    ]


def test_what_was_there_at_the_first_list_is_no_change_and_what_comes_later_is() -> None:
    mirrored = mirror(made("payments:1.2"))

    assert mirrored.put(made("payments:1.2"), NOW) == []
    assert told(mirrored.put(made("web:7", name="web"), NOW)) == [("deploy", "Deployment web created with web:7")]
    assert told(mirrored.replace(Deployment, [made("payments:1.3", generation=2)], NOW)) == [
        ("deploy", "image payments:1.2 -> 1.3")
    ]
    assert len(mirrored) == 1


def test_another_pod_template_is_a_change_of_configuration_and_another_spelling_of_it_is_none() -> None:
    mirrored = mirror(made("payments:1.2"))
    env = [{"name": "LEDGER", "value": "b"}]

    assert mirrored.put(made("payments:1.2", env=env), NOW) == []
    assert told(mirrored.put(made("payments:1.2", generation=2), NOW)) == [
        ("config", "Deployment payments: pod template changed")
    ]


def test_other_replicas_are_a_scaling_and_an_autoscalers_steps_are_told_as_one() -> None:
    mirrored = mirror(made("payments:1.2"))
    steps = [(2, 5, 0), (3, 6, 60), (4, 7, 120), (5, 9, 601), (6, 0, 610), (7, 9, 620)]
    found = [
        told(mirrored.put(made("payments:1.2", replicas=replicas, generation=generation), NOW + after))
        for generation, replicas, after in steps
    ]

    assert found == [
        [("scale", "replicas 3 -> 5")],
        [],
        [],
        [("scale", "replicas 5 -> 9")],
        [("scale", "replicas 9 -> 0")],
        [("scale", "replicas 0 -> 9")],
    ]


def test_a_daemon_set_has_no_replicas_and_a_stateful_set_is_told_apart_from_a_deployment_of_its_name() -> None:
    mirrored = mirror(
        made("agent:1", kind=DaemonSet, name="agent", replicas=None),
        made("db:1", kind=StatefulSet, name="db"),
        made("proxy:1", name="db"),
    )

    assert told(mirrored.put(made("agent:2", kind=DaemonSet, name="agent", replicas=None, generation=2), NOW)) == [
        ("deploy", "image agent:1 -> 2")
    ]
    assert told(mirrored.put(made("db:2", kind=StatefulSet, name="db", generation=2), NOW)) == [
        ("deploy", "image db:1 -> 2")
    ]


@pytest.mark.parametrize(
    ("more", "service"),
    [
        ({}, "payments.shop@prod"),
        ({"labels": {"app.kubernetes.io/instance": "pay"}}, "pay.shop@prod"),
        (
            {
                "annotations": {
                    "resource.opentelemetry.io/service.name": "charge",
                    "resource.opentelemetry.io/service.namespace": "money",
                    "resource.opentelemetry.io/deployment.environment.name": "live",
                }
            },
            "charge.money@live",
        ),
    ],
)
def test_a_workload_has_the_name_that_its_pods_have(more: dict[str, Any], service: str) -> None:
    (change,) = mirror(made("payments:1", **more)).put(made("payments:2", generation=2, **more), NOW)

    assert change.service == service


def test_a_release_of_several_workloads_names_none_of_them() -> None:
    labels: dict[str, Any] = {"labels": {"app.kubernetes.io/instance": "shop"}}
    mirrored = mirror(made("payments:1", **labels), made("web:1", name="web", **labels))
    (change,) = mirrored.put(made("payments:2", generation=2, **labels), NOW)
    mirrored.remove(key_of(made(name="web")))
    (alone,) = mirrored.put(made("payments:3", generation=3, **labels), NOW)

    assert (change.service, alone.service) == ("payments.shop@prod", "shop.shop@prod")


def test_the_same_generation_seen_again_has_the_same_id() -> None:
    first, again = (mirror(made("payments:1")).put(made("payments:2", generation=2), NOW + after) for after in (0, 60))

    assert [one.id for one in first] == [one.id for one in again] == ["Deployment/shop/payments/u1/2/deploy"]


def test_workloads_beyond_the_cap_and_broken_templates_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollouts, "MAX_WORKLOADS", 1)
    mirrored = mirror(made("payments:1"))
    broken = workload("payments", "payments:1") | {"spec": {"template": {"spec": 7}}}

    assert mirrored.put(made("web:1", name="web"), NOW) == mirrored.put(read(broken), NOW) == []
    assert mirrored.dropped == {"workload: too many": 1, "template: malformed": 1}


def test_a_mirror_forgets_what_is_gone() -> None:
    labels: dict[str, Any] = {"labels": {"app.kubernetes.io/instance": "shop"}}
    mirrored = mirror()
    for number in range(50):
        one = made("web:1", name=f"web-{number}", **labels)
        mirrored.put(one, NOW)
        mirrored.remove(key_of(one))
        mirrored.remove(key_of(one))

    assert (len(mirrored), mirrored._releases) == (0, {})


# -- over HTTP -------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_FIRST_PAUSE", 0.02)
    monkeypatch.setattr(watch, "_LONGEST_PAUSE", 0.1)


class Watched:
    """A watcher at work, and what it told; `busy` times it is told to come back."""

    def __init__(self, cluster: FakeKubernetes, busy: int = 0) -> None:
        self.titles: list[str] = []
        self.busy = busy
        self.watcher = RolloutWatcher(Cluster(cluster.url, Token(TOKEN)), self.take, environment="prod")

    async def take(self, changes: list[Change]) -> None:
        if self.busy:
            self.busy -= 1
            raise Overloaded("busy", retry_after=0)
        self.titles += [one.title for one in changes]

    def lists(self) -> int:
        resources: Any = self.watcher.state()["resources"]
        return sum(one["lists"] for one in resources.values())

    async def until(self, what: Callable[[], object]) -> None:
        deadline = time.monotonic() + 10
        while not what():
            assert time.monotonic() < deadline, (self.titles, self.watcher.state())
            await asyncio.sleep(0.02)


@asynccontextmanager
async def watching(cluster: FakeKubernetes, **more: Any) -> AsyncIterator[Watched]:
    watched = Watched(cluster, **more)
    task = asyncio.create_task(watched.watcher.run())
    await asyncio.sleep(0)
    try:
        yield watched
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_rollout_is_told_as_it_happens_and_one_that_was_missed_with_the_next_list() -> None:
    async with FakeKubernetes() as cluster:
        cluster.put("deployments", workload("payments", "payments:1.2"))
        async with watching(cluster) as watched:
            await watched.until(lambda: watched.lists() == 3)
            cluster.put("deployments", workload("payments", "payments:1.3", generation=2))
            await watched.until(lambda: watched.titles == ["image payments:1.2 -> 1.3"])

            cluster.put("deployments", workload("payments", "payments:1.4", generation=3))
            cluster.forget_history()
            cluster.drop_watches()
            await watched.until(lambda: watched.titles[1:] == ["image payments:1.3 -> 1.4"])
            cluster.delete("deployments", "payments")
            await watched.until(lambda: watched.watcher.state()["workloads"] == 0)


async def test_changes_wait_for_who_is_busy() -> None:
    async with FakeKubernetes() as cluster, watching(cluster, busy=2) as watched:
        await watched.until(lambda: watched.lists() == 3)
        cluster.put("statefulsets", workload("db", "db:1"))
        await watched.until(lambda: watched.titles == ["StatefulSet db created with db:1"])


async def test_what_may_not_be_seen_is_said_and_the_rest_is_watched() -> None:
    async with FakeKubernetes() as cluster:
        cluster.refuse["daemonsets"] = 403
        async with watching(cluster) as watched:
            await watched.until(lambda: watched.lists() == 2 and watched.watcher.problem())
            cluster.put("deployments", workload("web", "web:1"))
            await watched.until(lambda: watched.titles)

            assert "allowed to list and watch daemonsets" in watched.watcher.problem()


async def test_a_bot_that_watches_a_cluster_has_its_rollouts_among_the_changes_of_the_service(tmp_path: Path) -> None:
    async with FakeKubernetes() as cluster:
        cluster.put("deployments", workload("payments", "payments:1.2"))
        config = {
            "clusters": [{"name": "c", "cluster": {"server": cluster.url}}],
            "users": [{"name": "u", "user": {"token": TOKEN}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(config))
        given = {"kubernetes": str(tmp_path / "kubeconfig"), "kubernetes_environment": "prod"}
        async with bot(tmp_path, **given) as (running, session):
            running.view.graph.add_node(node("payments", "", "prod"))

            async def watched() -> bool:
                found = (await get(session, "/api/v1/doctor"))["feeds"]["kubernetes rollouts"]
                return all(one["lists"] for one in found["resources"].values())

            await until(watched, "the workloads were not listed")
            cluster.put("deployments", workload("payments", "payments:1.3", generation=2))

            async def told() -> list[str]:
                found = await get(session, "/api/v1/services/payments@prod")
                return [one["title"] for one in found["changes"]]

            assert await until(told, "the rollout was not told of") == ["image payments:1.2 -> 1.3"]
