"""Catalogue files where people keep them: found, recognised, read, and never too much of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bot.catalog import files
from bot.catalog.entries import Catalog
from bot.catalog.facts import Format
from bot.catalog.sources import Sources

BACKSTAGE = "{apiVersion: backstage.io/v1alpha1, kind: Component, metadata: {name: NAME}, spec: {owner: web}}"
DATADOG = "{schema-version: v2, dd-service: NAME}"
CORTEX = "{info: {x-cortex-tag: NAME}}"
OPSLEVEL = "{version: 1, service: {name: NAME}}"
SERVICES = "services: [{id: NAME}]"


def put(folder: Path, texts: dict[str, str]) -> None:
    """Files by their paths."""
    for name, text in texts.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def catalog(*paths: Path) -> Catalog:
    return Sources(paths).read(100.0)


def test_a_directory_is_searched_for_the_files_that_are_known(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "services.yaml": SERVICES.replace("NAME", "a"),
            "web/catalog-info.yaml": BACKSTAGE.replace("NAME", "f"),
            "pay/service.datadog.yaml": DATADOG.replace("NAME", "b"),
            "pay/deep/entity.datadog.json": '{"apiVersion": "v3", "kind": "service", "metadata": {"name": "c"}}',
            "cart/cortex.yml": CORTEX.replace("NAME", "d"),
            "ledger/opslevel.yml": OPSLEVEL.replace("NAME", "e"),
            "other/deployment.yaml": "kind: Deployment",
            "node_modules/x/services.yaml": SERVICES,
            ".git/services.yaml": SERVICES,
        },
    )
    found = catalog(tmp_path)

    assert found.problems == ()
    assert set(found.entries) == set("abcdef")
    assert found.entries["f"].sources["owner"] == "web/catalog-info.yaml"
    assert found.read_at["web/catalog-info.yaml"] == 100.0


@pytest.mark.parametrize("text", [BACKSTAGE, DATADOG, CORTEX, OPSLEVEL, SERVICES])
def test_a_file_that_is_named_may_be_called_anything(tmp_path: Path, text: str) -> None:
    put(tmp_path, {"catalogue.txt": text.replace("NAME", "a")})
    found = catalog(tmp_path / "catalogue.txt")

    assert (list(found.entries), found.problems) == (["a"], ())


def test_what_a_document_says_of_itself_counts_more_than_the_files_name(tmp_path: Path) -> None:
    put(tmp_path, {"cortex.yaml": BACKSTAGE})

    assert files.read(files.Found(tmp_path / "cortex.yaml", "cortex.yaml")).format is Format.BACKSTAGE


def test_several_paths_are_one_catalogue_and_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    put(tmp_path, {"a/services.yaml": SERVICES.replace("NAME", "a"), "b/services.yaml": SERVICES.replace("NAME", "b")})
    found = catalog(tmp_path / "a", tmp_path / "b" / "services.yaml", tmp_path / "a" / "services.yaml")

    assert (set(found.entries), found.problems) == ({"a", "b"}, ())


def test_codeowners_speak_for_the_services_described_below_them(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "shop/.github/CODEOWNERS": "* @shop/all\n/pay/ @shop/pay\n",
            "shop/pay/cortex.yaml": CORTEX.replace("NAME", "pay"),
            "shop/cart/cortex.yaml": CORTEX.replace("NAME", "cart"),
            "other/cortex.yaml": CORTEX.replace("NAME", "other"),
        },
    )
    found = catalog(tmp_path)

    owners = {name: entry.owner and (entry.owner.team, entry.owner.source) for name, entry in found.entries.items()}
    assert owners == {
        "pay": ("@shop/pay", "shop/.github/CODEOWNERS"), "cart": ("@shop/all", "shop/.github/CODEOWNERS"), "other": None,
    }  # fmt: skip
    assert found.read_at["shop/.github/CODEOWNERS"] == 100.0


class TestLinks:
    """Followed where they stay inside, because a ConfigMap is mounted as links; never out."""

    def test_a_mounted_configmap_is_read_once(self, tmp_path: Path) -> None:
        put(tmp_path, {"..2026/services.yaml": SERVICES})
        (tmp_path / "..data").symlink_to("..2026")
        (tmp_path / "services.yaml").symlink_to("..data/services.yaml")
        found = catalog(tmp_path)

        assert (list(found.entries), found.problems) == (["name"], ())
        assert list(found.read_at) == ["services.yaml"]

    def test_links_that_lead_out_are_named_and_not_followed(self, tmp_path: Path) -> None:
        put(tmp_path, {"outside/services.yaml": SERVICES, "inside/x": ""})
        (tmp_path / "inside" / "services.yaml").symlink_to("../outside/services.yaml")
        (tmp_path / "inside" / "more").symlink_to("../outside")
        found = catalog(tmp_path / "inside")

        assert found.entries == {}
        assert [problem.partition(": ")[0] for problem in found.problems] == [
            f"{tmp_path}/inside/more", f"{tmp_path}/inside/services.yaml",
        ]  # fmt: skip
        assert "a link that leads out" in found.problems[0]

    def test_a_circle_of_links_ends(self, tmp_path: Path) -> None:
        (tmp_path / "again").symlink_to(tmp_path)
        (tmp_path / "services.yaml").symlink_to("services.yaml")

        found = catalog(tmp_path)
        assert "cannot be read" in found.problems[0]

    def test_a_file_that_is_named_may_be_a_link(self, tmp_path: Path) -> None:
        put(tmp_path, {"outside/catalogue": SERVICES})
        (tmp_path / "services.yaml").symlink_to("outside/catalogue")

        assert list(catalog(tmp_path / "services.yaml").entries) == ["name"]


class TestTooMuch:
    """Caps, each said where it is met."""

    def test_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(files, "MAX_FILES", 1)
        put(tmp_path, {"a/services.yaml": SERVICES.replace("NAME", "a"), "b/services.yaml": SERVICES})
        found = catalog(tmp_path)

        assert list(found.entries) == ["a"]
        assert "there are more than 1 files" in found.problems[0]

    def test_bytes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(files, "MAX_TOTAL_BYTES", 30)
        put(tmp_path, {"a/services.yaml": SERVICES.replace("NAME", "a"), "b/services.yaml": SERVICES})
        found = catalog(tmp_path)

        assert list(found.entries) == ["a"]
        assert "more than 30 bytes in all" in found.problems[0]

    def test_directories(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(files, "MAX_LOOKED_AT", 3)
        put(tmp_path, {"services.yaml": SERVICES, "a/b": "", "a/c": "", "a/d": ""})

        assert catalog(tmp_path).problems == (f"{tmp_path}: holds more than 3 files; name the directories that matter",)

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "services.yaml")

        assert catalog(tmp_path).problems == (f"{tmp_path}/services.yaml: cannot be read: not a regular file",)

    def test_an_alias_bomb_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "services.yaml").write_text(
            "a: &a [x, x]\nb: &b {k: *a, l: *a}\nc: &c {<<: *b, m: *b, n: *b}\nservices: [*c, {id: *c}]\n"
        )

        assert any("is not a text" in problem for problem in catalog(tmp_path).problems)


def test_a_file_broken_in_the_middle_is_used_up_to_there(tmp_path: Path) -> None:
    (tmp_path / "catalog-info.yaml").write_text(f"{BACKSTAGE.replace('NAME', 'a')}\n---\n{{kind: [\n---\n{BACKSTAGE}\n")
    found = catalog(tmp_path)

    assert list(found.entries) == ["a"]
    assert found.problems[0].startswith(f"{tmp_path}/catalog-info.yaml:4: not YAML")
    assert found.problems[0].endswith("; the 1 documents before that are used")
