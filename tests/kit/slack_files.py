"""The fake Slack's files: an address to upload to, the bytes, the completion; and whether a block may show a file. Pure.

docs.slack.dev/reference/methods/files.getUploadURLExternal, files.completeUploadExternal and the image block's `slack_file`: an address is
good once, for exactly as many bytes as were announced; nothing shows a file that was not completed; a picture can be shown only
once Slack has looked through it (slackapi/java-slack-sdk#1349), which takes `slow` messages that try.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_PNG = b"\x89PNG\r\n\x1a\n"


class Refused(Exception):
    """An error word of Slack's."""


@dataclass(slots=True)
class File:
    """One file. `body` is None until it is uploaded, `complete` once it is told so."""

    id: str
    name: str
    length: int
    alt: str = ""
    title: str = ""
    body: bytes | None = None
    complete: bool = False
    unready: int = 0

    @property
    def permalink(self) -> str:
        """Where whoever may sees it."""
        return f"https://acme.slack.com/files/U0BOT/{self.id}/{self.name}"


class Files:
    """All files of a workspace. `slow`: how many messages with a fresh picture are refused before it is looked through."""

    def __init__(self) -> None:
        self.all: dict[str, File] = {}
        self.slow = 0

    def address(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """`files.getUploadURLExternal`; `upload_url` is only its end."""
        name, length = str(args.get("filename") or ""), str(args.get("length") or "")
        if not name or not length.isdigit() or not int(length):
            raise Refused("invalid_arguments")
        alt = str(args.get("alt_txt") or "")
        if len(alt) > 2_000:
            raise Refused("alt_txt_too_large")
        file = File(f"F{len(self.all) + 1:09d}", name, int(length), alt, unready=self.slow)
        self.all[file.id] = file
        return {"file_id": file.id, "upload_url": file.id}

    def upload(self, file_id: str, body: bytes) -> int:
        """The bytes come; the HTTP status."""
        file = self.all.get(file_id)
        if file is None or file.body is not None:
            return 404
        if len(body) != file.length:
            return 400
        file.body = body
        return 200

    def done(self, files: Any) -> dict[str, Any]:
        """`files.completeUploadExternal` without a channel: nobody sees them yet."""
        if not isinstance(files, list) or not files:
            raise Refused("invalid_arguments")
        found = [self.all.get(str(one.get("id"))) for one in files]
        if any(file is None or file.body is None or file.complete for file in found):
            raise Refused("file_not_found")
        for file, one in zip(found, files, strict=True):
            if file is not None:
                file.complete, file.title = True, str(one.get("title") or "")
        shown = [
            {"id": file.id, "title": file.title, "permalink": file.permalink} for file in found if file is not None
        ]
        return {"files": shown}

    def objections(self, blocks: list[Any]) -> Iterator[str]:
        """What is wrong with blocks that show files."""
        for index, block in enumerate(blocks):
            shown = block.get("slack_file") if isinstance(block, Mapping) else None
            if shown is None:
                continue
            file = self.all.get(str(shown.get("id")))
            ready = file is not None and file.complete and (file.body or b"").startswith(_PNG)
            if file is not None and file.unready:
                file.unready -= 1
                ready = False
            if not ready:
                yield f"invalid slack file [json-pointer:/blocks/{index}/slack_file]"
