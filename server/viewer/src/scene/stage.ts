/** The Cesium scene without its widgets: canvas, frame loop, light, and nothing that asks the network. */

import {
  Cartesian3,
  Color,
  Credit,
  CreditDisplay,
  DirectionalLight,
  JulianDate,
  Matrix4,
  PerspectiveFrustum,
  RequestScheduler,
  CameraEventType,
  KeyboardEventModifier,
  Scene,
  Transforms,
} from "@cesium/engine";

export const BACKGROUND = "#0b1118";

export interface StageOptions {
  low: boolean;
}

export class Stage {
  readonly scene: Scene;
  readonly canvas: HTMLCanvasElement;
  private width = 0;
  private height = 0;
  private ratio = 0;
  private running = true;
  private readonly time = JulianDate.fromIso8601("2026-06-21T04:00:00Z");

  constructor(
    container: HTMLElement,
    credits: HTMLElement,
    readonly options: StageOptions,
  ) {
    stayLocal();
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    this.canvas.addEventListener("pointerdown", () => this.canvas.focus({ preventScroll: true }));
    container.append(this.canvas);
    this.resizeCanvas();
    this.scene = new Scene({
      canvas: this.canvas,
      creditContainer: credits,
      contextOptions: { webgl: { alpha: false, antialias: false, powerPreference: "high-performance" } },
      scene3DOnly: true,
      requestRenderMode: true,
      maximumRenderTimeChange: Number.POSITIVE_INFINITY,
      orderIndependentTranslucency: false,
      msaaSamples: options.low ? 1 : 4,
    });
    this.scene.backgroundColor = Color.fromCssColorString(BACKGROUND);
    this.scene.highDynamicRange = false;
    this.scene.pickTranslucentDepth = false;
    this.scene.postProcessStages.fxaa.enabled = false;
    this.scene.camera.constrainedAxis = Cartesian3.UNIT_Z;
    this.controls();
    this.applyFrustum();
    requestAnimationFrame(this.frame);
  }

  /** Light from the south-west and above: the walls one sees when facing north are the lit ones. */
  lightFrom(enuToEcef: Matrix4): void {
    const towards = Matrix4.multiplyByPointAsVector(enuToEcef, new Cartesian3(0.4, 0.52, -0.75), new Cartesian3());
    this.scene.light = new DirectionalLight({ direction: Cartesian3.normalize(towards, towards) });
  }

  redraw(): void {
    this.scene.requestRender();
  }

  stop(): void {
    this.running = false;
  }

  private controls(): void {
    const control = this.scene.screenSpaceCameraController;
    control.tiltEventTypes = [
      CameraEventType.RIGHT_DRAG,
      CameraEventType.MIDDLE_DRAG,
      CameraEventType.PINCH,
      { eventType: CameraEventType.LEFT_DRAG, modifier: KeyboardEventModifier.CTRL },
    ];
    control.zoomEventTypes = [CameraEventType.WHEEL, CameraEventType.PINCH];
    control.minimumZoomDistance = 15;
    control.maximumZoomDistance = 120_000;
  }

  private readonly frame = (): void => {
    if (!this.running) return;
    if (this.resizeCanvas()) {
      this.applyFrustum();
      this.redraw();
    }
    this.scene.initializeFrame();
    this.scene.render(this.time);
    requestAnimationFrame(this.frame);
  };

  private resizeCanvas(): boolean {
    const { clientWidth, clientHeight } = this.canvas;
    const ratio = this.options.low ? 1 : Math.min(window.devicePixelRatio, 2);
    if (clientWidth === this.width && clientHeight === this.height && ratio === this.ratio) return false;
    [this.width, this.height, this.ratio] = [clientWidth, clientHeight, ratio];
    this.canvas.width = Math.max(1, Math.round(clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(clientHeight * ratio));
    return true;
  }

  /** Keeps the vertical angle of view, so that a wall three screens wide shows more and not less. */
  private applyFrustum(): void {
    this.scene.pixelRatio = this.ratio;
    const frustum = this.scene.camera.frustum;
    if (!(frustum instanceof PerspectiveFrustum)) return;
    const aspect = this.canvas.width / this.canvas.height;
    const vertical = (38 * Math.PI) / 180;
    frustum.aspectRatio = aspect;
    frustum.fov = aspect > 1 ? Math.min(2 * Math.atan(Math.tan(vertical / 2) * aspect), (105 * Math.PI) / 180) : (48 * Math.PI) / 180;
    frustum.near = 1;
  }
}

/** No logo to fetch and no Earth orientation tables: with a fixed light nobody can see the difference. */
function stayLocal(): void {
  CreditDisplay.cesiumCredit = new Credit("CesiumJS", true);
  Transforms.computeIcrfToCentralBodyFixedMatrix = Transforms.computeTemeToPseudoFixedMatrix;
  RequestScheduler.maximumRequestsPerServer = 12;
}
