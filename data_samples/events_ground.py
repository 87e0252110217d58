"""Where things happen in the sample district: houses whose address is theirs alone, streets, water, and degrees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from data_samples.delivery import CRS
from data_samples.plan import Plan
from data_samples.survey import Survey

Floats = NDArray[np.float64]
_LEAST_M2 = 60.0
_LEAST_STREET_M = 120.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What events refer to.

    Attributes:
        houses: Columns FWBH, DZ, YT, MC, street (name of the subdistrict), x, y (a point inside, EPSG:4549). Only
            buildings that every build keeps, and whose address no other building has.
        roads: Centre lines inside the extent.
        water: Shapes inside the extent by name.
        share: Buildings of the extent, as a share of a full district.
    """

    houses: pd.DataFrame
    roads: tuple[Any, ...]
    water: Mapping[str, Any]
    share: float


def survey_ground(plan: Plan, survey: Survey, window: Any, streets: Mapping[str, str]) -> Ground:
    """Looks for what events can refer to.

    Args:
        plan: Roads and water.
        survey: Buildings, with their faults.
        window: Polygon of the extent, EPSG:4549.
        streets: Name of a subdistrict by its code.
    """
    frame = survey.frame
    shape = frame.geometry.to_numpy()
    sound = shapely.is_valid(shape) & ~shapely.is_missing(shape) & (np.nan_to_num(shapely.area(shape)) > _LEAST_M2)
    once = ~frame["FWBH"].duplicated(keep=False) & ~frame["DZ"].duplicated(keep=False)
    kept = frame[sound & once.to_numpy()]
    inside = shapely.point_on_surface(kept.geometry.to_numpy())
    houses = pd.DataFrame(
        {
            **{name: kept[name].to_numpy() for name in ("FWBH", "DZ", "YT", "MC")},
            "street": kept["JDDM"].map(streets).to_numpy(),
            "x": shapely.get_x(inside),
            "y": shapely.get_y(inside),
        }
    )
    cut = shapely.get_parts(
        shapely.line_merge(
            shapely.intersection([road.line for road in plan.roads if road.name and road.kind != "expressway"], window)
        )
    )
    water = {name: body.intersection(window) for name, body in plan.water.items()}
    return Ground(
        houses,
        tuple(line for line in cut if line.length > _LEAST_STREET_M),
        {name: body for name, body in water.items() if not body.is_empty},
        min(1.0, len(frame) / 20_000),
    )


def degrees(x: Floats, y: Floats) -> Floats:
    """(n, 2) longitude and latitude of places in EPSG:4549, to a centimetre."""
    points = geopandas.GeoSeries(shapely.points(x, y), crs=CRS).to_crs("EPSG:4490")
    return np.round(np.column_stack([points.x.to_numpy(), points.y.to_numpy()]), 7)
