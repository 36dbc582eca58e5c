"""The Model Context Protocol: the questions of `bot.web.questions` as tools, over Streamable HTTP and standard input and output."""
