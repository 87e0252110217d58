"""Ten ways in which people write an address of the sample district: messy, but each still says which house is meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np

_DIGITS = "零一二三四五六七八九"
_WIDE = str.maketrans("0123456789", "０１２３４５６７８９")
_TRADITIONAL = str.maketrans("号长宁区东华园国", "號長寧區東華園國")
_WORRIES = ("门口有人乱堆垃圾", "二楼有住户噪音扰民", "楼下电动车占道停放", "外墙瓷砖有脱落危险")


def spoken(number: int) -> str:
    """A number below ten thousand as it is spoken: 205 is 二百零五."""
    text, rest = "", number
    for value, unit in ((1000, "千"), (100, "百"), (10, "十")):
        if rest >= value:
            text += _DIGITS[rest // value] + unit
        elif text and rest and not text.endswith("零"):
            text += "零"
        rest %= value
    text += _DIGITS[rest] if rest or not text else ""
    return text.removeprefix("一") if text.startswith("一十") else text


def _room(text: str, rng: np.random.Generator) -> str:
    floor, door = int(rng.integers(1, 19)), int(rng.integers(1, 5))
    return text + str(rng.choice([f"{floor}0{door}室", f"{floor}楼", f"2单元{floor}0{door}室"]))


Write = Callable[[str, str, np.random.Generator], str]

#: Name of the form, and how an address in a subdistrict is written in it: `write(address, subdistrict, rng)`.
FORMS: Mapping[str, Write] = {
    "as surveyed": lambda text, _street, _rng: text,
    "every area in front": lambda text, street, _rng: f"上海市长宁区{street}{text}",
    "areas without their words": lambda text, street, _rng: f"上海长宁{street.removesuffix('街道')} {text}",
    "wide digits": lambda text, _street, _rng: f"长宁区{text.translate(_WIDE)}",
    "numerals": lambda text, _street, _rng: re.sub(r"\d+", lambda found: spoken(int(found[0])), text),
    "traditional letters": lambda text, _street, _rng: f"上海市长宁区{text}".translate(_TRADITIONAL),
    "with a room": lambda text, _street, rng: _room(text, rng),
    "blanks and brackets": lambda text, _street, _rng: re.sub(r"(\d+)", r" \1 ", text).strip() + "（地铁站旁）",
    "within a sentence": lambda text, _street, rng: f"市民来电反映{text}{rng.choice(_WORRIES)}，请尽快处理",
    "without the last word": lambda text, _street, _rng: text.removesuffix("号"),
}
