"""Links of the documents lead somewhere, and nothing in them speaks of the place where they were written."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    {
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "data_samples").glob("*.md"),
        *(ROOT / "benchmarks").glob("*.md"),
    }
)
_FENCE = re.compile(r"^ *(```|~~~).*?^ *\1", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)[^)]*\)|<img[^>]*\ssrc=\"([^\"]+)\"")


def prose(document: Path) -> str:
    """The text without its code blocks."""
    return _FENCE.sub("", document.read_text(encoding="utf-8"))


def links(document: Path) -> list[str]:
    return [first or second for first, second in _LINK.findall(prose(document))]


def anchors(document: Path) -> set[str]:
    """What GitHub makes of the headings: small letters, blanks to dashes, other signs left out; twins are numbered."""
    found: dict[str, int] = {}
    names = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", prose(document), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        names.add(slug if slug not in found else f"{slug}-{found[slug]}")
        found[slug] = found.get(slug, 0) + 1
    return names


def relative_name(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative_name)
def test_every_relative_link_leads_to_a_file_of_the_repository_and_to_a_heading_in_it(document: Path) -> None:
    for link in links(document):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


def test_the_documents_are_found_and_hold_links() -> None:
    assert {"README.md", "CHANGELOG.md", "docs/index.md", "docs/cli.md"} <= {relative_name(one) for one in DOCUMENTS}
    assert sum(len(links(document)) for document in DOCUMENTS) > 50


def test_every_document_can_be_reached_from_the_readme() -> None:
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        document = todo.pop()
        if document in seen or document.suffix != ".md" or not document.exists():
            continue
        seen.add(document)
        paths = [link.partition("#")[0] for link in links(document) if not re.match(r"[a-z]+:", link)]
        todo += [(document.parent / path).resolve() for path in paths if path]
    assert {one for one in DOCUMENTS if one.is_relative_to(ROOT / "docs")} - seen == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative_name)
def test_no_document_speaks_of_the_place_where_it_was_written(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert not re.findall(r"\.\./shared|/work/|\bshared/(?:data|standards|DESIGN)|DESIGN\.md", text)


def test_no_web_address_is_fetched_by_a_picture() -> None:
    for document in DOCUMENTS:
        pictures = re.findall(r"!\[[^\]]*\]\(([^)\s]+)|<img[^>]*\ssrc=\"([^\"]+)\"", prose(document))
        assert not [one for pair in pictures for one in pair if re.match(r"https?:", one)], document


def test_pictures_of_the_documents_are_small() -> None:
    pictures = sorted((ROOT / "docs" / "images").glob("*"))
    assert pictures
    for picture in pictures:
        assert picture.stat().st_size < 900_000, picture
        assert any(picture.resolve() == (one.parent / link).resolve() for one in DOCUMENTS for link in links(one))


def test_the_targets_the_documents_name_are_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    there = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    named = {
        target
        for document in DOCUMENTS
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", document.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert {"demo", "test"} <= named
    assert named <= there


def test_make_knows_its_targets() -> None:
    done = subprocess.run(["make", "-n", "help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
