"""Tileset stores and releases."""
