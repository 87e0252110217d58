/** A dark, quiet ground with a metric grid, bent with the Earth, at the district's own height; it fades into the dark. */

import {
  Appearance,
  BoundingSphere,
  Cartesian3,
  Cartographic,
  Color,
  ComponentDatatype,
  Ellipsoid,
  Geometry,
  GeometryAttribute,
  GeometryAttributes,
  GeometryInstance,
  Material,
  MaterialAppearance,
  Matrix4,
  Primitive,
  PrimitiveType,
  ShadowMode,
  type Scene,
} from "@cesium/engine";
import type { Site } from "./site";
import { BACKGROUND } from "./stage";

const SECTORS = 96;
const RINGS = 40;
const REACH_M = 120_000;

/** Rings get wider with distance: dense where the curvature would show against the buildings. */
function ringRadius(i: number): number {
  return 120 * (Math.exp((i / (RINGS - 1)) * Math.log(1 + REACH_M / 120)) - 1);
}

function mesh(site: Site): Geometry {
  const count = RINGS * SECTORS;
  const position = new Float64Array(count * 3);
  const metres = new Float32Array(count * 2);
  const local = new Cartesian3();
  for (let i = 0; i < RINGS; i++) {
    for (let j = 0; j < SECTORS; j++) {
      const at = i * SECTORS + j;
      const angle = (j / SECTORS) * 2 * Math.PI;
      const [x, y] = [ringRadius(i) * Math.cos(angle), ringRadius(i) * Math.sin(angle)];
      Cartesian3.fromElements(x, y, 0, local);
      const point = Matrix4.multiplyByPoint(site.enuToEcef, local, new Cartesian3());
      const place = Cartographic.fromCartesian(point) ?? new Cartographic();
      const onGround = Ellipsoid.WGS84.cartographicToCartesian(new Cartographic(place.longitude, place.latitude, site.ground));
      position.set([onGround.x, onGround.y, onGround.z], at * 3);
      metres.set([x, y], at * 2);
    }
  }
  const attributes = new GeometryAttributes();
  attributes.position = new GeometryAttribute({
    componentDatatype: ComponentDatatype.DOUBLE,
    componentsPerAttribute: 3,
    values: position,
  });
  attributes.st = new GeometryAttribute({
    componentDatatype: ComponentDatatype.FLOAT,
    componentsPerAttribute: 2,
    values: metres,
  });
  return new Geometry({
    attributes,
    indices: triangles(),
    primitiveType: PrimitiveType.TRIANGLES,
    boundingSphere: new BoundingSphere(site.centre, REACH_M * 1.1),
  });
}

function triangles(): Uint16Array {
  const indices: number[] = [];
  for (let i = 0; i + 1 < RINGS; i++) {
    for (let j = 0; j < SECTORS; j++) {
      const [a, b] = [i * SECTORS + j, i * SECTORS + ((j + 1) % SECTORS)];
      const [c, d] = [a + SECTORS, b + SECTORS];
      indices.push(a, c, d, a, d, b);
    }
  }
  return new Uint16Array(indices);
}

/** `st` carries metres east and north of the centre. Lines keep one pixel and vanish before they shimmer. */
const GRID = `
  uniform vec4 base; uniform vec4 line; uniform vec4 dark; uniform float reach; uniform vec4 box;
  float grid(vec2 p, float step) {
    vec2 q = p / step;
    vec2 w = max(fwidth(q), vec2(1e-6));
    vec2 d = abs(fract(q - 0.5) - 0.5) / w;
    vec2 l = (1.0 - smoothstep(vec2(0.35), vec2(1.25), d)) * (1.0 - smoothstep(vec2(0.08), vec2(0.32), w));
    return max(l.x, l.y);
  }
  czm_material czm_getMaterial(czm_materialInput m) {
    czm_material material = czm_getDefaultMaterial(m);
    vec2 p = m.st;
    vec2 outside = max(abs(p - box.xy) - box.zw, 0.0);
    float inside = 1.0 - smoothstep(0.0, 0.35 * max(box.z, box.w), length(outside));
    vec3 colour = base.rgb * mix(0.82, 1.18, inside);
    float strength = 0.42 * grid(p, 100.0) + 0.8 * grid(p, 1000.0) + 0.16 * grid(p, 10.0);
    colour = mix(colour, line.rgb, min(strength, 1.0) * mix(0.45, 1.0, inside));
    float far = length(m.positionToEyeEC) / reach;
    material.diffuse = mix(colour, dark.rgb, 1.0 - exp(-far * far));
    material.alpha = 1.0;
    return material;
  }`;

export class Ground {
  private readonly material: Material;

  constructor(scene: Scene, site: Site) {
    const { east, north } = site.box;
    this.material = new Material({
      translucent: false,
      fabric: {
        uniforms: {
          base: Color.fromCssColorString("#131c26"),
          line: Color.fromCssColorString("#2b3c4c"),
          dark: Color.fromCssColorString(BACKGROUND),
          reach: site.radius * 5,
          box: new Color(0, 0, east, north),
        },
        source: GRID,
      },
    });
    const appearance: Appearance = new MaterialAppearance({
      material: this.material,
      flat: true,
      faceForward: false,
      translucent: false,
      closed: false,
      materialSupport: MaterialAppearance.MaterialSupport.TEXTURED,
      vertexShaderSource: VERTEX,
      fragmentShaderSource: FRAGMENT,
    });
    scene.primitives.add(
      new Primitive({
        geometryInstances: new GeometryInstance({ geometry: mesh(site) }),
        appearance,
        asynchronous: false,
        allowPicking: false,
        compressVertices: false,
        shadows: ShadowMode.RECEIVE_ONLY,
      }),
    );
    // Seen from far the fade must move out with the camera, or the district would drown in the dark.
    scene.preRender.addEventListener(() => {
      const distance = Cartesian3.distance(scene.camera.positionWC, site.centre);
      (this.material.uniforms as { reach: number }).reach = site.radius * 3.2 + distance * 1.3;
    });
  }
}

const VERTEX = `
  in vec3 position3DHigh; in vec3 position3DLow; in vec2 st; in float batchId;
  out vec3 v_positionEC; out vec2 v_st;
  void main() {
    vec4 p = czm_computePosition();
    v_positionEC = (czm_modelViewRelativeToEye * p).xyz;
    v_st = st;
    gl_Position = czm_modelViewProjectionRelativeToEye * p;
  }`;

const FRAGMENT = `
  in vec3 v_positionEC; in vec2 v_st;
  void main() {
    czm_materialInput m;
    m.normalEC = vec3(0.0, 0.0, 1.0);
    m.positionToEyeEC = -v_positionEC;
    m.st = v_st;
    out_FragColor = vec4(czm_getMaterial(m).diffuse, 1.0);
  }`;
