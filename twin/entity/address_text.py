"""Addresses as people write them, Chinese and Latin, brought into one form: street, lane, number, building."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_TRADITIONAL = str.maketrans(
    "號棟樓層區縣鎮鄉東門國華廣園莊灣濱橋寧龍鳳陽陰馬長學醫場機電車鐵飛廠會豐興義慶業農漢濟滬蘇錢寶衛環線漁萬愛紅綠藍黃雲嶺島關辦廳雙開發單",
    "号栋楼层区县镇乡东门国华广园庄湾滨桥宁龙凤阳阴马长学医场机电车铁飞厂会丰兴义庆业农汉济沪苏钱宝卫环线渔万爱红绿蓝黄云岭岛关办厅双开发单",
)
_DIGIT = {letter: value for value, letter in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_SPELLED = re.compile(r"[〇零一二两三四五六七八九十百千]+(?=[号弄栋幢座室层])")
_WORDS = {
    "rd": "road", "st": "street", "str": "street", "ave": "avenue", "av": "avenue", "blvd": "boulevard", "ln": "lane",
    "dr": "drive", "pl": "place", "ct": "court", "sq": "square", "pkwy": "parkway", "hwy": "highway", "ter": "terrace",
    "n": "north", "s": "south", "e": "east", "w": "west", "bei": "north", "nan": "south", "dong": "east",
    "xi": "west", "zhong": "middle", "central": "middle", "lu": "road", "jie": "street", "dajie": "avenue",
    "dadao": "avenue", "xiang": "alley", "nong": "lane", "hao": "", "no": "", "number": "",
}  # fmt: skip
_LATIN_WORD = re.compile(r"(?<![a-z0-9])[a-z]+(?![a-z0-9])")
_ROOM = re.compile(
    r"[a-z]?\d+[a-z]?[ \t]*(?:单元|室|层|楼(?!\d)|房)"
    r"|(?:room|rm|unit|apt|apartment|suite|ste|floor|fl|f)[ \t.#]*[a-z]?\d+[a-z]?"
    r"|(?<![a-z0-9])\d+(?:st|nd|rd|th)?[ \t]*(?:floor|fl|f)(?![a-z])"
)
_BUILDING = re.compile(
    r"([a-z]|\d+[a-z]?)[ \t]*(?:号楼|栋|幢|座)|(?:building|bldg|block|blk)[ \t.#]*([a-z0-9]{1,4})(?![a-z0-9])"
)
_LANE = re.compile(r"(\d+)[ \t]*弄|(?<![a-z])lane[ \t]*(\d+)|(?<![\d])(\d+)[ \t]*lane(?![a-z])")
_NUMBER = re.compile(
    r"(\d+[a-z]?(?:[-/]\d+[a-z]?)?)[ \t]*号|[#№][ \t]*(\d+[a-z]?)|(?<![a-z0-9])(\d+[a-z]?(?:-\d+)?)(?![a-z0-9])"
)
_ADMIN = re.compile(
    r"^(?:[^\s\d]{2,6}?(?:省|自治区|特别行政区))?(?:[^\s\d]{2,6}?市)?(?:[^\s\d]{1,6}?[区县])?(?:[^\s\d]{2,8}?(?:街道|[镇乡](?![路街道巷])))?"
)
_NOISE = re.compile(r"[^0-9a-z\u3400-\u9fff\n]+")
_WHOLE_STREET = re.compile(r".*?(?:大道|[路街道巷]|胡同)")


@dataclass(frozen=True, slots=True)
class Address:
    """What an address says.

    Attributes:
        street: Letters alone, without administrative prefix; "" where there is none.
        lane: Number before 弄.
        number: House number.
        building: Number or letter of the building in its compound.
        text: All letters and digits, for names.
    """

    street: str
    lane: str
    number: str
    building: str
    text: str


def normalise(text: str) -> str:
    """One or many texts, a line each: narrow, simplified, lower case, numbers before 号 as digits, no short forms."""
    narrow = unicodedata.normalize("NFKC", text).translate(_TRADITIONAL).lower().replace("'", "").replace("’", "")
    digits = _SPELLED.sub(lambda found: str(spelled(found[0])), narrow)
    return _LATIN_WORD.sub(lambda found: _WORDS.get(found[0], found[0]), digits)


def spelled(text: str) -> int:
    """The number that Chinese numerals mean: 八十八 is 88, 一二三 is 123."""
    if not set(text) & set("十百千"):
        return int("".join(str(_DIGIT[letter]) for letter in text))
    total, digit = 0, 0
    for letter in text:
        if letter in _DIGIT:
            digit = _DIGIT[letter]
        else:
            total += (digit or 1) * {"十": 10, "百": 100, "千": 1000}[letter]
            digit = 0
    return total + digit


def parse(texts: Sequence[str]) -> Iterator[Address]:
    """What each address says. A line end in a text counts as a blank."""
    whole = normalise("\n".join(text.replace("\n", " ").replace("\r", " ") for text in texts))
    return (_parsed(line) for line in whole.split("\n")) if texts else iter(())


def _parsed(line: str) -> Address:
    rest, building = _taken(_BUILDING, line)
    rest = _ROOM.sub(" ", rest)
    rest, lane = _taken(_LANE, rest)
    rest, number = _taken(_NUMBER, rest)
    prefix = _ADMIN.match(rest)
    tail = rest[prefix.end() :] if prefix else rest
    rest = tail if _NOISE.sub("", tail) else rest
    found = _WHOLE_STREET.match(rest.strip())
    street = _NOISE.sub("", found[0] if found else rest)
    return Address(street, lane, number, building, _NOISE.sub("", line))


def _taken(pattern: re.Pattern[str], text: str) -> tuple[str, str]:
    """A text without the first match, and what the match holds."""
    found = pattern.search(text)
    if found is None:
        return text, ""
    return f"{text[: found.start()]} {text[found.end() :]}", next((one for one in found.groups() if one), "")
