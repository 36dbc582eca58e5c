"""Real programs talking to the running bot."""
