"""What every page has around it: the sections there are, the title, and how a template is filled.

Comes in: a section, a template and its values. Goes out: HTML. What every page's own template extends is `page.html.j2`; its blocks
are `title` and `main`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot import words


@dataclass(frozen=True, slots=True)
class Section:
    """One entry of the navigation. `key` is what a page says it belongs to."""

    key: str
    href: str
    label: str


SECTIONS = (
    Section("now", "/", "Now"),
    Section("groups", "/groups", "Overview"),
    Section("incidents", "/incidents", "Incidents"),
    Section("diff", "/diff", "Changes"),
    Section("plan", "/plan", "Plan"),
    Section("trace", "/trace", "Trace"),
    Section("coverage", "/coverage", "Coverage"),
    Section("messages", "/messages", "Messages"),
)
"""In the order they are shown in."""


def html(template: str, section: str, assets: Mapping[str, str], values: Mapping[str, object]) -> str:
    """The page of `template`, in `section` ('' for none). `assets` says under which address each static file is."""
    return words.render(template, sections=SECTIONS, section=section, assets=assets, **values)
