/** The view as a link: camera, selection, coloured property and language in the address's hash. */

export interface CameraState {
  lon: number;
  lat: number;
  /** Ellipsoidal, metres. */
  height: number;
  /** Degrees. */
  heading: number;
  pitch: number;
}

export interface ViewState {
  camera?: CameraState;
  selected?: string;
  colour?: string;
  language?: string;
  hidden?: string[];
}

const round = (value: number, digits: number): string => String(Number(value.toFixed(digits)));

export function encodeView(view: ViewState): string {
  const parts: string[] = [];
  if (view.camera) {
    const { lon, lat, height, heading, pitch } = view.camera;
    const numbers = [round(lon, 7), round(lat, 7), round(height, 1), String(Number(round(heading, 1)) % 360), round(pitch, 1)];
    parts.push(`view=${numbers.join(",")}`);
  }
  if (view.selected !== undefined) parts.push(`id=${encodeURIComponent(view.selected)}`);
  if (view.colour !== undefined) parts.push(`colour=${encodeURIComponent(view.colour)}`);
  if (view.hidden?.length) parts.push(`hide=${view.hidden.map(encodeURIComponent).join(",")}`);
  if (view.language !== undefined) parts.push(`lang=${encodeURIComponent(view.language)}`);
  return parts.length === 0 ? "" : `#${parts.join("&")}`;
}

export function decodeView(hash: string): ViewState {
  const view: ViewState = {};
  for (const part of hash.replace(/^#/, "").split("&")) {
    const at = part.indexOf("=");
    if (at < 0) continue;
    const value = part.slice(at + 1);
    switch (part.slice(0, at)) {
      case "view":
        Object.assign(view, cameraOf(value));
        break;
      case "id":
        view.selected = decode(value);
        break;
      case "colour":
        view.colour = decode(value);
        break;
      case "hide":
        view.hidden = value.split(",").filter(Boolean).map(decode);
        break;
      case "lang":
        view.language = decode(value);
        break;
    }
  }
  return view;
}

function cameraOf(value: string): Pick<ViewState, "camera"> {
  const numbers = value.split(",").map((part) => (part === "" ? NaN : Number(part)));
  if (numbers.length !== 5 || !numbers.every(Number.isFinite)) return {};
  const [lon, lat, height, heading, pitch] = numbers as [number, number, number, number, number];
  if (Math.abs(lon) > 180 || Math.abs(lat) > 90 || Math.abs(height) > 1e8 || Math.abs(pitch) > 90) return {};
  return { camera: { lon, lat, height, heading, pitch } };
}

/** A link cut off in the middle of an escape still opens. */
function decode(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
