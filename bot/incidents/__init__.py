"""The alert path: dedupe -> find service -> correlate -> enrich -> decide -> notify."""
