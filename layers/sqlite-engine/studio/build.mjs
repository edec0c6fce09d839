// Bundles the studio into ../lamdb/server/static/studio, each file beside its gzipped twin, and the licences of all
// packages that are in the bundle, as licenses.txt.
// Usage: node build.mjs [output directory]
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { constants, gzip } from "node:zlib";

import { build } from "esbuild";

import { licences, packageOf } from "../graphiql/licences.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const outdir = process.argv[2] ?? join(here, "../lamdb/server/static/studio");
const elk = createRequire(import.meta.url).resolve("elkjs/lib/elk.bundled.js");

await rm(outdir, { recursive: true, force: true });
const { metafile } = await build({
  absWorkingDir: here,
  alias: { "elkjs/lib/elk.bundled.js": join(here, "src/elk.js"), "elkjs-whole": elk },
  bundle: true,
  chunkNames: "chunk-[hash]",
  define: { "process.env.NODE_ENV": '"production"' },
  entryPoints: { app: "src/app.jsx", prisma: "@prisma/studio-core/ui/index.css" },
  format: "esm",
  jsx: "automatic",
  legalComments: "linked",
  logLevel: "warning",
  metafile: true,
  minify: true,
  outdir,
  splitting: true,
  target: ["chrome111", "firefox115", "safari16.4"],
});

// Prisma's Studio is itself a bundle: the packages in it are named by its own metafile, without their licences' texts.
const inner = JSON.parse(await readFile(join(here, "node_modules/@prisma/studio-core/dist/metafile-esm.json"), "utf8"));
const names = Object.values(inner.outputs).flatMap((output) => Object.keys(output.inputs)).map(packageOf).filter(Boolean);
const listed = [...new Set(names.map((name) => name.replace(/^.*node_modules\//, "")))].sort();
const within = `@prisma/studio-core contains parts of these packages: ${listed.join(", ")}.\n`;
await writeFile(join(outdir, "licenses.txt"), `${await licences([metafile], here)}\n${within}`);

for (const name of await readdir(outdir)) {
  if (!/\.(css|js)$|^licenses\.txt$/.test(name)) continue;
  const path = join(outdir, name);
  const packed = await promisify(gzip)(await readFile(path), { level: constants.Z_BEST_COMPRESSION });
  await writeFile(`${path}.gz`, packed);
}
