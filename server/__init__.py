"""The tile and entity server."""
