"""Where services run, as spans and identity records say it; and how it becomes a suspect."""

from __future__ import annotations

import json

import pytest

from bot.model import Report
from bot.telemetry import identities
from bot.telemetry.places import of_resource

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        pytest.param(
            {"k8s.node.name": "IP-10-0-3-7", "cloud.availability_zone": "eu-1a", "host.name": "web-5d9f"},
            [("web", "node", "ip-10-0-3-7"), ("web", "zone", "eu-1a")], id="kubernetes",
        ),
        pytest.param({"host.name": "vm-17"}, [("web", "node", "vm-17")], id="a machine of its own"),
        pytest.param({"host.name": "web-5d9f", "k8s.pod.name": "web-5d9f"}, [], id="a pod takes itself for a host"),
        pytest.param({"host.name": "4f2a", "container.id": "4f2a99"}, [], id="so does a container"),
        pytest.param({"host.name": "localhost", "cloud.availability_zone": " "}, [], id="words that name nothing"),
        pytest.param({"k8s.node.name": 17, "cloud.availability_zone": ["a"]}, [], id="not even texts"),
        pytest.param({"host.name": "x" * 300}, [("web", "node", "x" * 100)], id="as long as you like"),
    ],
)  # fmt: skip
def test_a_resource_says_where_it_runs(attributes: dict[str, object], said: list[Report]) -> None:
    assert list(of_resource("web", attributes)) == said


def claims(**more: object) -> tuple[Report, ...]:
    record = {"ip": "10.0.0.1", "service": "web", "start": NOW, "end": None, "kind": "service"} | more
    (claim,) = identities.decode(json.dumps(record).encode(), NOW).claims
    return claim.runs_on


def test_an_identity_record_says_it_too() -> None:
    assert claims(node="n1", zone="a", namespace="shop") == (("web.shop", "node", "n1"), ("web.shop", "zone", "a"))
    assert claims(kind="load_balancer", node="n1") == ()
    assert claims(node=["n1"]) == ()
