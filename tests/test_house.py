"""The house's measures, so that no room grows into a junction unnoticed."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.kit.bots import REPOSITORY

MODULES = sorted((REPOSITORY / "bot").rglob("*.py"))
WRITTEN = [module for module in MODULES if "versions" not in module.parts]
RIMS = {"bot/incidents/path.py", "bot/loops.py"}  # the step runner and the loop runner
LONG_ON_PURPOSE = {"running"}


@pytest.mark.parametrize("module", WRITTEN, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_modules_stay_small_and_say_what_they_are(module: Path) -> None:
    source = module.read_text()
    tree = ast.parse(source)

    assert source.count("\n") <= 330
    assert ast.get_docstring(tree), "a module says in a paragraph what comes in and what goes out"


def test_functions_stay_short() -> None:
    long = []
    for module in WRITTEN:
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name not in LONG_ON_PURPOSE:
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > 60:
                    long.append(f"{module.name}:{node.name} {lines}")

    assert long == []


def test_everything_is_caught_at_two_rims_only() -> None:
    broad = set()
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) == "Exception"):
                broad.add(module.relative_to(REPOSITORY).as_posix())

    assert broad == RIMS


def test_no_import_hides_in_a_function() -> None:
    hidden = []
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                hidden += [
                    f"{module.name}:{node.name}"
                    for inner in ast.walk(node)
                    if isinstance(inner, ast.Import | ast.ImportFrom)
                ]

    assert hidden == []


def test_every_dependency_is_imported_somewhere_and_pinned() -> None:
    """A dependency nobody imports is dead weight; one without a pin is a surprise."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    imported = "\n".join(module.read_text() for module in MODULES)
    pinned = (REPOSITORY / "constraints.txt").read_text().lower().replace("_", "-")
    modules = {
        "slack-bolt": "slack_bolt", "slack-sdk": "slack_sdk", "pyyaml": "yaml", "pydantic-settings": "pydantic",
        "opentelemetry-proto": "opentelemetry.proto", "protobuf": "google.protobuf", "prometheus-client": "prometheus_client",
    }  # fmt: skip
    drivers = {"aiosqlite", "asyncpg"}  # named in a database URL, never imported
    for line in project["dependencies"]:
        name = line.split("[")[0].split(">")[0].strip().lower()
        assert f"\n{name}==" in f"\n{pinned}", f"{name} is not in constraints.txt"
        assert name in drivers or modules.get(name, name) in imported, f"nothing imports {name}"


def test_the_wheel_carries_templates_static_files_and_migrations(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(tmp_path),
        str(REPOSITORY),
    ]
    subprocess.run(command, check=True, capture_output=True)
    wheel = next(tmp_path.glob("topology_bot-*.whl"))
    names = zipfile.ZipFile(wheel).namelist()

    for template in (REPOSITORY / "templates").iterdir():
        assert f"bot/templates/{template.name}" in names
    for expected in (
        "bot/web/static/preview.css",
        "bot/web/static/preview.js",
        "bot/web/static/reference.css",
        "bot/web/static/page.css",
        "bot/web/static/page.js",
        "bot/storage/migrations/env.py",
        "bot/storage/migrations/versions/0001_the_first_tables.py",
    ):
        assert expected in names
    assert not [name for name in names if name.startswith("tests/")]
