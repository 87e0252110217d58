"""What an export says of itself: whose it is, of which release or moment, and what its heights refer to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class About:
    """Facts that go with the data; no clock among them, so that the same selection gives the same bytes.

    Attributes:
        title: Name of the district.
        admin_code: Administrative division code.
        authority: Who mints the identifiers.
        vertical_datum: What `base_m` and `roof_m` refer to, as text.
        vertical_epsg: EPSG code of it; None for the ellipsoid.
        release: Release the entities were read from; "" where they come from the history.
        datetime: Moment in the world, ISO 8601; "" for a release.
        as_of: What was known then, ISO 8601; "" for a release.
        program: What wrote it.
    """

    title: str
    admin_code: str
    authority: str
    vertical_datum: str
    vertical_epsg: int | None
    release: str = ""
    datetime: str = ""
    as_of: str = ""
    program: str = ""

    def facts(self) -> dict[str, str]:
        """The filled ones, by name."""
        names = ("title", "admin_code", "authority", "vertical_datum", "release", "datetime", "as_of", "program")
        return {name: getattr(self, name) for name in names if getattr(self, name)}
