// Bundles GraphiQL and its editor's workers into ../lamdb/server/static/vendor, each file beside its gzipped twin, and
// the licences of all packages that are in the bundle, as licenses.txt.
// Usage: node build.mjs [output directory]
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { constants, gzip } from "node:zlib";

import { build } from "esbuild";

import { licences } from "./licences.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const outdir = process.argv[2] ?? join(here, "../lamdb/server/static/vendor");

const common = {
  absWorkingDir: here,
  bundle: true,
  define: { "process.env.NODE_ENV": '"production"' },
  legalComments: "linked",
  logLevel: "warning",
  metafile: true,
  minify: true,
  outdir,
  target: ["chrome111", "firefox115", "safari16.4"],
};

await rm(outdir, { recursive: true, force: true });
const pages = await build({
  ...common,
  chunkNames: "chunk-[hash]",
  entryPoints: { app: "src/app.js" },
  format: "esm",
  loader: { ".ttf": "dataurl", ".woff2": "dataurl" },
  splitting: true,
});
const workers = await build({
  ...common,
  entryPoints: {
    "editor.worker": "monaco-editor/esm/vs/editor/editor.worker.js",
    "graphql.worker": "monaco-graphql/esm/graphql.worker.js",
    "json.worker": "monaco-editor/esm/vs/language/json/json.worker.js",
  },
  format: "iife",
});

await writeFile(join(outdir, "licenses.txt"), await licences([pages.metafile, workers.metafile], here));

for (const name of await readdir(outdir)) {
  const path = join(outdir, name);
  if (/^chunk-.*\.css$/.test(name)) {
    await rm(path); // The styles of lazily loaded code: graphiql/style.css, in app.css, already has them.
    continue;
  }
  if (!/\.(css|js)$|^licenses\.txt$/.test(name)) continue;
  const packed = await promisify(gzip)(await readFile(path), { level: constants.Z_BEST_COMPRESSION });
  await writeFile(`${path}.gz`, packed);
}
