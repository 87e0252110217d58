"""The encoding of a DBF is judged by its bytes, and what does not decode is told, not lost."""

from __future__ import annotations

import warnings
from pathlib import Path

import geopandas
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from twin.errors import MisuseError, SourceError
from twin.sources.encoding import canonical, decode_value, detect_encoding, judge
from twin.sources.vector import ReadOptions, open_source

TEXTS = {
    "gbk": ["长宁区虹桥路街道", "住宅楼", "上海市人民政府"],
    "gb18030": ["长宁区虹桥路街道", "住宅楼𠮷", "办公"],
    "big5": ["臺北市信義區", "住宅大樓", "辦公"],
    "cp932": ["東京都大田区", "マンション", "ビル"],
    "euc_kr": ["서울특별시 강남구", "아파트", "사무실"],
    "euc_jp": ["東京都大田区", "マンションの建物", "ビルとカタカナ"],
    "cp1252": ["Göteborg", "Rådhuset", "Peña Nieto"],
    "cp1251": ["Москва", "Жилой дом", "улица Ленина"],
    "utf-8": ["长宁区", "Göteborg", "아파트"],
}
READS_AS = {"gbk": "gb18030", "big5": "cp950", "euc_kr": "cp949"}


def shapefile(folder: Path, texts: list[str], encoding: str, field: str = "name") -> Path:
    """A shapefile whose DBF holds the bytes of an encoding and says nothing of it; GDAL cannot write all of them."""
    path = folder / "a.shp"
    shapes = [shapely.box(i, 0, i + 1, 1) for i in range(len(texts))]
    raw_texts = [text.encode(encoding).decode("iso8859-1") for text in texts]
    raw_field = field.encode(encoding).decode("iso8859-1")
    frame = geopandas.GeoDataFrame({raw_field: raw_texts}, geometry=shapes, crs="EPSG:4549")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GDAL warns of text that it cuts
        frame.to_file(path, encoding="ISO-8859-1")
    path.with_suffix(".cpg").unlink(missing_ok=True)
    raw = bytearray(path.with_suffix(".dbf").read_bytes())
    raw[29] = 0
    path.with_suffix(".dbf").write_bytes(raw)
    return path


@pytest.mark.parametrize("encoding", TEXTS)
def test_text_without_any_claim_is_read_right(tmp_path: Path, encoding: str) -> None:
    path = shapefile(tmp_path, TEXTS[encoding], encoding)
    guess = detect_encoding(path)
    assert guess.name == READS_AS.get(encoding, encoding)
    assert guess.certain == (encoding == "utf-8")
    assert next(open_source(path).blocks()).attributes.column("name").to_pylist() == TEXTS[encoding]


@pytest.mark.parametrize("encoding", ["gbk", "big5", "cp1252", "utf-8", "cp1251", "cp932"])
def test_a_cpg_that_is_right_is_believed(tmp_path: Path, encoding: str) -> None:
    path = shapefile(tmp_path, TEXTS[encoding], encoding)
    path.with_suffix(".cpg").write_text(encoding.upper())
    guess = detect_encoding(path)
    assert (guess.certain, guess.finding) == (True, None)
    assert next(open_source(path).blocks()).attributes.column("name").to_pylist() == TEXTS[encoding]


@pytest.mark.parametrize(
    ("claim", "truth"),
    [
        ("UTF-8", "gbk"),
        ("ISO-8859-1", "gbk"),
        ("GBK", "utf-8"),
        ("ISO-8859-1", "utf-8"),
        ("1252", "big5"),
        ("UTF-8", "cp1252"),
    ],
)
def test_a_cpg_that_lies_is_found_and_reported(tmp_path: Path, claim: str, truth: str) -> None:
    path = shapefile(tmp_path, TEXTS[truth], truth)
    path.with_suffix(".cpg").write_text(claim)
    guess = detect_encoding(path)
    assert guess.name == READS_AS.get(truth, truth)
    assert guess.finding is not None and claim in guess.finding
    source = open_source(path)
    assert guess.finding in source.notes
    assert next(source.blocks()).attributes.column("name").to_pylist() == TEXTS[truth]


def test_the_language_byte_is_believed_where_the_bytes_agree(tmp_path: Path) -> None:
    path = shapefile(tmp_path, TEXTS["gbk"], "gbk")
    raw = bytearray(path.with_suffix(".dbf").read_bytes())
    raw[29] = 0x4D
    path.with_suffix(".dbf").write_bytes(raw)
    guess = detect_encoding(path)
    assert (guess.name, guess.certain) == ("gb18030", True)
    assert "0x4D" in guess.why


