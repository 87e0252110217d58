"""Small districts made on the spot, for tests of the build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyogrio
import shapely

from pipelines.project import load_project
from pipelines.run import BuildOptions, BuildResult, build
from twin.entity.index import EntityIndex
from twin.store.release import Release, open_current

ORIGIN = (634_000.0, 3_455_000.0)


@dataclass
class District:
    """A folder with one building source and a `twin.toml`.

    Attributes:
        root: The folder.
        shapes: Footprints, EPSG:4549.
        fields: Columns by name.
        settings: Lines of `[[source]]` besides path and name.
        tail: Tables after it: `[source.fields]`, rules, `[output]`.
    """

    root: Path
    shapes: Sequence[Any]
    fields: Mapping[str, Any]
    settings: str = ""
    tail: str = '[source.fields]\nid = "id"\n[[source.height]]\nfrom = "attribute"\nfield = "height"\n'
    head: str = 'vertical_datum = "H85"\ngeoid_undulation_m = 10.9\n'
    output: str = ""
    layer: str = "tile_budget_kib = 16\n"
    order: Sequence[int] | None = None
    written: bool = field(default=False, init=False)

    def write(self) -> District:
        """Writes the source and the project file; a GeoPackage notes the time, so twice is not the same."""
        self.written = True
        self.root.mkdir(parents=True, exist_ok=True)
        order = np.arange(len(self.shapes)) if self.order is None else np.asarray(self.order)
        shapes = np.array(self.shapes, dtype=object)[order]
        columns = {name: pa.array(values).take(pa.array(order)) for name, values in self.fields.items()}
        path = self.root / "houses.gpkg"
        path.unlink(missing_ok=True)
        pyogrio.write_arrow(
            pa.table({**columns, "geometry": pa.array(shapely.to_wkb(shapes), pa.binary())}),
            path, layer="houses", driver="GPKG", crs="EPSG:4549", geometry_type="Unknown", geometry_name="geometry",
        )  # fmt: skip
        (self.root / "twin.toml").write_text(
            f'[project]\nname = "Test"\nadmin_code = "310105"\nworking_crs = "EPSG:4549"\n{self.head}'
            f'[[source]]\nname = "houses"\npath = "houses.gpkg"\n{self.settings}{self.tail}'
            f'[[source.ground]]\nfrom = "constant"\nelevation_m = 4.0\n'
            f"[layers.buildings]\n{self.layer}[output]\n{self.output}",
            encoding="utf-8",
        )
        return self

    def build(self, **options: Any) -> BuildResult:
        """Builds; what has not been written yet is written first."""
        if not self.written:
            self.write()
        return build(load_project(self.root), BuildOptions(**{"workers": 1, **options}))

    @property
    def release(self) -> Release:
        """The served release."""
        return open_current(self.root / "out")

    @property
    def index(self) -> EntityIndex:
        """Its index."""
        return EntityIndex.open(self.release.index)

    def geids(self, *columns: str) -> dict[Any, str]:
        """Geid by source key, or by other columns."""
        names = columns or ("source_key",)
        table = self.index.table.select(["geid", *names]).to_pylist()
        return {tuple(row[name] for name in names) if columns else row["source_key"]: row["geid"] for row in table}


def houses(count: int, seed: int = 1) -> list[shapely.Polygon]:
    """Houses on a grid, none like another, turned a little."""
    rng = np.random.default_rng(seed)
    columns = int(np.ceil(np.sqrt(count)))
    found = []
    for number in range(count):
        x, y = ORIGIN[0] + 45.0 * (number % columns), ORIGIN[1] + 45.0 * (number // columns)
        width, depth = rng.uniform(8, 28, 2)
        shell = shapely.box(x, y, x + width, y + depth)
        if number % 5 == 0:
            shell = shell.difference(shapely.box(x + width / 3, y + depth / 3, x + width / 2, y + depth / 2))
        found.append(shapely.affinity.rotate(shell, float(rng.normal(5, 4)), origin="center"))
    return found


def district(root: Path, count: int = 300, **changes: Any) -> District:
    """A district of houses with ids and heights."""
    heights = np.round(np.random.default_rng(2).lognormal(2.5, 0.5, count), 1)
    fields = {
        "id": [f"H{number:05d}" for number in range(count)],
        "height": heights,
        "use": ["a", "b", "c"] * (count // 3) + ["a"] * (count % 3),
    }
    return District(**{"root": root, "shapes": houses(count), "fields": fields, **changes})
