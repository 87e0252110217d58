"""Further codes of entities on their way from segments into the index and the registry (D4)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.layer import LayerEntities
from pipelines.project import Project
from pipelines.segment import gather_columns
from twin.entity.aliases import alias_lists, beidou_aliases
from twin.registry.identity import IdentityRegistry

_LISTS = pa.list_(pa.string())


def index_aliases(project: Project, entities: LayerEntities) -> pa.ListArray:
    """(k,) aliases of entities: what their sources state, then the BeiDou grid code of their place."""
    place = beidou_aliases(entities.lon, entities.lat)
    stated = stated_aliases(project, entities)
    return alias_lists(place) if stated is None else alias_lists(stated, place)


def stated_aliases(project: Project, entities: LayerEntities) -> pa.ListArray | None:
    """(k,) aliases that stand in the sources; None where no source of the layer has any."""
    if not any(source.fields.aliases for source in project.sources if source.layer == entities.name):
        return None
    table = gather_columns(entities.segments, entities.segment, entities.row, ["aliases"])
    chunks = table.column("aliases").chunks
    return pa.concat_arrays(chunks) if chunks else pa.array([], _LISTS)


def remember_aliases(registry: IdentityRegistry, project: Project, layers: Iterable[LayerEntities]) -> None:
    """Notes the stated aliases of a build, so that they still lead to an entity when its sources no longer say so.

    BeiDou codes are left out: they follow from the place, and an old one says nothing that cannot be worked out.
    """
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for entities in layers:
        stated = stated_aliases(project, entities)
        if stated is None:
            continue
        names = entities.identity.geid.take(pc.list_parent_indices(stated)).to_pylist()
        for geid, text in zip(names, pc.list_flatten(stated).to_pylist(), strict=True):
            scheme, _, value = text.partition(":")
            found[scheme].append((value, geid))
    for scheme, pairs in sorted(found.items()):
        registry.add_aliases(scheme, *zip(*pairs, strict=True))
