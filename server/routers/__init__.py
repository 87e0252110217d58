"""Documented endpoints."""
