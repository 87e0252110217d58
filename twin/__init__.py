"""District twin: from a city district's survey data to identified, served 3D Tiles."""

__version__ = "0.1.0"
