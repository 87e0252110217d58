"""Where a text says something happened: the address inside what a caller told or a clerk typed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST = 200
"""Characters of a text that are read."""

_BESIDE = 0.7
_SAME_IN_A_LANE = 0.98
_TRIMMED = 0.98
_COMPLETED = 0.95

_BRACKETED = re.compile(r"[(\[{<【〔《「『][^()\[\]{}<>【】〔〕《》「」『』]*[)\]}>】〕》」』]")
_BRACKET = re.compile(r"[()\[\]{}<>【】〔〕《》「」『』\"“”]")
_CROSSING = re.compile(
    r"[路街道巷][ \t]*(?:与|和|及|、|/|近|靠近|到|至|—|-)?[ \t]*[^\s,;。0-9]{1,8}[路街道巷][ \t]*(?:交叉|路口|口)"
)
_BESIDE_WORD = re.compile(r"对面|对过|斜对|附近|旁边?|隔壁|周边|一带|以[东南西北]|之间")
_BEHIND = re.compile(
    r"[,;。!?\n\r]"
    r"|(?<=[号楼弄室层])[ \t]*(?:的|门口|门前|楼下|楼上|楼顶|屋顶|院内|内|里|处|外|前|后|旁|附近|对面|隔壁)"
)
_BLOCK_IN_A_LANE = re.compile(r"(弄\s*[0-9〇零一二两三四五六七八九十百]+)\s*(?:号楼|栋|幢|座)")
_BLOCK = re.compile(r"([0-9〇零一二两三四五六七八九十百]+)\s*(?:栋|幢|座|#\s*楼?|号房)")
_ROOM = re.compile(r"(?<=[号楼])[ \t]*-?[ \t]*[a-z]?[0-9〇零一二两三四五六七八九十百]+.*$", re.IGNORECASE)
_PLAIN_NUMBER = re.compile(r"(?<=[^0-9路街道巷弄])([0-9]+)\s*号$")
_STREET = re.compile(r"[路街道巷弄]")


@dataclass(frozen=True, slots=True)
class Reading:
    """A way to read a text.

    Attributes:
        text: What is looked up.
        factor: What its score counts for: less where the text had to be bent, or only says what is near.
    """

    text: str
    factor: float


def readings(text: str) -> Iterator[Reading]:
    """Ways to read a text, the most literal first; none where it says no more than that two streets cross."""
    plain = unicodedata.normalize("NFKC", text[:LONGEST]).strip()
    outside = _BRACKET.sub(" ", _BRACKETED.sub(" ", plain)).strip() or _BRACKET.sub(" ", plain).strip()
    if not outside or _CROSSING.search(outside):
        return
    # "opposite", "near": the thing it happened at is another one
    factor = _BESIDE if _BESIDE_WORD.search(outside) else 1.0
    seen: set[str] = set()
    for reading in (Reading(outside, factor), *_bent(outside, factor)):
        if reading.text and reading.text not in seen:
            seen.add(reading.text)
            yield reading


def _bent(text: str, factor: float) -> Iterator[Reading]:
    """A text without what people say around an address, and with the words that registers use."""
    place = _BEHIND.split(text, maxsplit=1)[0].strip()
    yield Reading(place, factor * _TRIMMED)
    lane = _BLOCK_IN_A_LANE.sub(r"\1号", place)
    yield Reading(lane, factor * _SAME_IN_A_LANE)
    named = _BLOCK.sub(r"\1号楼", place)
    yield Reading(named, factor * _SAME_IN_A_LANE)
    house = _ROOM.sub("", named).strip()
    yield Reading(house, factor * _TRIMMED)
    if not _STREET.search(house):
        yield Reading(_PLAIN_NUMBER.sub(r"\1号楼", house), factor * _COMPLETED)
