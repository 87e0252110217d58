"""What a build will do: which files, which blocks, which columns, and the key that names exactly this input."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipelines.columns import attribute_schema
from pipelines.project import Project, Source, crs_text, resolve_paths
from twin.errors import CrsError, MisuseError
from twin.sources.vector import ReadOptions, VectorSource, open_source

#: Features a worker takes at a time.
BLOCK = 25_000


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One map sheet of a source.

    Attributes:
        source: Number of its `[[source]]`.
        path: The file.
        opened: Its description.
        crs: Definition to read it in (confidential where it came from `crs_file`).
    """

    source: int
    path: Path
    opened: VectorSource
    crs: str


@dataclass(frozen=True, slots=True)
class BlockTask:
    """Features `start` to `start + count` of a file; the whole file where it cannot be split."""

    file: int
    start: int
    count: int | None
    name: str


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """A build before it starts.

    Attributes:
        project: The project.
        files: Every map sheet of every source.
        tasks: Blocks to read.
        attributes: Attribute columns of every layer.
        build_key: 16 hex digits over all that the bytes of the release depend on.
    """

    project: Project
    files: tuple[SourceFile, ...]
    tasks: tuple[BlockTask, ...]
    attributes: dict[str, pa.Schema]
    build_key: str

    @property
    def features(self) -> int:
        """Features all sources state to hold."""
        return sum(file.opened.count for file in self.files)

    def layer_sources(self, layer: str) -> list[int]:
        """Numbers of the sources that go to a layer."""
        return [number for number, source in enumerate(self.project.sources) if source.layer == layer]


def read_options(project: Project, source: Source) -> ReadOptions:
    """How the project wants a source read."""
    return ReadOptions(table=source.table, crs=crs_text(project, source), encoding=source.encoding)


def make_plan(project: Project, key: str) -> BuildPlan:
    """Opens every source and divides it into blocks.

    Raises:
        ProjectError: A path matches nothing.
        SourceError, MisuseError: A source cannot be read as the project says.
        CrsError: A source has no CRS.
    """
    files = tuple(
        _source_file(project, number, path)
        for number, source in enumerate(project.sources)
        for path in resolve_paths(project, source)
    )
    _check_fields(project, files)
    attributes = {
        layer: attribute_schema(
            (project.sources[file.source], file.opened.fields, file.opened.fid_column)
            for file in files
            if project.sources[file.source].layer == layer
        )
        for layer in sorted({source.layer for source in project.sources})
    }
    tasks = tuple(task for number, file in enumerate(files) for task in _tasks(number, file))
    return BuildPlan(project, files, tasks, attributes, key)


def _source_file(project: Project, number: int, path: Path) -> SourceFile:
    source = project.sources[number]
    opened = open_source(path, read_options(project, source))
    if opened.crs is None:
        raise CrsError(
            "the file does not say which coordinate reference system its coordinates are in",
            file=path,
            next_step=f'ask who made it, then write e.g. `crs = "EPSG:4549"` under [[source]] "{source.name}" '
            f"in {project.file}",
        )
    return SourceFile(number, path, opened, opened.crs)


def _check_fields(project: Project, files: tuple[SourceFile, ...]) -> None:
    """Every field the project names must be in every sheet that has attributes at all."""
    for file in files:
        source = project.sources[file.source]
        fields = source.fields
        named = {
            "id": fields.id,
            "name": fields.name,
            "address": fields.address,
            "class": fields.class_,
            "storeys": fields.storeys,
            "min_height": fields.min_height,
            "part_of": fields.part_of,
            "kind": fields.kind,
            **{f"aliases[{at}]": field for at, field in enumerate(fields.aliases)},
        }
        rules = {
            f"{rule.from_} rule": rule.field for rule in (*source.height, *source.ground) if hasattr(rule, "field")
        }
        for role, field in (*named.items(), *rules.items()):
            if field is not None and not field.startswith("@") and field not in file.opened.fields.names:
                there = ", ".join(file.opened.fields.names) or "no fields at all"
                raise MisuseError(
                    f'there is no field "{field}", which {project.file.name} names for `{role}`',
                    file=file.path,
                    next_step=f"name one of its fields: {there}",
                )


def _tasks(number: int, file: SourceFile) -> list[BlockTask]:
    name = f"{number:04d}"
    if not file.opened.splittable:
        return [BlockTask(number, 0, None, name)]
    starts = range(0, max(file.opened.count, 1), BLOCK)
    return [BlockTask(number, start, BLOCK, f"{name}-{start:010d}") for start in starts]
