"""Where the next page begins: after the values of the last feature, not after a count of features.

A page stays where it is when another release is published meanwhile: features are neither repeated nor left out.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import orjson

from server.problem import ProblemError
from twin.entity import geid as geids

_LONGEST = 4000
_UNREADABLE = "The cursor cannot be read; follow the `next` link of a page as it is."


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last feature of a page.

    Attributes:
        geid: Its identifier.
        values: Its values of the keys of `sortby`, as JSON has them.
    """

    geid: str
    values: tuple[Any, ...] = ()

    def write(self) -> str:
        """As it stands in a link."""
        packed = orjson.dumps([self.geid, *self.values])
        return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def read_cursor(text: str | None, keys: int) -> Cursor | None:
    """A cursor out of a link.

    Args:
        text: The parameter.
        keys: How many keys `sortby` has.

    Raises:
        ProblemError: 400 where it is none, or belongs to another `sortby`.
    """
    if text is None:
        return None
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        values: Any = orjson.loads(packed) if len(text) <= _LONGEST else None
    except (binascii.Error, ValueError):
        values = None
    plain = isinstance(values, list) and all(one is None or isinstance(one, str | int | float) for one in values)
    if not plain or len(values) != keys + 1 or not isinstance(values[0], str) or not geids.check(values[0]):
        raise ProblemError(400, "invalid_parameter", _UNREADABLE)
    return Cursor(geids.normalise(values[0]), tuple(values[1:]))
