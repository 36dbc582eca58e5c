"""The truth table: how much of a made-up company's true map the bot finds, and how sure it rightly is."""
