"""Templates: what is escaped, what is missing, and where they are found."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import FileSystemLoader, TemplateNotFound, UndefinedError

from bot import words


def templates_in(folder: Path, monkeypatch: pytest.MonkeyPatch, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    for environment in (words._ENVIRONMENT, words._PAGES):
        monkeypatch.setattr(environment, "loader", FileSystemLoader(folder))


def test_a_page_template_escapes_what_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    templates_in(tmp_path, monkeypatch, {"page.html.j2": "<p>{{ name }}</p>"})

    assert words.render("page.html.j2", name="<b>&") == "<p>&lt;b&gt;&amp;</p>"


def test_what_has_no_width_and_what_turns_directions_is_left_out_of_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates_in(tmp_path, monkeypatch, {"page.html.j2": "<p>{{ name }} {{ count }}</p>"})

    assert words.render("page.html.j2", name="a\x00\u202eb\u2066c", count=3) == "<p>abc 3</p>"


def test_a_message_template_leaves_escaping_to_its_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    templates_in(tmp_path, monkeypatch, {"note.txt.j2": "{{ name }} & co"})

    assert words.render("note.txt.j2", name="<@U1>") == "<@U1> & co"


def test_a_value_nobody_gave_is_an_error_and_not_a_hole_in_the_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates_in(tmp_path, monkeypatch, {"note.txt.j2": "Owner: {{ owner }}"})

    with pytest.raises(UndefinedError, match="owner"):
        words.render("note.txt.j2")


def test_lines_that_hold_only_tags_leave_no_blank_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    templates_in(tmp_path, monkeypatch, {"note.txt.j2": "a\n  {% if yes %}\nb\n  {% endif %}\nc"})

    assert words.render("note.txt.j2", yes=True) == "a\nb\nc"


def test_an_unknown_template_is_named_in_the_error() -> None:
    with pytest.raises(TemplateNotFound, match=r"nobody\.txt\.j2"):
        words.render("nobody.txt.j2")


def test_every_template_of_the_repository_compiles() -> None:
    names = words._ENVIRONMENT.list_templates(extensions=["j2"])

    assert "preview.html.j2" in names
    for name in names:
        words._ENVIRONMENT.get_template(name)
