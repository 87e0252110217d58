import { promises as fs } from "node:fs";
import path from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Writes `.br` and `.gz` beside each text file of the build, where they are smaller, so the server never compresses. */
function precompress(): Plugin {
  let outDir = "dist";
  return {
    name: "precompress",
    apply: "build",
    configResolved(config) {
      outDir = path.resolve(config.root, config.build.outDir);
    },
    async closeBundle() {
      const entries = await fs.readdir(outDir, { recursive: true, withFileTypes: true });
      for (const entry of entries) {
        if (!entry.isFile() || !/\.(js|css|html|svg|json|wasm)$/.test(entry.name)) continue;
        const file = path.join(entry.parentPath, entry.name);
        const content = await fs.readFile(file);
        const variants = {
          gz: gzipSync(content, { level: 9 }),
          br: brotliCompressSync(content, {
            params: { [constants.BROTLI_PARAM_SIZE_HINT]: content.length, [constants.BROTLI_PARAM_LGWIN]: 24 },
          }),
        };
        for (const [suffix, bytes] of Object.entries(variants)) {
          if (bytes.length < content.length) await fs.writeFile(`${file}.${suffix}`, bytes);
        }
      }
    },
  };
}

const stub = path.resolve(import.meta.dirname, "src/absent.ts");

export default defineConfig({
  base: "./",
  plugins: [precompress()],
  resolve: {
    // Parts of Cesium this viewer can never reach; leaving them out takes a good third off what is sent.
    alias: [{ find: /^(@spz-loader\/core|@cesium\/wasm-splats|@zip\.js\/zip\.js.*)$/, replacement: stub }],
  },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 4096,
    reportCompressedSize: false,
  },
  server: { proxy: { "^/(release|entities|resolve|tiles)": "http://127.0.0.1:8765" } },
  test: { include: ["test/**/*.test.ts"], environment: "node" },
});
