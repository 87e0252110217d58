"""Entities: identifiers and the index that finds them."""
