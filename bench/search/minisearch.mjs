// Reads documents.json from a folder and texts from standard input; writes the ids of the hits of each.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const [folder, weights] = process.argv.slice(2);
const MiniSearch = createRequire(join(folder, "package.json"))("minisearch");
const boost = JSON.parse(weights);
const index = new MiniSearch({ fields: Object.keys(boost), storeFields: [] });
index.addAll(JSON.parse(readFileSync(join(folder, "documents.json"), "utf8")));

const options = { boost, fuzzy: 0.2, prefix: (term, i, terms) => i === terms.length - 1 };
const answers = JSON.parse(readFileSync(0, "utf8")).map((text) => {
  const all = index.search(text, { ...options, combineWith: "AND" }).slice(0, 10);
  if (all.length >= 10) return all.map((hit) => hit.id);
  const known = new Set(all.map((hit) => hit.id));
  const any = index.search(text, options).slice(0, 20).filter((hit) => !known.has(hit.id));
  return [...all, ...any].slice(0, 10).map((hit) => hit.id);
});
process.stdout.write(JSON.stringify(answers));
