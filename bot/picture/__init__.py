"""A service and what is around it as a picture: a focus graph, its DOT and Mermaid text, its SVG and PNG, its alt text."""
