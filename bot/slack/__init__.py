"""Commands, views (answers -> Block Kit) and sending. The only room that talks to Slack."""
