// The licences of the packages that a bundle is made of, as one text. A package that states none ends the build.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

const LICENCE = /^(licen[cs]e|copying|notice|third-?party-?notices?)([.-].*)?$/i;
const RULE = "=".repeat(80);

// `metafiles` are esbuild's: every file that went into a bundle is among their inputs. Their paths begin at `here`.
export async function licences(metafiles, here) {
  const folders = new Set(metafiles.flatMap((metafile) => Object.keys(metafile.inputs)).map(packageOf).filter(Boolean));
  const parts = await Promise.all([...folders].sort().map((folder) => describe(here, folder)));
  return `The files beside this one are made of these packages, with their licences.\n\n${parts.join("\n")}`;
}

// "node_modules/@a/b/dist/x.js" -> "node_modules/@a/b"; null for files of lamDB's own. Of nested packages, the inner.
export function packageOf(input) {
  const path = input.replace(/^[a-z-]+:(?=.*node_modules)/, "");
  return path.match(/^.*node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0] ?? null;
}

async function describe(here, folder) {
  const path = join(here, folder);
  const about = JSON.parse(await readFile(join(path, "package.json"), "utf8"));
  const names = (await readdir(path)).filter((name) => LICENCE.test(name)).sort();
  const stated = about.license ?? about.licenses?.map((each) => each.type).join(", ");
  if (!stated && names.length === 0) throw new Error(`${folder} states no licence`);
  const texts = await Promise.all(names.map((name) => readFile(join(path, name), "utf8")));
  const author = typeof about.author === "string" ? about.author : about.author?.name;
  const shown = texts.length > 0 ? texts : [
          `The package has no text of its licence, ${stated}, which stands with others here.${author ? ` Author: ${author}.` : ""}`,
        ];
  return [RULE, `${about.name} ${about.version} (${stated ?? "see below"})`, RULE, "", ...shown.map((text) => text.trim()), ""].join(
    "\n",
  );
}
