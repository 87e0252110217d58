/** How buildings are lit and finished: a clay model under a soft sky, with fine creases and air between near and far. */

import {
  Cartesian3,
  Color,
  CustomShader,
  LightingModel,
  PostProcessStage,
  UniformType,
  type Scene,
} from "@cesium/engine";
import type { Site } from "./site";
import { BACKGROUND } from "./stage";

/**
 * Shade is worked out in display space and handed over linear, because Cesium turns it back and then multiplies the
 * feature's colour. Walls darken towards the ground, as they do in a street.
 */
const BUILDING = `
  void fragmentMain(FragmentInput fsInput, inout czm_modelMaterial material) {
    vec3 n = normalize(fsInput.attributes.normalEC);
    vec3 up = mat3(czm_view) * u_up;
    float facing = dot(n, up);
    float sky = 0.5 + 0.5 * facing;
    float sun = max(dot(n, czm_lightDirectionEC), 0.0);
    float above = dot(up, fsInput.attributes.positionEC) + u_cameraHeight;
    float wall = 1.0 - smoothstep(0.3, 0.7, facing);
    float foot = mix(1.0, mix(0.66, 1.0, smoothstep(-1.0, 26.0, above)), wall);
    float shade = (0.30 + 0.24 * sky + 0.52 * sun) * foot;
    material.diffuse = pow(vec3(min(shade, 1.0)), vec3(2.2));
  }`;

export function buildingShader(scene: Scene, site: Site): CustomShader {
  const shader = new CustomShader({
    lightingModel: LightingModel.UNLIT,
    uniforms: {
      u_up: { type: UniformType.VEC3, value: site.up },
      u_cameraHeight: { type: UniformType.FLOAT, value: 0 },
    },
    fragmentShaderText: BUILDING,
  });
  scene.preRender.addEventListener(() => {
    // Height over the tangent plane, in doubles: the shader's world coordinates are only good to half a metre.
    const offset = Cartesian3.subtract(scene.camera.positionWC, site.centre, new Cartesian3());
    shader.setUniform("u_cameraHeight", Cartesian3.dot(offset, site.up));
  });
  return shader;
}

/**
 * 1/depth is linear over a plane's image, so its second difference is zero on every face and not on a crease: edges
 * without any edge geometry. The same pass lays the haze over what is far away.
 */
const FINISH = `
  uniform sampler2D colorTexture; uniform sampler2D depthTexture;
  uniform vec4 haze; uniform float reach; uniform float strength; uniform float px;
  in vec2 v_textureCoordinates;
  float inverseDepth(vec2 uv) {
    float depth = czm_unpackDepth(texture(depthTexture, uv));
    if (depth >= 1.0 || depth <= 0.0) return 0.0;
    vec4 eye = czm_windowToEyeCoordinates(uv * czm_viewport.zw, czm_reverseLogDepth(depth));
    return -1.0 / (eye.z / eye.w);
  }
  void main() {
    vec4 colour = texture(colorTexture, v_textureCoordinates);
    float c = inverseDepth(v_textureCoordinates);
    if (c <= 0.0) { out_FragColor = colour; return; }
    vec2 d = px / czm_viewport.zw;
    float horizontal = inverseDepth(v_textureCoordinates - vec2(d.x, 0.0)) + inverseDepth(v_textureCoordinates + vec2(d.x, 0.0)) - 2.0 * c;
    float vertical = inverseDepth(v_textureCoordinates - vec2(0.0, d.y)) + inverseDepth(v_textureCoordinates + vec2(0.0, d.y)) - 2.0 * c;
    // Relative bend; a ridge (nearer than its neighbours) catches light, a valley loses it.
    float bend = -(horizontal + vertical) / c;
    float fade = 1.0 - smoothstep(0.25, 1.0, (1.0 / c) / reach);
    float ridge = smoothstep(0.0006, 0.006, bend) * fade * strength;
    float valley = smoothstep(0.0012, 0.02, -bend) * fade * strength;
    vec3 edged = mix(colour.rgb, min(colour.rgb * 1.45 + 0.05, vec3(1.0)), 0.55 * ridge);
    edged *= 1.0 - 0.5 * valley;
    out_FragColor = vec4(edged, colour.a);
  }`;

export class Finish {
  private readonly stage: PostProcessStage;

  constructor(scene: Scene, site: Site) {
    let reach = site.radius;
    this.stage = new PostProcessStage({
      name: "twin_finish",
      fragmentShader: FINISH,
      uniforms: {
        haze: Color.fromCssColorString(BACKGROUND),
        reach: () => reach,
        strength: 1,
        px: () => Math.max(1, scene.pixelRatio),
      },
    });
    scene.postProcessStages.add(this.stage);
    scene.preRender.addEventListener(() => {
      const distance = Cartesian3.distance(scene.camera.positionWC, site.centre);
      reach = Math.max(site.radius * 2, distance * 1.6);
    });
  }

  get enabled(): boolean {
    return this.stage.enabled;
  }

  set enabled(on: boolean) {
    this.stage.enabled = on;
  }
}
