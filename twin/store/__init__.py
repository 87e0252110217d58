"""Tileset stores and releases."""

from twin.store.base import Entry, StoreWriter, TilesetStore, digest, media_type, precompress
from twin.store.open import open_store, open_writer

__all__ = ["Entry", "StoreWriter", "TilesetStore", "digest", "media_type", "open_store", "open_writer", "precompress"]
