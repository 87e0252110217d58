"""Choosing entities by a filter: CQL2 over columns of Arrow, the same for the server and for exports."""
