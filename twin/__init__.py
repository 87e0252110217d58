"""District twin: from a city district's survey data to identified, served 3D Tiles."""

from typing import Any

__version__ = "0.1.0"

_DISTRICT = "twin.district"


def __getattr__(name: str) -> Any:
    """Finds `twin.District`, the Python API, where it is registered: the library itself knows no project and no build.

    Raises:
        AttributeError: There is no such name, or no package offers it (entry-point group `twin.district`).
    """
    if name == "District":
        from importlib.metadata import entry_points

        for point in entry_points(group=_DISTRICT, name=name):
            return point.load()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
