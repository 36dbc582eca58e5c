"""topology-bot: a chat-ops bot and alert enricher that keeps a live map of which service calls which."""

__version__ = "0.1.0"
