"""MCP: the protocol, its tools, and the two ways it is carried."""
