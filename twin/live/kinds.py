"""The kinds of reports a twin knows, as data: names, life cycle, retention, look, and the words sources use."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

from twin.errors import MisuseError
from twin.live.model import SEVERITIES, STATUSES

_ID = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\Z")
NEEDS = ("value", "place", "position")
"""What a kind may ask of its reports."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of report.

    Attributes:
        id: ASCII, as in the CloudEvents type `twin.<id>.<status>`.
        zh, en: Names.
        statuses: Which of `STATUSES` its cases go through.
        severity: Of a report that states none.
        needs: What a report has to state, of `NEEDS`.
        prefer: Layers or entity classes taken first where a position is near several entities.
        stays_open: A case stands until it is closed; False: nothing is left to be done (measurements, positions).
        keep_days: Retention; 0 is for ever.
        colour: Of the marker, `#rrggbb`.
        icon: Name of the marker's picture.
    """

    id: str
    zh: str
    en: str
    statuses: tuple[str, ...] = STATUSES
    severity: str = "info"
    needs: tuple[str, ...] = ()
    prefer: tuple[str, ...] = ()
    stays_open: bool = True
    keep_days: int = 0
    colour: str = "#90a4ae"
    icon: str = "dot"

    @property
    def first_status(self) -> str:
        """The status of a report that states none."""
        return "observed" if "observed" in self.statuses else self.statuses[0]


@dataclass(frozen=True, slots=True)
class Kinds:
    """The table of kinds, and the words that sources use for statuses and severities.

    Attributes:
        by_id: Kinds, in the order of the file.
        statuses: Status of a source's word; words are compared without case and outer spaces.
        severities: Severity of a source's word.
        types: `kind` or `kind.status` of a foreign CloudEvents type.
    """

    by_id: Mapping[str, Kind]
    statuses: Mapping[str, str] = field(default_factory=dict)
    severities: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Kind]:
        return iter(self.by_id.values())

    def __contains__(self, kind: object) -> bool:
        return kind in self.by_id

    def __getitem__(self, kind: str) -> Kind:
        return self.by_id[kind]

    def __len__(self) -> int:
        return len(self.by_id)

    def get(self, kind: str) -> Kind | None:
        """The kind of an id, None where there is none."""
        return self.by_id.get(kind)

    def with_words(self, statuses: Mapping[str, str], severities: Mapping[str, str]) -> Kinds:
        """The same kinds with words laid over those known; raises `MisuseError` for an unknown target."""
        return replace(
            self,
            statuses={**self.statuses, **_words(statuses, STATUSES, "statuses", None)},
            severities={**self.severities, **_words(severities, SEVERITIES, "severities", None)},
        )


@lru_cache(maxsize=1)
def starter_kinds() -> Kinds:
    """The kinds that come with the program."""
    text = resources.files("twin.live").joinpath("kinds.toml").read_text(encoding="utf-8")
    return kinds_from(tomllib.loads(text))


def read_kinds(path: Path | str | None = None) -> Kinds:
    """Reads a file of kinds, laid over those that come with the program.

    Args:
        path: A TOML file with `[kinds.<id>]`, `[statuses]`, `[severities]` and `[types]`; None gives the starter kinds.

    Raises:
        MisuseError: The file cannot be read, or an entry of it is wrong.
    """
    if path is None:
        return starter_kinds()
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MisuseError(f"the kinds cannot be read: {error}", file=path, next_step="mend the TOML file") from error
    return kinds_from(document, starter_kinds(), path)


def kinds_from(document: Mapping[str, Any], under: Kinds | None = None, file: Path | str | None = None) -> Kinds:
    """The table of kinds that a parsed TOML document states.

    Args:
        document: With the tables `kinds`, `statuses`, `severities`, `types`, each may be absent.
        under: Kinds that the document is laid over, key by key.
        file: For messages.

    Raises:
        MisuseError: A key or a value is not known.
    """
    strange = sorted(set(document) - {"kinds", "statuses", "severities", "types"})
    if strange:
        raise _wrong(f"{strange[0]!r} is no table of a file of kinds", file)
    known = dict(under.by_id) if under else {}
    for name, entry in _table(document, "kinds", file).items():
        known[name] = _kind(name, entry, known.get(name), file)
    statuses = _words(_table(document, "statuses", file), STATUSES, "statuses", file)
    severities = _words(_table(document, "severities", file), SEVERITIES, "severities", file)
    return Kinds(
        MappingProxyType(known),
        MappingProxyType({**(under.statuses if under else {}), **statuses}),
        MappingProxyType({**(under.severities if under else {}), **severities}),
        MappingProxyType({**(under.types if under else {}), **_types(_table(document, "types", file), known, file)}),
    )


def _table(document: Mapping[str, Any], name: str, file: Path | str | None) -> Mapping[str, Any]:
    table = document.get(name, {})
    if not isinstance(table, Mapping):
        raise _wrong(f"`{name}` must be a table", file)
    return table


def _kind(name: str, entry: object, under: Kind | None, file: Path | str | None) -> Kind:
    if not _ID.match(name):
        raise _wrong(f"kind {name!r}: an id is lower-case ASCII letters, digits and _", file)
    if not isinstance(entry, Mapping):
        raise _wrong(f"kind {name!r} must be a table", file)
    allowed = {item.name for item in fields(Kind)} - {"id"}
    strange = sorted(set(entry) - allowed)
    if strange:
        raise _wrong(f"kind {name!r} has no key {strange[0]!r}; it has {', '.join(sorted(allowed))}", file)
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    start = under or Kind(name, name, name)
    kind = replace(start, **values)
    problem = _problem(kind)
    if problem:
        raise _wrong(f"kind {name!r}: {problem}", file)
    return kind


def _problem(kind: Any) -> str | None:
    """The first thing that is wrong with a kind."""
    return _problem_of_texts(kind) or _problem_of_lists(kind) or _problem_of_rest(kind)


def _problem_of_texts(kind: Any) -> str | None:
    if not all(isinstance(text, str) and text for text in (kind.zh, kind.en, kind.colour, kind.icon, kind.severity)):
        return "zh, en, severity, colour and icon are texts"
    if kind.severity not in SEVERITIES:
        return f"severity is one of {', '.join(SEVERITIES)}"
    return None if _COLOUR.match(kind.colour) else "colour is #rrggbb"


def _problem_of_lists(kind: Any) -> str | None:
    lists: tuple[tuple[str, Sequence[str], Sequence[str] | None], ...] = (
        ("statuses", kind.statuses, STATUSES),
        ("needs", kind.needs, NEEDS),
        ("prefer", kind.prefer, None),
    )
    for name, values, known in lists:
        if not isinstance(values, tuple) or not all(isinstance(value, str) for value in values):
            return f"{name} is a list of texts"
        if known is not None and not set(values) <= set(known):
            return f"{name} may hold {', '.join(known)}"
    return None if kind.statuses else "statuses must not be empty"


def _problem_of_rest(kind: Any) -> str | None:
    if not isinstance(kind.stays_open, bool):
        return "stays_open is true or false"
    if not isinstance(kind.keep_days, int) or isinstance(kind.keep_days, bool) or kind.keep_days < 0:
        return "keep_days is a whole number, 0 for ever"
    return None


def _words(table: Mapping[str, Any], known: Sequence[str], name: str, file: Path | str | None) -> dict[str, str]:
    wrong = [word for word, target in table.items() if target not in known]
    if wrong:
        raise _wrong(f"{name}: {wrong[0]!r} must stand for one of {', '.join(known)}", file)
    return {plain_word(word): target for word, target in table.items()}


def _types(table: Mapping[str, Any], kinds: Mapping[str, Kind], file: Path | str | None) -> dict[str, str]:
    for name, target in table.items():
        kind, _, status = target.partition(".") if isinstance(target, str) else ("", "", "")
        if kind not in kinds or (status and status not in kinds[kind].statuses):
            raise _wrong(f"types: {name!r} must stand for a kind or kind.status, such as hotline.closed", file)
        if name.startswith("twin."):
            raise _wrong(f"types: {name!r} begins with twin., which are types of the twin's own", file)
    return dict(table)


def plain_word(text: str) -> str:
    """A word as it is looked up: without outer spaces and case."""
    return text.strip().casefold()


def _wrong(what: str, file: Path | str | None) -> MisuseError:
    return MisuseError(what, file=file, next_step="see docs/events.md, Kinds")
