"""What every file for deploying has to keep to: it parses, and what it names exists in the program."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from bot import config
from tests.deploy.files import DEPLOY, ROOT, load, texts

YAML_FILES = sorted(
    str(path.relative_to(DEPLOY))
    for path in DEPLOY.rglob("*.yaml")
    if "templates" not in path.relative_to(DEPLOY).parts
)
KNOWN_NAMES = re.compile(r"\b(?:TOPOLOGY_BOT|SLACK|PAGERDUTY)_[A-Z_]+[A-Z]\b|\bDATABASE_URL\b")
MADE_BY_KUBERNETES = {"TOPOLOGY_BOT_PORT"}


@pytest.mark.parametrize("name", YAML_FILES)
def test_every_yaml_file_parses_and_holds_a_mapping(name: str) -> None:
    assert isinstance(load(name), Mapping)


@pytest.mark.parametrize("path", sorted(texts()))
def test_every_setting_a_file_names_exists(path: str) -> None:
    named = set(KNOWN_NAMES.findall(texts()[path])) - MADE_BY_KUBERNETES

    assert named - config.ENVIRONMENT_NAMES == set()


def test_settings_are_named_at_all() -> None:
    named = {name for text in texts().values() for name in KNOWN_NAMES.findall(text)}

    assert {"TOPOLOGY_BOT_LISTEN", "TOPOLOGY_BOT_API_TOKENS", "DATABASE_URL", "SLACK_BOT_TOKEN"} <= named


@pytest.mark.parametrize("path", ["deploy/compose.yaml", "deploy/env.example", "deploy/helm/topology-bot/values.yaml"])
def test_whoever_opens_the_port_is_told_about_the_tokens(path: str) -> None:
    assert "TOPOLOGY_BOT_API_TOKENS" in texts()[path]


def test_the_files_start_with_what_the_program_accepts() -> None:
    environment = {
        name: value
        for name, value in load("compose.yaml")["services"]["bot"]["environment"].items()
        if "${" not in value
    }
    settings = config.load(environment | {"DATABASE_URL": "sqlite:////data/topology-bot.db"})

    assert settings.host_port == ("0.0.0.0", 8080)


def test_the_readme_names_every_file_and_only_files_there_are() -> None:
    readme = (DEPLOY / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([^)]+)\)", readme))

    assert all((DEPLOY / link).exists() for link in linked)
    shipped = {name for name in YAML_FILES if not name.startswith("helm/")} | {"env.example", "helm/topology-bot/"}
    assert shipped <= linked


def test_no_file_carries_a_secret_or_the_name_of_a_registry() -> None:
    for path, text in texts().items():
        assert not re.search(r"xox[abp]-\d|ghp_|BEGIN [A-Z ]*PRIVATE KEY", text), path
        assert not re.search(r"\b(?:docker\.io|ghcr\.io|quay\.io|gcr\.io|pypi\.org|registry\.)", text), path


# Compose


def test_the_example_environment_lists_what_compose_reads() -> None:
    read = set(re.findall(r"\$\{(\w+)", texts()["deploy/compose.yaml"]))
    listed = set(re.findall(r"^(?:# )?([A-Z_]+)=", texts()["deploy/env.example"], re.MULTILINE))

    assert listed == read


def test_compose_will_not_start_without_tokens() -> None:
    assert "${TOPOLOGY_BOT_API_TOKENS:?" in texts()["deploy/compose.yaml"]


def test_compose_keeps_data_and_asks_for_the_bots_health() -> None:
    compose = load("compose.yaml")
    bot = compose["services"]["bot"]

    assert [volume.partition(":")[0] for volume in bot["volumes"]] == list(compose["volumes"])[:1] == ["data"]
    assert "/healthz" in bot["healthcheck"]["test"][-1]
    assert bot["ports"] == ["127.0.0.1:8080:8080"]
    assert bot["read_only"] is True


def test_postgresql_only_comes_when_asked_for() -> None:
    services = load("compose.yaml")["services"]

    assert services["postgres"]["profiles"] == ["postgres"]
    assert services["bot"]["depends_on"]["postgres"]["required"] is False


def test_the_health_checks_are_python_that_compiles() -> None:
    dockerfile = texts()["Dockerfile"]
    in_image = re.search(r"HEALTHCHECK.*?CMD (\[.*?\])\n", dockerfile, re.DOTALL)
    assert in_image
    command = yaml.safe_load(in_image[1])

    assert command[:2] == ["python", "-c"]
    compile(command[2], "HEALTHCHECK", "exec")
    assert load("compose.yaml")["services"]["bot"]["healthcheck"]["test"] == ["CMD", *command]


# The image


def dockerfile_lines(instruction: str) -> list[str]:
    joined = texts()["Dockerfile"].replace("\\\n", " ")
    return [line.partition(" ")[2].strip() for line in joined.splitlines() if line.startswith(instruction + " ")]


def test_the_image_does_not_run_as_root_and_keeps_its_data_in_a_volume() -> None:
    assert dockerfile_lines("USER") == ["10001:10001"]
    assert dockerfile_lines("VOLUME") == ["/data"]
    assert "DATABASE_URL=sqlite:////data/topology-bot.db" in dockerfile_lines("ENV")[-1]
    assert "TOPOLOGY_BOT_LISTEN=0.0.0.0:8080" in dockerfile_lines("ENV")[-1]


def test_the_image_starts_the_command_the_package_installs() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]

    assert yaml.safe_load(dockerfile_lines("ENTRYPOINT")[0])[0] in scripts
    assert yaml.safe_load(dockerfile_lines("CMD")[-1]) == ["serve"]


def test_what_the_image_is_built_from_is_let_through_and_nothing_else() -> None:
    let_through = {line[1:] for line in texts()[".dockerignore"].splitlines() if line.startswith("!")}
    copied = {line.split()[0] for line in dockerfile_lines("COPY") if not line.startswith("--from")}

    assert copied == let_through
    assert "*" in texts()[".dockerignore"].splitlines()


def test_the_image_has_a_python_the_package_takes() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    images = re.findall(r"^FROM python:3\.(\d+)-slim", texts()["Dockerfile"], re.MULTILINE)

    assert len(images) == 2
    assert {int(minor) for minor in images} == {13}
    assert wanted == ">=3.11"


# The collector


def test_the_collector_sends_traces_to_a_door_there_is_with_a_token_and_patience() -> None:
    collector: dict[str, Any] = load("otel-collector.yaml")
    exporter = collector["exporters"]["otlphttp/topology-bot"]
    pipeline = collector["service"]["pipelines"]["traces/topology-bot"]

    assert exporter["endpoint"] == "http://topology-bot:8080"
    assert exporter["headers"]["Authorization"] == "Bearer ${env:TOPOLOGY_BOT_TOKEN}"
    assert exporter["retry_on_failure"]["enabled"] is exporter["sending_queue"]["enabled"] is True
    assert pipeline["exporters"] == list(collector["exporters"])
    assert pipeline["processors"] == list(collector["processors"])
