"""OGC API - Features: entities as collections that can be asked by place, time and attribute."""
