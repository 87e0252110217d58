/** The district's boundary as a thin line just above the ground. */

import { Cartesian3, Color, Material, PolylineCollection, type Scene } from "@cesium/engine";
import type { Region } from "../model";
import type { Site } from "./site";

type Ring = readonly (readonly [number, number])[];

/** The box of the data, each side in steps so that it follows the Earth's curve. */
export function boxRing(region: Region, steps = 24): [number, number][] {
  const { west, south, east, north } = region;
  const padLon = (east - west) * 0.015;
  const padLat = (north - south) * 0.015;
  const corners: [number, number][] = [
    [west - padLon, south - padLat],
    [east + padLon, south - padLat],
    [east + padLon, north + padLat],
    [west - padLon, north + padLat],
  ];
  return corners.flatMap(([x, y], i) => {
    const [nx, ny] = corners[(i + 1) % 4] as [number, number];
    return Array.from({ length: steps }, (_, k): [number, number] => [x + ((nx - x) * k) / steps, y + ((ny - y) * k) / steps]);
  });
}

export function drawOutline(scene: Scene, site: Site, outline: readonly Ring[]): void {
  const lines = new PolylineCollection();
  const rings: readonly Ring[] = outline.length > 0 ? outline : [boxRing(site.region)];
  const colour = Color.fromCssColorString(outline.length > 0 ? "#7fb7c6" : "#3d5566");
  for (const ring of rings) {
    const closed = ring.length > 0 ? [...ring, ring[0] as readonly [number, number]] : [];
    lines.add({
      positions: closed.map(([lon, lat]) => Cartesian3.fromDegrees(lon, lat, site.ground + 0.6)),
      width: outline.length > 0 ? 1.6 : 1.2,
      material: Material.fromType("Color", { color: colour }),
    });
  }
  scene.primitives.add(lines);
}
