"""Entities written for people who leave us: open formats, nothing held back."""
