"""The demo: a small shop seen by all three layers through the real doors, one broken dependency, one alert, one message.

Nothing here is special-cased in the bot. `shop` says what truly happened; `traces`, `metrics` and `flows` each report the
part of it that their kind of telemetry sees; `play` starts the bot and sends it all.
"""

from bot.demo.play import run

__all__ = ["run"]
