"""What is believed of a district before an update."""

from __future__ import annotations

import datetime

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.adopt import versions_of_release
from pipelines.build_result import served_release
from pipelines.project import Project, output_path
from twin.entity.areas import is_area
from twin.entity.index import EntityIndex
from twin.errors import MisuseError
from twin.registry.versions import Edition, EditionKind, History, Window

FOREVER = datetime.datetime(9999, 1, 1, tzinfo=datetime.UTC)
"""A moment after all that is said of the future."""

_SURVEYED = (EditionKind.ADOPT, EditionKind.UPDATE)


def believed(project: Project, history: History) -> tuple[pa.Table, Edition | None]:
    """Entities of the surveyed layers and areas as they are believed to be, and the last edition that stands.

    Without a history, what the served release says: an update adopts it before it does anything else.

    Raises:
        MisuseError: Nothing has been built yet.
    """
    editions = history.editions()
    if editions:
        undone = {one.undoes for one in editions}
        standing = [one for one in editions if one.kind in _SURVEYED and one.number not in undone]
        table = history.snapshot(Window(valid=FOREVER))
        return _of_layers(project, table), standing[-1] if standing else None
    release = served_release(output_path(project))
    if release is None:
        raise MisuseError(
            "nothing has been built here yet, so there is nothing to compare the survey with",
            file=project.root,
            next_step="run `twin build` with the edition you have, then `twin update` with the next one",
        )
    return _of_layers(project, versions_of_release(EntityIndex.open(release.index).table)), None


def _of_layers(project: Project, table: pa.Table) -> pa.Table:
    """Only what the sources of the project are about, and areas; other things are not surveyed by them."""
    mine = pc.is_in(table.column("layer"), value_set=pa.array(sorted({one.layer for one in project.sources})))
    return table.filter(pc.or_(mine, is_area(table))).sort_by("geid").combine_chunks()
