"""Typed 3D metadata: schemas and binary property tables."""
