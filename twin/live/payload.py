"""Bytes that came in to JSON documents: encodings found, sizes bounded, lines taken one by one."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

import orjson

from twin.live.refusals import Refused
from twin.live.rules import ParseRules

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode(content: bytes) -> str:
    """Text in UTF-8, UTF-16 with its mark, or GB 18030 (GBK, GB 2312), whichever it is.

    GB 18030 reads nearly any bytes, UTF-8 hardly any by chance: so UTF-8 is tried first and strictly.

    Raises:
        Refused: `not_json`, it is none of these.
    """
    for encoding in (marked_encoding(content) or "utf-8", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Refused("not_json", "the text is neither UTF-8 nor UTF-16 nor GB 18030", body=shown(content))


def marked_encoding(start: bytes) -> str | None:
    """The encoding that a byte order mark tells."""
    return next((encoding for mark, encoding in _MARKS if start.startswith(mark)), None)


def shown(content: bytes, limit: int = 65_536) -> str:
    """Bytes as text for the list of refusals; what is no UTF-8 is escaped, NUL too."""
    return content[:limit].decode("utf-8", "backslashreplace").replace("\0", "\\x00")


def read_json(content: bytes) -> object:
    """A JSON document out of bytes; raises `Refused` (`not_json`)."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as first:
        try:
            text = decode(content)
            return orjson.loads(text.encode("utf-8"))
        except orjson.JSONDecodeError:
            raise Refused("not_json", f"the body is no JSON: {first}", body=shown(content)) from None


def read_body(content: bytes, rules: ParseRules) -> list[object]:
    """The documents of a body: those of a JSON array, or the one.

    Raises:
        Refused: `too_large`, `too_many`, `not_json`.
    """
    if len(content) > rules.max_body_bytes:
        raise Refused("too_large", f"the body has {len(content)} bytes, {rules.max_body_bytes} are allowed")
    document = read_json(content)
    documents = document if isinstance(document, list) else [document]
    if len(documents) > rules.max_batch:
        raise Refused("too_many", f"the batch has {len(documents)} reports, {rules.max_batch} are allowed: send parts")
    return documents


def read_lines(content: bytes, rules: ParseRules) -> Iterator[object | Refused]:
    """The documents of newline-delimited JSON, line by line; of a line that is none, why. Empty lines do not count.

    Args:
        content: Whole lines, in UTF-8 or GB 18030.
        rules: Of sizes.
    """
    for line in content.split(b"\n"):
        if not line.strip():
            continue
        if len(line) > rules.max_bytes:
            yield Refused("too_large", f"a line has {len(line)} bytes, {rules.max_bytes} are allowed", body=shown(line))
            continue
        try:
            yield read_json(line)
        except Refused as refused:
            yield refused
