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

FIELDS = (
    *("geid", "layer", "entity_class", "source", "source_key", "name", "address", "parent"),
    *("base_m", "height_m", "storeys", "attributes", "geometry"),
)
"""What a comparison and a plan ask of what is believed; the rest of a version is written, never compared."""

_SURVEYED = (EditionKind.ADOPT, EditionKind.UPDATE)


def believed(project: Project, history: History) -> tuple[pa.Table, Edition | None]:
    """`FIELDS` of the surveyed layers and areas as they are believed to be, by geid, and the last edition that stands.

    Without a history, what the served release says: an update adopts it before it does anything else.

    Raises:
        MisuseError: Nothing has been built yet.
    """
    editions = history.editions()
    if editions:
        undone = {one.undoes for one in editions}
        standing = [one for one in editions if one.kind in _SURVEYED and one.number not in undone]
        table = history.snapshot(Window(valid=FOREVER), FIELDS)
        return _of_layers(project, table), standing[-1] if standing else None
    release = served_release(output_path(project))
    if release is None:
        raise MisuseError(
            "nothing has been built here yet, so there is nothing to compare the survey with",
            file=project.root,
            next_step="run `twin build` with the edition you have, then `twin update` with the next one",
        )
    return _of_layers(project, versions_of_release(EntityIndex.open(release.index).table).select(FIELDS)), None


def _of_layers(project: Project, table: pa.Table) -> pa.Table:
    """Only what the sources of the project are about, and areas, by geid; other things are not surveyed by them."""
    layers = pc.is_in(table.column("layer"), value_set=pa.array(sorted({one.layer for one in project.sources})))
    mine = pc.or_(layers, is_area(table))
    found = (table if pc.all(mine).as_py() else table.filter(mine)).combine_chunks()
    return found if _in_order(found.column("geid")) else found.sort_by("geid").combine_chunks()


def _in_order(geid: pa.ChunkedArray) -> bool:
    """True if a copy in another order can be spared, as for what an index or a history gives."""
    names = geid.chunk(0) if geid.num_chunks else pa.array([], pa.string())
    return bool(pc.all(pc.less_equal(names[:-1], names[1:])).as_py())
