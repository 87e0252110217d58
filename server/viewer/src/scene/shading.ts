/** How buildings are lit and finished: a clay model under a soft sky, with fine creases. */

import {
  Cartesian3,
  CustomShader,
  LightingModel,
  PerspectiveFrustum,
  PostProcessStage,
  UniformType,
  type Scene,
} from "@cesium/engine";
import type { Site } from "./site";

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
    float foot = mix(1.0, mix(0.7, 1.0, smoothstep(-1.0, 24.0, above)), wall);
    float shade = (0.34 + 0.28 * sky + 0.52 * sun) * foot;
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
 * without any edge geometry.
 */
const FINISH = `
  uniform sampler2D colorTexture; uniform sampler2D depthTexture;
  uniform float pixelAngle; uniform float px;
  in vec2 v_textureCoordinates;
  float inverseDepth(vec2 uv) {
    float depth = czm_unpackDepth(texture(depthTexture, uv));
    if (depth >= 1.0 || depth <= 0.0) return 0.0;
    vec4 eye = czm_windowToEyeCoordinates(uv * czm_viewport.zw, czm_reverseLogDepth(depth));
    return -eye.w / eye.z;
  }
  void main() {
    vec2 at = v_textureCoordinates;
    vec4 colour = texture(colorTexture, at);
    out_FragColor = colour;
    float c = inverseDepth(at);
    if (c <= 0.0) return;
    // What a pixel covers on the spot: where that is wider than a wall, lines would only be noise.
    float fade = 1.0 - smoothstep(0.35, 1.8, pixelAngle / c);
    if (fade <= 0.0) return;
    vec2 d = px / czm_viewport.zw;
    float neighbours = inverseDepth(at - vec2(d.x, 0.0)) + inverseDepth(at + vec2(d.x, 0.0))
                     + inverseDepth(at - vec2(0.0, d.y)) + inverseDepth(at + vec2(0.0, d.y));
    // How sharply the surface bends, whatever the resolution: a ridge catches light, a valley loses it.
    float bend = (4.0 * c - neighbours) / (c * pixelAngle * px);
    float ridge = smoothstep(0.25, 1.2, bend) * fade;
    float valley = smoothstep(0.4, 3.0, -bend) * fade;
    vec3 edged = mix(colour.rgb, min(colour.rgb * 1.5 + 0.06, vec3(1.0)), 0.6 * ridge);
    out_FragColor = vec4(edged * (1.0 - 0.45 * valley), colour.a);
  }`;

export class Finish {
  private readonly stage: PostProcessStage;

  constructor(scene: Scene) {
    this.stage = new PostProcessStage({
      name: "twin_finish",
      fragmentShader: FINISH,
      uniforms: {
        px: () => Math.max(1, scene.pixelRatio),
        pixelAngle: () => {
          const { frustum } = scene.camera;
          const fovy = (frustum instanceof PerspectiveFrustum ? frustum.fovy : undefined) ?? 0.66;
          return (2 * Math.tan(fovy / 2)) / scene.drawingBufferHeight;
        },
      },
    });
    scene.postProcessStages.add(this.stage);
  }

  get enabled(): boolean {
    return this.stage.enabled;
  }

  set enabled(on: boolean) {
    this.stage.enabled = on;
  }
}
