"""From entities to geometry per level of detail."""
