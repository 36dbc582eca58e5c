"""The pages people open in a browser: routes that ask for answers, have `bot.page` lay them out, and send HTML."""
