"""Where a text says something happened: the address or name inside what a caller told or a clerk typed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST = 200
"""Characters of a text that are read."""

_BESIDE = 0.7
_WHOLE = 0.98
_COMPLETED = 0.95
_SHORTEST_NAME = 2

_BRACKETED = re.compile(r"[(\[{<【〔《「『][^()\[\]{}<>【】〔〕《》「」『』]*[)\]}>】〕》」』]")
_BRACKET = re.compile(r"[()\[\]{}<>【】〔〕《》「」『』\"“”]")
_CROSSING = re.compile(
    r"[路街道巷][ \t]*(?:与|和|及|、|/|近|靠近|到|至|—|-)?[ \t]*[^\s,;。0-9]{1,8}[路街道巷][ \t]*(?:交叉|路口|口)"
)
_BESIDE_WORD = re.compile(r"对面|对过|斜对|附近|旁边?|隔壁|周边|一带|以[东南西北]|之间")
_HINT = re.compile(r"(?:靠近|邻近|临近|近)[ \t]*[^\s\d,]{1,7}[路街道巷]口?")
_LEAD = re.compile(r"^.*?(?:反映|反应|投诉|举报|位于|坐落于|住在|家住|地址:?|发现|来电称|称)[:,]?")
_PAUSE = re.compile(r"[,;。!?\n\r]")
_AROUND = re.compile(
    r"(?:的|门口|门前|大门|楼下|楼上|楼顶|屋顶|院内|院里|大厅|大堂|车库|电梯|内|里|处|外|旁|附近|对面|隔壁|有人).*$"
)
_BLOCK_IN_A_LANE = re.compile(r"(弄[ \t]*[0-9〇零一二两三四五六七八九十百]+)[ \t]*(?:号楼|栋|幢|座)")
_BLOCK = re.compile(r"([0-9〇零一二两三四五六七八九十百]+)[ \t]*(?:栋|幢|座|#[ \t]*楼?|号房)")
_ROOM = re.compile(r"(?<=[号楼])[ \t]*-?[ \t]*[a-z]?[0-9〇零一二两三四五六七八九十百]+.*$", re.IGNORECASE)
_DOOR = re.compile(r"(?<=[^\d第])[a-z]?\d+[ \t]*(?:单元|室|层|楼|房)(?!\d*号楼).*$", re.IGNORECASE)
_AREAS = re.compile(
    r"^(?:[^\s\d]{2,6}?(?:省|自治区))?(?:[^\s\d]{2,6}?市)?(?:[^\s\d]{1,6}?(?<!小)[区县])?(?:[^\s\d]{2,8}?街道)?"
)
_PLAIN_NUMBER = re.compile(r"(?<=[^0-9])([0-9]+)[ \t]*号$")
_NUMBERED_STREET = re.compile(
    r"[路街道巷弄][^\d路街道巷弄]{0,4}(?:\d|[〇零一二两三四五六七八九十百千]+[号弄])|[路街道巷]$"
)
_HEAD = re.compile(r"[^\d]+(?=\d)")
_STREET_END = re.compile(r"街道|[路街道巷]")


@dataclass(frozen=True, slots=True)
class Reading:
    """A way to read a text.

    Attributes:
        text: What is looked up.
        factor: What its score counts for: less where the text had to be completed, or only says what is near.
    """

    text: str
    factor: float


def readings(text: str) -> Iterator[Reading]:
    """Ways to read a text, the likeliest first; none where it says no more than that two streets cross."""
    plain = unicodedata.normalize("NFKC", text[:LONGEST]).strip()
    outside = _BRACKET.sub(" ", _BRACKETED.sub(" ", plain)).strip() or _BRACKET.sub(" ", plain).strip()
    if not outside or _CROSSING.search(outside):
        return
    # "opposite", "near": the thing it happened at is another one
    factor = _BESIDE if _BESIDE_WORD.search(outside) else 1.0
    told = _PAUSE.split(_HINT.sub(" ", _LEAD.sub("", outside)).strip(), maxsplit=1)[0].strip()
    ways = _streets(told) if _NUMBERED_STREET.search(told) else (*_names(told), *_streets(told))
    seen: set[str] = set()
    for one in (*ways, Reading(outside, _WHOLE)):
        if len(one.text) >= _SHORTEST_NAME and one.text not in seen:
            seen.add(one.text)
            yield Reading(one.text, one.factor * factor)


def _streets(told: str) -> Iterator[Reading]:
    """From the street on that the number belongs to: what is wider is named before it, and may be called like a street.

    The subdistrict 江苏路 stands in front of 红宝石路 66 号, and a caller's words in front of it all. In a lane, block
    4 is number 4.
    """
    place = _BLOCK_IN_A_LANE.sub(r"\1号", told)
    head = _HEAD.match(place)
    streets = [] if head is None else [found.end() for found in _STREET_END.finditer(head[0])]
    yield Reading(place[streets[-2] :].strip() if len(streets) > 1 else place, 1.0)
    yield Reading(place, _WHOLE)
    yield Reading(told, _WHOLE)


def _names(told: str) -> Iterator[Reading]:
    """The name of a compound and its block, in the words that registers use, without door and surroundings."""
    named = _BLOCK.sub(r"\1号楼", told)
    house = _DOOR.sub("", _ROOM.sub("", _AROUND.sub("", named))).strip()
    alone = _AREAS.sub("", house)
    for name in (alone, house):
        yield Reading(name, 1.0)
        yield Reading(_PLAIN_NUMBER.sub(r"\1号楼", name), _COMPLETED)
    yield Reading(named, _WHOLE)
