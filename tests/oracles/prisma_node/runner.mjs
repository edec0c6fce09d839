// Runs requests in Prisma's JSON protocol through Prisma Client's own engine, as the client runs them:
// parameterise by the schema's graph, compile (plans are cached by the parameterised request), interpret on
// better-sqlite3. Usage: node runner.mjs jobs.json answers.json
//
// jobs.json:    [{ "schema": "<Prisma schema>", "database": "<SQLite file>", "requests": [{…}, …] }, …]
// answers.json: [[{ "data": … } | { "error": { "code", "message", "meta", "cause" } }, …], …]
//
// Values keep the protocol's tags: {"$type": "DateTime" | "BigInt" | "Decimal" | "Bytes" | "Json", "value": …}.
import fs from 'node:fs'
import { createRequire } from 'node:module'

import { PrismaBetterSqlite3 } from '@prisma/adapter-better-sqlite3'
import {
  noopTracingHelper,
  normalizeJsonProtocolValues,
  parameterizeQuery,
  QueryInterpreter,
  safeJsonStringify,
  TransactionManager,
} from '@prisma/client-engine-runtime'
import { ParamGraph } from '@prisma/param-graph'
import { buildParamGraph } from '@prisma/param-graph-builder'

const require = createRequire(import.meta.url)
const { get_dmmf: getDmmf } = require('@prisma/prisma-schema-wasm')

const compilerFolder = './node_modules/@prisma/query-compiler-wasm/sqlite'
const provider = 'sqlite'
const connectionInfo = { supportsRelationJoins: false }
const transactionOptions = { timeout: 60_000, maxWait: 5_000 }
const tracingHelper = noopTracingHelper

// A panic leaves the compiler's memory in an unknown state: report it and start anew, as the client does.
let panic
globalThis.PRISMA_WASM_PANIC_REGISTRY = {
  set_message(message) {
    panic = message
  },
}

// The bindings hold views of one instance's memory, so that every instance gets bindings of its own.
let instances = 0

async function loadCompiler() {
  const bindings = await import(`${compilerFolder}/query_compiler_fast_bg.js?instance=${++instances}`)
  const module = new WebAssembly.Module(fs.readFileSync(new URL(`${compilerFolder}/query_compiler_fast_bg.wasm`, import.meta.url)))
  const instance = new WebAssembly.Instance(module, { './query_compiler_fast_bg.js': bindings })
  bindings.__wbg_set_wasm(instance.exports)
  instance.exports.__wbindgen_start()
  return bindings.QueryCompiler
}

// The graph's builder expects the client's names of the actions, the engine's DMMF has its own.
function clientNames({ createOne, updateOne, deleteOne, upsertOne, ...operations }) {
  return { ...operations, create: createOne, update: updateOne, delete: deleteOne, upsert: upsertOne }
}

function paramGraphOf(schema) {
  const dmmf = JSON.parse(getDmmf(JSON.stringify({ prismaSchema: [['schema.prisma', schema]], noColor: true })))
  const enums = new Map(
    dmmf.datamodel.enums.map((type) => [
      type.name,
      Object.fromEntries(type.values.map((value) => [value.name, value.dbName ?? value.name])),
    ]),
  )
  const modelOperations = dmmf.mappings.modelOperations.map(clientNames)
  return ParamGraph.fromData(buildParamGraph({ ...dmmf, mappings: { ...dmmf.mappings, modelOperations } }), (name) =>
    enums.get(name),
  )
}

class Client {
  #plans = new Map()

  constructor(schema, adapter) {
    this.schema = schema
    this.adapter = adapter
    this.graph = paramGraphOf(schema)
    this.interpreter = QueryInterpreter.forSql({ provider, tracingHelper, connectionInfo })
    this.transactions = new TransactionManager({ driverAdapter: adapter, transactionOptions, tracingHelper, provider })
  }

  async start() {
    const QueryCompiler = await loadCompiler()
    this.compiler = new QueryCompiler({ datamodel: this.schema, provider, connectionInfo })
  }

  async #compile(shape) {
    panic = undefined
    try {
      return this.compiler.compile(shape)
    } catch (error) {
      if (panic === undefined) throw error
      await this.start()
      throw new Error(`The query compiler panicked: ${panic}`)
    }
  }

  async run(request) {
    const { parameterizedQuery, placeholderValues } = parameterizeQuery(request, this.graph)
    const shape = JSON.stringify(parameterizedQuery)
    let plan = this.#plans.get(shape)
    if (plan === undefined) {
      plan = await this.#compile(shape)
      this.#plans.set(shape, plan)
    }
    const value = await this.interpreter.run(plan, {
      queryable: this.adapter,
      transactionManager: { enabled: true, manager: this.transactions },
      scope: placeholderValues,
    })
    return normalizeJsonProtocolValues(value ?? null)
  }
}

function describe(error) {
  const { driverAdapterError, ...meta } = error.meta ?? {}
  return {
    code: error.code ?? null,
    message: error.message ?? String(error),
    meta,
    cause: driverAdapterError?.cause ?? null,
  }
}

async function runJob({ schema, database, requests }) {
  const adapter = await new PrismaBetterSqlite3({ url: `file:${database}` }).connect()
  const client = new Client(schema, adapter)
  await client.start()
  const answers = []
  for (const request of requests) {
    try {
      answers.push({ data: await client.run(request) })
    } catch (error) {
      answers.push({ error: describe(error) })
    }
  }
  await adapter.dispose()
  return answers
}

const [jobsFile, answersFile] = process.argv.slice(2)
const answers = []
for (const job of JSON.parse(fs.readFileSync(jobsFile, 'utf8'))) answers.push(await runJob(job))
fs.writeFileSync(answersFile, safeJsonStringify(answers))
