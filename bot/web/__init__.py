"""aiohttp routes: telemetry and alert doors, JSON API, preview, health."""
