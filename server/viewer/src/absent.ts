/** Stands in for parts of Cesium that no tile of this project can need (Gaussian splats, KMZ); see vite.config.ts. */
function absent(): never {
  throw new Error("this format is not part of the viewer's build");
}

export const loadSpz = absent;
export const initSync = absent;
export const configure = (): void => undefined;
export const BlobReader = absent;
export const BlobWriter = absent;
export const Data64URIWriter = absent;
export const TextReader = absent;
export const TextWriter = absent;
export const ZipReader = absent;
export const ZipWriter = absent;
export default absent;
