"""Which encoding the text of a shapefile is in: what the file claims, checked against its bytes."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from twin.errors import MisuseError
from twin.sources import dbf

#: Language driver ids (byte 29 of a DBF) to Python codecs; 0x57 means "whatever the writer's machine used".
_LANGUAGE: Final = {
    0x01: "cp437", 0x02: "cp850", 0x03: "cp1252", 0x08: "cp865", 0x09: "cp437", 0x0A: "cp850", 0x0B: "cp437",
    0x0D: "cp437", 0x0E: "cp850", 0x0F: "cp437", 0x10: "cp850", 0x11: "cp437", 0x12: "cp850", 0x13: "cp932",
    0x14: "cp850", 0x15: "cp437", 0x16: "cp850", 0x17: "cp865", 0x18: "cp437", 0x19: "cp437", 0x1A: "cp850",
    0x1B: "cp437", 0x1C: "cp863", 0x1D: "cp850", 0x1F: "cp852", 0x22: "cp852", 0x23: "cp852", 0x24: "cp860",
    0x25: "cp850", 0x26: "cp866", 0x37: "cp850", 0x40: "cp852", 0x4D: "gb18030", 0x4E: "cp949", 0x4F: "cp950",
    0x50: "cp874", 0x58: "cp1252", 0x59: "cp1252", 0x64: "cp852", 0x65: "cp866", 0x66: "cp865", 0x67: "cp861",
    0x6A: "cp737", 0x6B: "cp857", 0x78: "cp950", 0x79: "cp949", 0x7A: "gb18030", 0x7B: "cp932", 0x7C: "cp874",
    0x7D: "cp1255", 0x7E: "cp1256", 0x86: "cp737", 0x87: "cp852", 0x88: "cp857", 0xC8: "cp1250", 0xC9: "cp1251",
    0xCA: "cp1254", 0xCB: "cp1253", 0xCC: "cp1257",
}  # fmt: skip

#: Names that writers of .cpg files use and Python has not, and supersets that decode more of the same.
_ALIASES: Final = {
    "gbk": "gb18030", "gb2312": "gb18030", "cp936": "gb18030", "936": "gb18030", "euc-cn": "gb18030",
    "ms936": "gb18030", "windows-936": "gb18030", "shift_jis": "cp932", "shift-jis": "cp932", "sjis": "cp932",
    "ms932": "cp932", "euc-kr": "cp949", "ks_c_5601-1987": "cp949", "big5": "cp950", "big-5": "cp950",
    "utf-8": "utf-8", "utf8": "utf-8", "65001": "utf-8", "cp65001": "utf-8", "system": "", "ldid/87": "cp1252",
}  # fmt: skip
_DOUBLE_BYTE: Final = frozenset({"gb18030", "cp950", "cp932", "cp949", "euc_jp", "utf-8"})


@dataclass(frozen=True, slots=True)
class EncodingGuess:
    """An encoding with its grounds.

    Attributes:
        name: Python codec name.
        why: One sentence.
        certain: False where another encoding could be meant: the user should look at the text.
        finding: Set where the file claims an encoding that its bytes deny.
    """

    name: str
    why: str
    certain: bool
    finding: str | None = None


UTF8: Final = EncodingGuess("utf-8", "the format is always in UTF-8", True)


def canonical(name: str) -> str | None:
    """The Python codec for an encoding name as files and people write it; None where there is none."""
    text = name.strip().strip("\ufeff\0").strip().lower()
    text = re.sub(r"^(ansi|oem|windows|ms)[ _-]?(\d+)$", r"\2", text)
    if text in _ALIASES:
        return _ALIASES[text] or None
    iso = re.fullmatch(r"(?:iso)?[ _-]?8859[ _-]?(\d{1,2})", text)
    for attempt in (f"iso8859-{iso[1]}" if iso else text, f"cp{text}", text.replace(" ", "")):
        try:
            found = codecs.lookup(attempt).name
        except LookupError:
            continue
        return _ALIASES.get(found.replace("_", "-"), found)
    return None


def check_encoding(name: str) -> str:
    """The codec a user asked for.

    Raises:
        MisuseError: Python has no such codec.
    """
    found = canonical(name)
    if found is None:
        raise MisuseError(
            f'"{name}" is not an encoding', next_step='write for example `encoding = "GB18030"`, "UTF-8" or "Big5"'
        )
    return found


def detect_encoding(path: Path) -> EncodingGuess:
    """Finds the encoding of a shapefile's or DBF's text.

    The order: what a .cpg says, what the language byte says (both only if the bytes agree), strict UTF-8, then the
    likeliest of GB18030, Big5, Shift-JIS, EUC-KR, EUC-JP and Windows-1252.

    Args:
        path: The .shp or .dbf.

    Returns:
        The guess; UTF-8 where there is no DBF or nothing but ASCII in it.

    Raises:
        SourceError: The DBF is damaged.
    """
    table = beside(path, ".dbf")
    if table is None:
        return EncodingGuess("utf-8", "there is no DBF, so no text", True)
    header = dbf.read_header(table)
    values = dbf.text_sample(table, header)
    values += [(item.name, True) for item in header.fields if not item.name.isascii()]
    claimed, claimant = _claim(table, header.language)
    if not values:
        return EncodingGuess("utf-8", "all text is ASCII, which is the same in every encoding", True)
    if claimed is not None and _agrees(claimed, values):
        return EncodingGuess(claimed, f"{claimant}, and the bytes agree", True)
    guess = judge(values)
    if claimed is None:
        return guess
    finding = f"{claimant}, but the bytes are not: {guess.why}"
    return EncodingGuess(guess.name, guess.why, guess.certain, finding)


def beside(path: Path, suffix: str) -> Path | None:
    """The file of the same stem with another suffix, whatever its case; None where there is none."""
    if path.suffix.lower() == suffix:
        return path
    for candidate in (path.with_suffix(suffix), path.with_suffix(suffix.upper())):
        if candidate.is_file():
            return candidate
    return None


def _claim(table: Path, language: int) -> tuple[str | None, str]:
    sidecar = beside(table, ".cpg")
    if sidecar is not None:
        written = sidecar.read_bytes()[:80].decode("ascii", "replace").strip()
        name = canonical(written)
        if name is not None:
            return name, f'{sidecar.name} says "{written}"'
    name = _LANGUAGE.get(language)
    return name, f"the language byte of the DBF says 0x{language:02X} ({name})"


def _agrees(name: str, values: list[tuple[bytes, bool]]) -> bool:
    if not _decodes(name, values):
        return False
    if name == "utf-8":
        return True
    if _plainly_utf8(values):
        return False
    if name in _DOUBLE_BYTE:
        return True
    # a single-byte encoding decodes anything, so it is believed only where nothing stricter fits far better
    rival = judge(values)
    return rival.name not in _DOUBLE_BYTE or _score(rival.name, values) < max(0.7, _score(name, values))


def decode_value(value: bytes, name: str, cut: bool) -> str | None:
    """Text of one value; None where it is not in that encoding.

    Args:
        value: The bytes.
        name: Python codec.
        cut: True where the value fills its field, so that its last character may be incomplete; it is dropped then.
    """
    try:
        return value.decode(name)
    except UnicodeDecodeError as error:
        if cut and error.end >= len(value) and error.start >= len(value) - 3:
            return value[: error.start].decode(name, "ignore")
    return None


def _decodes(name: str, values: Iterable[tuple[bytes, bool]]) -> bool:
    return all(decode_value(value, name, cut) is not None for value, cut in values)


def _share(name: str, values: list[tuple[bytes, bool]]) -> float:
    return sum(decode_value(value, name, cut) is not None for value, cut in values) / len(values)


def _plainly_utf8(values: list[tuple[bytes, bool]]) -> bool:
    """True where the text is UTF-8 beyond chance: the three characters 住宅楼 in GBK are valid UTF-8 too."""
    if not _decodes("utf-8", values):
        return False
    votes = [_reads_naturally(decode_value(value, "utf-8", cut) or "") for value, cut in values]
    return sum(votes) * 2 > len(votes)


def _reads_naturally(text: str) -> bool:
    """True for ideographs, letters beside ASCII ones, and words in one script; False for a jumble."""
    if any(ord(character) >= 0x800 for character in text):
        return True
    padded = f" {text} "
    around = zip(padded, padded[1:], padded[2:], strict=False)
    if any(
        not c.isascii() and any(n.isascii() and n.isalnum() for n in (before, after)) for before, c, after in around
    ):
        return True
    beyond = [character for character in text if not character.isascii()]
    scripts = {unicodedata.name(character, "?").split()[0] for character in beyond}
    return len(beyond) >= 3 and len(scripts) == 1 and all(character.isalpha() for character in beyond)


def judge(values: list[tuple[bytes, bool]]) -> EncodingGuess:
    """The likeliest encoding of some text values, from their bytes alone."""
    if _plainly_utf8(values):
        return EncodingGuess("utf-8", "every value is valid UTF-8", True)
    readable = [pair for pair in values if decode_value(pair[0], "utf-8", pair[1]) is not None]
    if len(readable) >= 0.9 * len(values) and _plainly_utf8(readable):
        return EncodingGuess("utf-8", f"all but {len(values) - len(readable)} values are valid UTF-8", False)
    # a damaged value or two must not hand the file to an encoding that decodes anything
    scores = {name: _score(name, values) for name in _WEIGHTS if _share(name, values) >= 0.9}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] < 0.7 and _decodes("utf-8", values):
        return EncodingGuess("utf-8", "every value is valid UTF-8, but there is little text to judge by", False)
    if best == "gb18030" and scores.get("cp949", 0) >= 0.94 and _variety("cp949", values) >= 10:
        best = "cp949"  # Chinese would have used the rows of GB 2312 behind the Korean syllables by now
    if scores[best] < 0.4 and "cp1252" in scores:
        return EncodingGuess("cp1252", "a few symbols only; taken as Western European in Windows-1252", False)
    return EncodingGuess(
        best, f"the text reads as {_TITLES[best]} ({min(scores[best], 1):.0%} common characters)", False
    )


def _variety(name: str, values: Iterable[tuple[bytes, bool]]) -> int:
    return len({c for value, cut in values for c in decode_value(value, name, cut) or "" if not c.isascii()})


def _score(name: str, values: Iterable[tuple[bytes, bool]]) -> float:
    weigh = _WEIGHTS.get(name, _weigh_letters)
    total, count = 0.0, 0
    for value, cut in values:
        text = decode_value(value, name, cut)
        weights = [0.0] * 4 if text is None else weigh(text, name)
        total += sum(weights)
        count += len(weights)
    return total / count if count else 0.0


def _weigh_lead(bands: tuple[tuple[int, int, float], ...]) -> Callable[[str, str], list[float]]:
    """Weighs characters by the lead byte of their code: the sets put common characters first."""

    def weigh(text: str, name: str) -> list[float]:
        weights = []
        for character in text:
            code = character.encode(name)
            if character.isascii():
                continue
            fits = [weight for low, high, weight in bands if low <= code[0] <= high and len(code) == 2]
            weights.append(max(fits, default=0.05))
        return weights

    return weigh


def _weigh_gb(text: str, name: str) -> list[float]:
    weights = []
    for character in text:
        if character.isascii():
            continue
        code = character.encode(name)
        if len(code) != 2 or code[1] < 0xA1:
            weights.append(0.1)  # the GBK extension: rare characters
        elif 0xB0 <= code[0] <= 0xD7:
            weights.append(1.0)  # level 1 of GB 2312: the 3,755 common characters
        else:
            weights.append(0.6 if code[0] < 0xAA else 0.35)
    return weights


def _weigh_hangul(text: str, name: str) -> list[float]:
    weights = []
    for character in text:
        if character.isascii():
            continue
        code = character.encode(name)
        common = len(code) == 2 and 0xB0 <= code[0] <= 0xC8 and code[1] >= 0xA1  # the 2,350 syllables of KS X 1001
        weights.append(0.95 if common else 0.1)
    return weights


def _weigh_script(first: str, last: str, common: str) -> Callable[[str, str], list[float]]:
    """Weighs the letters of an alphabet that is not Latin: words do not switch from small to capital letters."""

    def weigh(text: str, _name: str) -> list[float]:
        weights = []
        for before, character, after in zip(" " + text, text, text[1:] + " ", strict=False):
            if character.isascii():
                continue
            mixed = any(neighbour.isascii() and neighbour.isalpha() for neighbour in (before, after))
            wrong_case = before.islower() and character.isupper()
            letter = first <= character.lower() <= last and not wrong_case and not mixed
            weights.append((0.95 if character.lower() in common else 0.6) if letter else 0.05)
        return weights

    return weigh


def _weigh_japanese(text: str, name: str) -> list[float]:
    bands = _weigh_lead(((0x88, 0x97, 0.8), (0xB0, 0xCF, 0.8), (0x81, 0x81, 0.6), (0xA1, 0xA1, 0.6)))
    weights = []
    for character in text:
        if "ぁ" <= character <= "ヿ":
            weights.append(1.1)  # kana occur in Japanese alone
        elif "｡" <= character <= "ﾟ":
            weights.append(0.1)
        else:
            weights += bands(character, name)
    return weights


def _weigh_letters(text: str, _name: str) -> list[float]:
    weights = []
    for before, character, after in zip(" " + text, text, text[1:] + " ", strict=False):
        if character.isascii():
            continue
        neighbour = (before.isascii() and before.isalpha()) or (after.isascii() and after.isalpha())
        weights.append(0.9 if character.isalpha() and neighbour else 0.1)
    return weights


_WEIGHTS: Final[dict[str, Callable[[str, str], list[float]]]] = {
    "gb18030": _weigh_gb,
    "cp950": _weigh_lead(((0xA4, 0xC6, 1.0), (0xC9, 0xF9, 0.3), (0xA1, 0xA3, 0.6))),
    "cp932": _weigh_japanese,
    "euc_jp": _weigh_japanese,
    "cp949": _weigh_hangul,
    "cp1251": _weigh_script("а", "ё", "оеаинтслрвкмдпуяыь"),
    "koi8-r": _weigh_script("а", "ё", "оеаинтслрвкмдпуяыь"),
    "cp1253": _weigh_script("ά", "ώ", "αοιετσνηυρπκλμς"),
    "cp1252": _weigh_letters,
    "latin-1": _weigh_letters,
}
_TITLES: Final = {
    "gb18030": "Chinese in GB18030 (GBK)",
    "cp950": "Chinese in Big5",
    "cp932": "Japanese in Shift-JIS",
    "euc_jp": "Japanese in EUC-JP",
    "cp949": "Korean in EUC-KR",
    "cp1251": "Cyrillic in Windows-1251",
    "koi8-r": "Cyrillic in KOI8-R",
    "cp1253": "Greek in Windows-1253",
    "cp1252": "Western European in Windows-1252",
    "latin-1": "Western European in ISO-8859-1",
}