def test_an_explicit_encoding_wins_and_unreadable_values_are_null_with_a_reason(tmp_path: Path) -> None:
    path = shapefile(tmp_path, ["办公楼", "plain", "商业"], "gbk")
    source = open_source(path, ReadOptions(encoding="UTF-8"))
    block = next(source.blocks())
    assert block.attributes.column("name").to_pylist() == [None, "plain", None]
    assert block.reasons == {0: "attribute_unreadable", 2: "attribute_unreadable"}
    assert len(block) == 3


def test_an_unknown_encoding_is_refused(tmp_path: Path) -> None:
    path = shapefile(tmp_path, ["a"], "utf-8")
    with pytest.raises(MisuseError, match="not an encoding"):
        open_source(path, ReadOptions(encoding="GBQ"))


@pytest.mark.parametrize(("field", "encoding"), [("OPERATÖR", "iso8859-1"), ("建筑高度", "gbk")])
def test_field_names_are_decoded_too(tmp_path: Path, field: str, encoding: str) -> None:
    path = shapefile(tmp_path, ["a", "b"], encoding, field)
    source = open_source(path)
    assert source.fields.names == [field]
    assert open_source(path, ReadOptions(columns=(field,))).column(field).to_pylist() == ["a", "b"]


def test_a_character_cut_at_the_end_of_its_field_does_not_condemn_the_encoding(tmp_path: Path) -> None:
    whole = "虹桥路" * 40
    path = shapefile(tmp_path, [whole, "办公"], "utf-8")
    source = open_source(path)
    text = next(source.blocks()).attributes.column("name").to_pylist()[0]
    assert source.encoding == "UTF-8"
    assert whole.startswith(text) and len(text) >= 80


def test_a_dbf_that_is_too_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.dbf").write_bytes(b"\x03")
    with pytest.raises(SourceError, match="too short"):
        detect_encoding(tmp_path / "a.dbf")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("UTF-8", "utf-8"), ("utf8", "utf-8"), ("65001", "utf-8"), ("GBK", "gb18030"), ("936", "gb18030"),
        ("ANSI 936", "gb18030"), ("GB2312", "gb18030"), ("Big-5", "cp950"), ("ISO 88591", "iso8859-1"),
        ("ISO-8859-15", "iso8859-15"), ("1252", "cp1252"), ("ANSI 1251", "cp1251"), ("OEM 866", "cp866"),
        ("shiftjis", "cp932"), ("windows-1250", "cp1250"), ("no such thing", None), ("", None),
    ],
)  # fmt: skip
def test_encodings_are_known_by_the_names_people_write(written: str, meant: str | None) -> None:
    assert canonical(written) == meant


def test_two_byte_characters_that_are_valid_utf8_by_chance_stay_chinese() -> None:
    raw = "住宅楼".encode("gbk")
    assert raw.decode("utf-8") == "\u05e1\u056c\xa5"
    assert judge([(raw, False)]).name == "gb18030"
    assert judge([("Göteborg".encode(), False)]).name == "utf-8"
    assert judge([("Москва".encode(), False)]).name == "utf-8"


@pytest.mark.parametrize("encoding", ["gbk", "utf-8"])
def test_one_damaged_value_does_not_condemn_the_encoding(encoding: str) -> None:
    values = [(f"虹桥路{number}号".encode(encoding), False) for number in "一二三四五六七八九十百千"]
    guess = judge([*values, (b"\xff\xfe\xff", False)])
    assert guess.name == READS_AS.get(encoding, encoding)
    assert not guess.certain


HANZI = st.text(
    st.sampled_from("长宁区虹桥路街道住宅楼上海市人民政府办公大学医院商业工厂学校"), min_size=4, max_size=20
)


@given(st.lists(HANZI, min_size=3, max_size=20, unique=True))
def test_common_chinese_is_told_apart_whichever_way_it_is_written(texts: list[str]) -> None:
    assert judge([(text.encode("gbk"), False) for text in texts]).name == "gb18030"
    assert judge([(text.encode("utf-8"), False) for text in texts]).name == "utf-8"


@given(st.text(st.characters(codec="gb18030"), max_size=30), st.integers(1, 3))
def test_only_the_cut_character_is_lost(text: str, cut: int) -> None:
    raw = text.encode("gb18030")
    read = decode_value(raw[:-cut], "gb18030", cut=True) if len(raw) > cut else ""
    assert read is None or text.startswith(read[:-1])
    assert decode_value(raw, "gb18030", cut=False) == text
