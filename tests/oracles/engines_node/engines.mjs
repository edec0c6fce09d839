// What the query compiler and the schema engine answer in Node, with the JavaScript glue they came with.
// Usage: node engines.mjs NODE_MODULES jobs.json answers.json
//
// jobs.json:    [{ "schema": "<Prisma schema>", "requests": [{…}, …] }, …]
// answers.json: [{ "sql": "<script that creates the tables>", "plans": [{ "plan": … } | { "error": … }, …] }, …]
import fs from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const [nodeModules, jobsFile, answersFile] = process.argv.slice(2)
globalThis.PRISMA_WASM_PANIC_REGISTRY = { set_message: console.error }

async function load(folder, name) {
  const base = path.resolve(nodeModules, '@prisma', folder, name)
  const glue = await import(pathToFileURL(`${base}_bg.js`))
  const module = new WebAssembly.Module(fs.readFileSync(`${base}_bg.wasm`))
  const instance = new WebAssembly.Instance(module, { [`./${path.basename(base)}_bg.js`]: glue })
  glue.__wbg_set_wasm(instance.exports)
  instance.exports.__wbindgen_start()
  return glue
}

const ok = (value) => Promise.resolve({ ok: true, value })
const adapter = {
  provider: 'sqlite',
  adapterName: 'none',
  queryRaw: () => ok({ columnNames: [], columnTypes: [], rows: [] }),
  executeRaw: () => ok(0),
  executeScript: () => ok(undefined),
  dispose: () => ok(undefined),
}
const factory = { ...adapter, connect: () => ok(adapter), connectToShadowDb: () => ok(adapter) }

const { QueryCompiler } = await load('query-compiler-wasm', 'sqlite/query_compiler_fast')
const { SchemaEngine } = await load('schema-engine-wasm', 'schema_engine')
const engine = await SchemaEngine.new({ datamodels: undefined }, () => {}, factory)

async function createTables(schema) {
  const filters = { externalTables: [], externalEnums: [] }
  const to = { tag: 'schemaDatamodel', files: [{ path: 'schema.prisma', content: schema }] }
  return (await engine.diff({ from: { tag: 'empty' }, to, script: true, exitCode: null, filters })).stdout
}

function compile(compiler, request) {
  try {
    return { plan: compiler.compile(JSON.stringify(request)) }
  } catch (error) {
    return { error: { code: error.code, message: error.message, meta: error.meta } }
  }
}

const answers = []
for (const { schema, requests } of JSON.parse(fs.readFileSync(jobsFile))) {
  const connectionInfo = { supportsRelationJoins: false, maxBindValues: 32766 }
  const compiler = new QueryCompiler({ datamodel: schema, provider: 'sqlite', connectionInfo })
  answers.push({ sql: await createTables(schema), plans: requests.map((request) => compile(compiler, request)) })
}

function plain(_key, value) {
  if (value instanceof Map) return Object.fromEntries(value)
  if (typeof value === 'bigint') return { bigint: String(value) }
  return value
}
fs.writeFileSync(answersFile, JSON.stringify(answers, plain))
