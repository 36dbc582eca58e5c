"""The documents say what the code does: every setting, metric, command and endpoint is in the README."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from bot import metrics
from bot.cli import cli
from bot.config import ENVIRONMENT_NAMES, Settings
from tests.kit.bots import REPOSITORY, bot

README = (REPOSITORY / "README.md").read_text()
ARCHITECTURE = (REPOSITORY / "ARCHITECTURE.md").read_text()


def test_every_setting_is_in_the_readme_with_its_description() -> None:
    for name, field in Settings.model_fields.items():
        assert f"| `TOPOLOGY_BOT_{name.upper()}` |" in README
        assert str(field.description) in README, f"the README's row of {name} says something else"


def test_every_variable_the_readme_names_exists() -> None:
    named = set(re.findall(r"TOPOLOGY_BOT_[A-Z_]+|\b(?:SLACK|PAGERDUTY|DATABASE)_[A-Z_]+", README))

    assert named <= ENVIRONMENT_NAMES


def test_every_metric_is_in_the_readme() -> None:
    published = {found.name + ("_total" if found.type == "counter" else "") for found in metrics.REGISTRY.collect()}
    named = set(re.findall(r"`(topology_bot_[a-z_]+)`", README))

    assert named == published


def _commands(group: typer.Typer, prefix: str = "topology-bot") -> set[str]:
    found = set()
    for command in group.registered_commands:
        callback = command.callback
        assert callback is not None
        found.add(f"{prefix} {command.name or callback.__name__}")
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        found |= _commands(inner.typer_instance, f"{prefix} {inner.name}")
    return found


def test_every_command_is_in_the_readme() -> None:
    for command in _commands(cli):
        assert f"| `{command}" in README, command


async def test_every_endpoint_is_in_the_readme(tmp_path: Path) -> None:
    async with bot(tmp_path) as (running, _):
        for method, path in running.routes:
            assert f"`{method} {path}`" in README, f"{method} {path}"


@pytest.mark.parametrize(
    "document", sorted(REPOSITORY.glob("*.md")) + sorted(REPOSITORY.glob("deploy/*.md")), ids=lambda path: path.name
)
def test_every_link_between_files_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), f"{document.name} points at {target}"


def test_the_architecture_names_every_module() -> None:
    for module in sorted((REPOSITORY / "bot").rglob("*.py")):
        name = module.relative_to(REPOSITORY).as_posix()
        if module.name != "__init__.py" and "/versions/" not in name:
            assert f"`{name}`" in ARCHITECTURE, f"ARCHITECTURE.md says nothing of {name}"
