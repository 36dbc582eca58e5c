"""The layout program: a process of its own that turns DOT into SVG or PNG with Graphviz, one after the other, until its input ends.

Comes in on standard input: frames of `!4sI` (format, length) and DOT. Goes out on standard output: frames of `!?I` (drawn or not, length)
and the picture, or why there is none; the first says whether it can draw at all. Graphviz is C code in which a fault ends the
process, and is not made for several threads: that is why it is here, within limits, and not in the bot. It imports nothing of the bot's.
"""

from __future__ import annotations

import os
import resource
import struct
import sys
import warnings
from pathlib import Path
from typing import BinaryIO

REQUEST, ANSWER = struct.Struct("!4sI"), struct.Struct("!?I")
MEMORY_BYTES = 2 * 2**30
PNG_DPI = "120"
FONT_DIRECTORIES = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.fonts",
    "~/.local/share/fonts",
    "/System/Library/Fonts",
)
_FONTS = ("*.ttf", "*.otf", "*.ttc", "*.pfb")
# The first picture of a process reads the fonts, and with some versions of the library loses text: nobody is to get that one.
_WARMING = (
    'digraph { a [label=<<FONT FACE="DejaVu Sans"><B>a</B></FONT>>]; b [fontname="DejaVu Sans"]; a -> b [label=<c>] }'
)

try:
    import pygraphviz
except ImportError as error:  # said in the first frame
    pygraphviz = None
    MISSING = f"Graphviz is not installed: pip install pygraphviz ({error})"
else:
    MISSING = ""


def why_not(directories: tuple[str, ...] = FONT_DIRECTORIES) -> str:
    """Why no picture can be drawn here, '' where one can."""
    if MISSING:
        return MISSING
    folders = [Path(one).expanduser() for one in directories]
    if not any(next(folder.rglob(kind), None) for folder in folders if folder.is_dir() for kind in _FONTS):
        return "no font is installed: apt-get install fonts-dejavu-core"
    return ""


def draw(dot: str, kind: str) -> bytes:
    """The picture. Raises ValueError where Graphviz cannot make one."""
    with warnings.catch_warnings(action="error"):  # what Graphviz says on standard error comes as a warning
        graph = pygraphviz.AGraph(string=dot)
    if kind == "png":
        graph.graph_attr["dpi"] = PNG_DPI
    picture: bytes = graph.draw(format=kind, prog="dot")
    graph.close()
    return picture


def main() -> None:
    """Answer until the input ends."""
    # Frames have the real standard output to themselves: libraries that print do so to standard error.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    if reason := why_not():
        _answer(output, drawn=False, body=reason.encode())
        return
    for kind in ("svg", "png"):
        draw(_WARMING, kind)
    _answer(output, drawn=True, body=b"")
    source = sys.stdin.buffer
    while len(head := source.read(REQUEST.size)) == REQUEST.size:
        kind, length = REQUEST.unpack(head)
        try:
            picture = draw(source.read(length).decode(), kind.rstrip(b"\0").decode())
        except (ValueError, AttributeError, Warning, MemoryError) as error:
            _answer(output, drawn=False, body=f"{type(error).__name__}: {error}"[:300].encode(errors="replace"))
        else:
            _answer(output, drawn=True, body=picture)


def _answer(output: BinaryIO, *, drawn: bool, body: bytes) -> None:
    output.write(ANSWER.pack(drawn, len(body)) + body)
    output.flush()


if __name__ == "__main__":
    main()
