"""The one place that opens templates: a template's name and values come in, its text goes out. Nothing is kept but the
compiled templates.

`*.html.j2` escape every value that is not `Markup`; `*.txt.j2` do not, since their callers escape for Slack. A value
that a template names and nobody gives is an error, never an empty place in a message.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

_HERE = Path(__file__).parent
_INSTALLED = _HERE / "templates"  # the wheel carries the folder inside the package; a checkout has it beside it
FOLDER = _INSTALLED if _INSTALLED.is_dir() else _HERE.parent / "templates"

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(FOLDER),
    autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(name: str, /, **values: object) -> str:
    """The text of template `name` (`preview.html.j2`). Raises Jinja2's `TemplateNotFound` and `UndefinedError`."""
    return _ENVIRONMENT.get_template(name).render(values)
