"""The one place that opens templates: a template's name and values come in, its text goes out. Nothing is kept but the
compiled templates.

`*.html.j2` escape every value that is not `Markup`, and leave out of it what has no width: control characters, and those that turn the
direction of whatever stands beside them; `*.txt.j2` do not, since their callers escape for Slack. A value that a template names and nobody
gives is an error, never an empty place in a message.
"""

from __future__ import annotations

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

_HERE = Path(__file__).parent
_INSTALLED = _HERE / "templates"  # the wheel carries the folder inside the package; a checkout has it beside it
FOLDER = _INSTALLED if _INSTALLED.is_dir() else _HERE.parent / "templates"

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(FOLDER),
    autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _seen(value: object) -> object:
    return _UNSEEN.sub("", value) if type(value) is str else value


_PAGES = _ENVIRONMENT.overlay(finalize=_seen)


def render(name: str, /, **values: object) -> str:
    """The text of template `name` (`preview.html.j2`). Raises Jinja2's `TemplateNotFound` and `UndefinedError`."""
    environment = _PAGES if name.endswith(".html.j2") else _ENVIRONMENT
    return environment.get_template(name).render(values)
