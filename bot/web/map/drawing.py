"""Has a picture laid out for a page. One that cannot be made costs only itself: the tables beside it say the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from bot.errors import PictureError
from bot.page.figure import Mark, figure
from bot.page.sketch import Sketch
from bot.picture.painter import Painter


async def laid_out(painter: Painter, dot: str, marks: Mapping[str, Mark], title: str, said: str) -> dict[str, Any]:
    """The values of the figure; `no_figure` says why there is none."""
    try:
        return {"figure": figure(await painter.laid_out(dot), marks, title, said), "no_figure": ""}
    except PictureError as error:
        return {"figure": Markup(), "no_figure": str(error)}


async def sketched(painter: Painter, sketch: Sketch, title: str) -> dict[str, Any]:
    """The same of a sketch."""
    if not sketch.boxes:
        return {"figure": Markup(), "no_figure": "there is nothing to draw"}
    said = "; ".join([*(box.mark.label for box in sketch.boxes), *(line.mark.label for line in sketch.lines)])
    return await laid_out(painter, sketch.dot(), sketch.marks, title, said[:1_900])
