"""Why a report is not taken in: the codes, what each means, and the error that carries one to the list of refusals."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from twin.errors import TwinError
from twin.live.model import Refusal

#: What every refusal code means. They are the events' own table, apart from what becomes of a feature in a build.
REFUSALS: Mapping[str, str] = MappingProxyType(
    {
        "not_json": "The body is no JSON, or in no encoding that can be told (UTF-8, UTF-16, GB 18030).",
        "not_an_object": "A report must be a JSON object.",
        "too_large": "The body or one report is larger than allowed.",
        "too_deep": "Values are nested deeper than allowed.",
        "too_many": "A batch holds more reports than allowed.",
        "too_long": "A text is longer than allowed.",
        "bad_text": "A text holds characters that no store keeps: NUL or half a surrogate pair.",
        "bad_encoding": "A line of a file is in another encoding than the rest of it.",
        "bad_row": "A line of a file has more or fewer columns than its header, or cannot be read.",
        "spec_version": "The report is of another version of CloudEvents than 1.0.",
        "missing": "A required attribute is missing or empty.",
        "bad_source": "The source is no URI reference.",
        "wrong_type": "A value is of another JSON type than stated.",
        "not_json_data": "The data of a CloudEvent is no JSON object.",
        "unknown_type": "The CloudEvents type is neither `twin.<kind>.<status>` nor in the table of types.",
        "unknown_kind": "The kind is not in the table of kinds.",
        "unknown_status": "The status is neither known nor in the table of statuses, or the kind does not have it.",
        "unknown_severity": "The severity is neither known nor in the table of severities.",
        "contradiction": "The type says another status than the data.",
        "incomplete": "The kind needs something that the report does not say: a value, a place.",
        "bad_time": "A time cannot be read, has no offset where none is set, or lies outside 1970 to 2200.",
        "event_in_future": "The report happened later than now, by more than clocks may differ.",
        "event_too_old": "The report happened longer ago than is taken in.",
        "bad_number": "A number cannot be read, is not finite, or is beyond 64 bits.",
        "bad_position": "A position is half given or not on the Earth.",
        "unknown_crs": "The coordinate reference system is not known, or not given where it is needed.",
        "position_outside": "The position lies outside the area of its coordinate reference system.",
        "not_permitted": "The key may not write this kind or this area.",
    }
)


class Refused(TwinError):  # noqa: N818 - it is an answer, not a fault
    """A report cannot be taken in. Whoever reads reports keeps it as a `Refusal`.

    Args:
        code: Of `REFUSALS`.
        reason: One sentence: what is wrong, and what to do.
        body: What was sent, as text, where whoever refuses knows it.
        source: Who sent it, where that could be read.
    """

    def __init__(self, code: str, reason: str, *, body: str = "", source: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.body = body
        self.source = source

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (self.code, self.reason, self.body, self.source))

    def refusal(self, recorded_ms: int, *, source: str = "", body: str = "") -> Refusal:
        """The entry for the list of refusals.

        Args:
            recorded_ms: When.
            source: Taken where the report's own source could not be read: the way in.
            body: Taken where the refusal does not hold what was sent.
        """
        return Refusal(0, recorded_ms, self.source or source, self.code, self.reason, self.body or body)


def _rebuild(code: str, reason: str, body: str, source: str) -> Refused:
    return Refused(code, reason, body=body, source=source)
