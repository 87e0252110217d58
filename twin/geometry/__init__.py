"""Ragged polygons and meshes as arrays."""
