"""The chart, as far as it can be checked without Helm: templates and values agree, blocks close, names are defined."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import bot
from bot import config
from tests.deploy.files import DEPLOY, load

CHART = DEPLOY / "helm" / "topology-bot"
TEMPLATES = sorted((CHART / "templates").iterdir())
VALUE = re.compile(r"\.Values((?:\.\w+)+)")
ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
OPENING = ("if", "with", "range", "define", "block")


def actions(path: Path) -> list[str]:
    return ACTION.findall(path.read_text(encoding="utf-8"))


def used_values(path: Path) -> set[tuple[str, ...]]:
    found = (match for action in actions(path) for match in VALUE.findall(action))
    return {tuple(value.strip(".").split(".")) for value in found}


def leaves(values: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*above, name))
        else:
            yield (*above, name)


def lookup(values: Any, path: tuple[str, ...]) -> bool:
    for name in path:
        if not isinstance(values, Mapping) or name not in values:
            return False
        values = values[name]
    return True


def deployment() -> str:
    return (CHART / "templates" / "deployment.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_every_value_a_template_reads_is_in_the_values_file(path: Path) -> None:
    values = load("helm/topology-bot/values.yaml")

    assert {".".join(value) for value in used_values(path) if not lookup(values, value)} == set()


def test_every_value_in_the_file_is_read_by_some_template() -> None:
    used = {value for path in TEMPLATES for value in used_values(path)}
    unread = {
        leaf
        for leaf in leaves(load("helm/topology-bot/values.yaml"))
        if not any(leaf[: len(path)] == path for path in used)
    }

    assert unread == set()


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_every_block_of_a_template_is_closed(path: Path) -> None:
    depth = 0
    for action in actions(path):
        word = action.partition(" ")[0]
        depth += word in OPENING
        depth -= word == "end"
        assert depth >= 0
        assert word != "else" or depth > 0

    assert depth == 0
    text = path.read_text(encoding="utf-8")
    assert text.count("{{") == text.count("}}") == len(actions(path))


def test_every_named_template_that_is_used_is_defined_and_the_other_way_round() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in TEMPLATES)

    assert set(re.findall(r'include "([^"]+)"', text)) == set(re.findall(r'define "([^"]+)"', text))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_mapping_is_indented_as_far_as_the_line_it_stands_on(path: Path) -> None:
    """`toYaml | nindent N` at a line of N columns; anything else makes YAML of another shape, or none."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"( *)\{\{- .*nindent (\d+) \}\}$", line):
            assert len(match[1]) == int(match[2]), line


@pytest.mark.parametrize("path", [path for path in TEMPLATES if path.suffix == ".yaml"], ids=lambda path: path.name)
def test_what_stands_between_the_actions_is_yaml(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    whole_lines = re.compile(r"^ *\{\{.*\}\}\n", re.MULTILINE)
    bare = ACTION.sub("filled-in", whole_lines.sub("", text))
    either = re.sub(r"^ +(?:value|emptyDir|claimName|persistentVolumeClaim): ?\S*\n", "", bare, flags=re.MULTILINE)

    document = yaml.safe_load(either)
    assert {"apiVersion", "kind", "metadata"} <= set(document)


def test_the_chart_is_of_this_version_of_the_bot() -> None:
    assert load("helm/topology-bot/Chart.yaml")["appVersion"] == bot.__version__


def test_settings_in_the_values_are_settings_of_the_program_and_no_secrets() -> None:
    settings = load("helm/topology-bot/values.yaml")["settings"]

    assert set(settings) <= config.ENVIRONMENT_NAMES
    assert not [name for name in settings if re.search("TOKEN|SECRET|DATABASE", name)]


def test_every_variable_the_pod_is_given_is_one_the_program_reads() -> None:
    container = deployment().partition("env:")[2].partition("envFrom:")[0]
    given = set(re.findall(r"- name: ([A-Z_]+)$", container, re.MULTILINE))
    written = (CHART / "values.yaml").read_text(encoding="utf-8")
    told = set(re.findall(r"^#   ([A-Z_]+)  ", written, re.MULTILINE))

    assert {"TOPOLOGY_BOT_LISTEN", "DATABASE_URL", "TOPOLOGY_BOT_CATALOG"} <= given
    assert {"TOPOLOGY_BOT_CATALOG", "TOPOLOGY_BOT_BACKSTAGE_URL"} <= told
    assert given | told <= config.ENVIRONMENT_NAMES


def test_any_setting_can_be_named_in_the_values_and_what_it_needs_be_mounted() -> None:
    container = deployment()

    assert re.search(r"range \$name, \$value := \.Values\.settings \}\}\s+- name: \{\{ \$name \}\}", container)
    for value, place in (("extraEnv", "env:"), ("extraVolumeMounts", "volumeMounts:"), ("extraVolumes", "volumes:")):
        assert container.index(place) < container.index(f".Values.{value} ")
        assert load("helm/topology-bot/values.yaml")[value] == []


def test_the_pod_runs_with_as_few_rights_as_it_can() -> None:
    values = load("helm/topology-bot/values.yaml")

    assert values["podSecurityContext"]["runAsNonRoot"] is True
    assert values["podSecurityContext"]["runAsUser"] == values["podSecurityContext"]["fsGroup"] == 10001
    assert values["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "automountServiceAccountToken: {{ .Values.kubernetes.watch }}" in deployment()
    assert load("helm/topology-bot/values.yaml")["kubernetes"] == {"watch": False}


def test_probes_ask_the_right_questions() -> None:
    probes = dict(re.findall(r"(\w+)Probe:.*?path: (\S+)", deployment(), re.DOTALL))

    assert probes == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}


def test_there_are_never_two_of_them() -> None:
    assert "replicas: 1" in deployment()
    assert "type: Recreate" in deployment()


def test_secrets_only_come_by_reference() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in TEMPLATES)

    assert "kind: Secret" not in text
    assert "secretRef" in text
    assert "secretKeyRef" in text


def test_only_the_doors_for_outsiders_are_opened_to_the_outside() -> None:
    assert load("helm/topology-bot/values.yaml")["ingress"]["paths"] == ["/slack/events", "/webhooks/pagerduty"]
