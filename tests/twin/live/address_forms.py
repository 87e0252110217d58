"""Addresses of the sample district as people write them: messy, but each still says which house is meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np

_DIGITS = "零一二三四五六七八九"
_WIDE = str.maketrans("0123456789", "０１２３４５６７８９")
_TRADITIONAL = str.maketrans("号宁区长东华园国门", "號寧區長東華園國門")
_OTHERS = "侠华安平丰新福兴德和"


def numeral(number: int) -> str:
    """A number as it is spoken, below ten thousand: 205 is 二百零五."""
    text, rest = "", number
    for value, unit in ((1000, "千"), (100, "百"), (10, "十")):
        if rest >= value:
            text += _DIGITS[rest // value] + unit
        elif text and not text.endswith("零") and rest:
            text += "零"
        rest %= value
    text += _DIGITS[rest] if rest or not text else ""
    return text.removeprefix("一") if text.startswith("一十") else text


def _typo(address: str, rng: np.random.Generator) -> str:
    """One letter of the street mistaken for another."""
    end = re.search(r"\d", address)
    at = int(rng.integers(0, max((end.start() if end else 2) - 1, 1)))
    other = rng.choice([one for one in _OTHERS if one != address[at]])
    return address[:at] + str(other) + address[at + 1 :]


def _room(rng: np.random.Generator) -> str:
    floor, door = int(rng.integers(1, 19)), int(rng.integers(1, 5))
    return str(rng.choice([f"{floor}0{door}室", f"{floor}楼", f"2单元{floor}0{door}室", f"{floor}层{door}座"]))


Write = Callable[[str, str, np.random.Generator], str]

#: Name of the form, and how an address in a subdistrict is written in it.
FORMS: Mapping[str, Write] = {
    "with every area in front": lambda text, street, rng: f"上海市长宁区{street}{text}",
    "wide digits": lambda text, street, rng: f"长宁区{text.translate(_WIDE)}",
    "numerals": lambda text, street, rng: re.sub(r"\d+", lambda found: numeral(int(found[0])), text),
    "traditional letters": lambda text, street, rng: f"上海市長寧區{text}".translate(_TRADITIONAL),
    "with a room": lambda text, street, rng: text + _room(rng),
    "blanks and a hint in brackets": lambda text, street, rng: (
        re.sub(r"(\d+)", r" \1 ", text).strip() + f"（近{rng.choice(['天山路', '古北路'])}）"
    ),
    "told over the telephone": lambda text, street, rng: (
        f"市民来电反映{text}门口有人乱堆垃圾，{rng.choice(['请尽快处理', '已经三天了', '2楼也有'])}"
    ),
    "a block of the lane": lambda text, street, rng: (
        re.sub(r"弄(\d+)号", rf"弄\1{rng.choice(['号楼', '幢', '栋'])}", text) if "弄" in text else f"{text}大楼内"
    ),
    "without the last word": lambda text, street, rng: text.removesuffix("号"),
    "no word for the province": lambda text, street, rng: f"上海长宁{street.removesuffix('街道')} {text}",
    "dashes for words": lambda text, street, rng: (
        re.sub(r"(\d+)弄(\d+)号", r"\1弄-\2", text) if "弄" in text else text.replace("号", "#")
    ),
    "one letter of the street wrong": lambda text, street, rng: _typo(text, rng),
}
