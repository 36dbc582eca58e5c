"""Alerting on the bot, scraping it, and sending it alerts: the names are right, and the rules fire when they should."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bot import metrics
from tests.deploy.files import DEPLOY, load

METRIC = re.compile(r"\btopology_bot_[a-z_]+\b")
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def published() -> set[str]:
    return {family.name + suffix for family in metrics.REGISTRY.collect() for suffix in SUFFIXES[family.type]}


def rules() -> list[dict[str, Any]]:
    return [rule for group in load("prometheus/rules.yaml")["groups"] for rule in group["rules"]]


def tool(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (Debian package {package})")
    return path


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_metric_a_rule_reads_is_published(rule: dict[str, Any]) -> None:
    named = set(METRIC.findall(rule["expr"]))

    assert named or rule["alert"] == "TopologyBotDown"
    assert named - published() == set()


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_label_a_rule_sums_by_is_one_the_metric_has(rule: dict[str, Any]) -> None:
    labels = {
        family.name + suffix: set(collector._labelnames) | {"job", "instance", "le"}
        for collector in metrics.REGISTRY._collector_to_names
        for family in collector.collect()
        for suffix in SUFFIXES[family.type]
        if hasattr(collector, "_labelnames")
    }
    named = METRIC.findall(rule["expr"])
    known: set[str] = set().union(*(labels[name] for name in named)) if named else {"job", "instance"}

    wanted = {label for found in re.findall(r"by \(([^)]*)\)", rule["expr"]) for label in re.split(r",\s*", found)}
    assert wanted - known == set()


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alert_says_how_bad_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"].endswith(".")


def test_the_metrics_are_scraped_with_a_token() -> None:
    (job,) = load("prometheus/scrape.yaml")["scrape_configs"]

    assert job["job_name"] == "topology-bot"
    assert job["authorization"]["type"] == "Bearer"
    assert "credentials" not in job["authorization"]


def test_alertmanager_brings_its_token_and_says_when_it_is_over() -> None:
    config = load("prometheus/alertmanager.yaml")
    (hook,) = config["receivers"][-1]["webhook_configs"]

    assert hook["url"].endswith("/webhooks/alertmanager")
    assert hook["send_resolved"] is True
    assert hook["max_alerts"] == 0
    assert hook["http_config"]["authorization"]["type"] == "Bearer"


def test_alerts_go_on_to_whoever_got_them_before() -> None:
    route = load("prometheus/alertmanager.yaml")["route"]
    first, last = route["routes"][0], route["routes"][-1]

    assert first["continue"] is True
    assert "matchers" not in first
    assert last == {"receiver": route["receiver"]}


def test_the_rules_fire_when_they_should_and_only_then() -> None:
    promtool = tool("promtool", "prometheus")
    done = subprocess.run(
        [promtool, "test", "rules", Path(__file__).with_name("rules_test.yaml")],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_itself_reads_the_scrape_configuration() -> None:
    promtool = tool("promtool", "prometheus")
    done = subprocess.run(
        [promtool, "check", "config", "--syntax-only", DEPLOY / "prometheus" / "scrape.yaml"],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_alertmanager_itself_sends_an_alert_to_the_bot_and_to_the_default() -> None:
    amtool = tool("amtool", "prometheus-alertmanager")
    done = subprocess.run(
        [
            amtool,
            "config",
            "routes",
            "test",
            f"--config.file={DEPLOY / 'prometheus' / 'alertmanager.yaml'}",
            "severity=page",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stdout.strip() == "topology-bot,default"
