"""`topology-bot show SERVICE --picture FILE`: the picture from a running bot, or painted here from the database.

Comes in: a service and a file name, whose ending says the format. Goes out: the file, and a line that says what was written.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from bot import config
from bot.cli.terminal import Answer, ask_database
from bot.client import Client
from bot.errors import ConfigError
from bot.history import History
from bot.picture.painter import Format, Painter
from bot.picture.words import alt
from bot.storage.history_store import HistoryStore
from bot.storage.incident_reader import IncidentReader
from bot.web import parameters
from bot.web.pictures import focus_at
from bot.web.status import Parts


def write_picture(service: str, file: str, given: Mapping[str, str], url: str, token: str) -> tuple[Answer, str]:
    """Write the picture of `service` to `file`. Gives what to say of it, for a program and for a person.

    Raises ConfigError for a file that cannot be, PictureError where no picture can be made, NotFound for an unknown service.
    """
    form = _format(file)
    parameters.check(given, ("at", "depth", "layers"))
    said = ""
    if url:
        path = f"/api/v1/services/{quote(service, safe='')}/picture"
        body = Client(url, token).fetch(path, {**given, "format": form.value})
    else:
        body, said = ask_database(lambda parts: _painted(parts, service, form, given))
    try:
        Path(file).write_bytes(body)
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {error.strerror}") from None
    answer = {"file": file, "format": form.value, "bytes": len(body), "alt": said or None}
    return answer, "\n".join(filter(None, (f"{file}: {len(body):,} bytes of {form.value}", said)))


async def _painted(parts: Parts, service: str, form: Format, given: Mapping[str, str]) -> tuple[bytes, str]:
    moment = parameters.moment(given, "at", time.time())
    history = History(
        parts.view, HistoryStore(parts.database), changes=parts.changes, fired=IncidentReader(parts.database).fired
    )
    focus = await focus_at(parts.view, history, service, moment, parameters.query(given))
    async with Painter(1, config.load().picture_seconds) as painter:
        return await painter.paint(focus, form), alt(focus)


def _format(file: str) -> Format:
    ending = Path(file).suffix.removeprefix(".").lower()
    if ending not in {form.value for form in Format}:
        raise ConfigError(f"--picture: {file!r} does not end in {', '.join(f'.{form.value}' for form in Format)}")
    return Format(ending)
