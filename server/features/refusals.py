"""What a filter or a geometry cannot be answered for, as a problem document."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from server.problem import ProblemError
from twin.query.cql import FilterError
from twin.query.spatial import PrivateCrsError


@contextmanager
def refusals() -> Iterator[None]:
    """Around what filters.

    Raises:
        ProblemError: 400 for a filter that cannot be answered, 501 where the working CRS is private and unknown here.
    """
    try:
        yield
    except FilterError as error:
        raise ProblemError(400, "invalid_filter", error.what) from None
    except PrivateCrsError as error:
        raise ProblemError(501, "crs_private", f"{error.what}; {error.next_step}.") from None
