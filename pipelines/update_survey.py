"""Reads the new edition of a survey: the sources of twin.toml up to entities with footprints and heights, no tiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.adopt import versions_of_index, versions_of_release
from pipelines.areas import area_rows, read_areas
from pipelines.build_result import BuildOptions
from pipelines.identify import identify
from pipelines.layer import layer_report, prepare, require_something
from pipelines.progress import Progress, Stopwatch
from pipelines.project import Project
from pipelines.publish import index_columns, polygons
from pipelines.reading import begin_reading
from pipelines.stages import features_of
from twin.registry.identity import IdentityRegistry
from twin.report import LayerReport


@dataclass(frozen=True, slots=True)
class NewEdition:
    """What the sources of twin.toml say now.

    Attributes:
        versions: n entities of all layers, then areas, as `VERSION_FIELDS` has them; `geid` is what the registry would
            say by key or place alone, before the editions are compared.
        by_geometry: (n,) True where the source gives no usable key.
        reports: The account of every layer.
        key: Digest of project, sources and program (`pipelines.inputs.build_key`).
        areas_refused: (source, id) of areas that are in the files, but whose polygons are of no use.
    """

    versions: pa.Table
    by_geometry: np.ndarray[tuple[int], np.dtype[np.bool_]]
    reports: tuple[LayerReport, ...]
    key: str
    areas_refused: frozenset[tuple[str, str]] = frozenset()


def read_edition(
    project: Project,
    registry: IdentityRegistry,
    key: str,
    options: BuildOptions,
    tell: tuple[Progress, Stopwatch],
) -> NewEdition:
    """Runs the stages of a build up to identified entities; the registry is only read.

    The work stays on disk, so that the build after the update need not read the sources a second time.

    Raises:
        TwinError: See the stages of a build.
    """
    progress, watch = tell
    with begin_reading(project, key, options, progress, watch) as reading:
        plan, read = reading.plan, reading.finish(progress, watch)
    areas = read_areas(project, registry)
    tables, reports = [], []
    for layer in sorted(plan.attributes):
        with watch.stage("resolve"):
            features = features_of(plan, layer, read)
            report = layer_report(layer, features)
            require_something(report)
        with watch.stage("identify"):
            identity = identify(registry, project, layer, features)
        with watch.stage("versions"):
            entities = prepare(project, layer, features, identity)
            tables.append(versions_of_index(pa.table(dict(index_columns(project, entities)))))
        reports.append(report)
    if areas is not None:
        tables.append(versions_of_release(area_rows(areas, polygons(areas.footprints), ())))
    versions = pa.concat_tables(tables)
    keyless = versions.column("source_key").is_null().to_numpy()
    refused = areas.refused if areas is not None else frozenset()
    return NewEdition(versions, keyless, tuple(reports), key, refused)
