"""`python -m bot`: the same as the `topology-bot` command."""

from bot.cli import main

main()
