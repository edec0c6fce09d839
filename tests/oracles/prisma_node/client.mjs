// Prisma Client's own engine, run as the client runs it: parameterise a request by the schema's graph, compile it
// (plans are cached by the parameterised request), interpret the plan on better-sqlite3.
//
// Values keep the JSON protocol's tags: {"$type": "DateTime" | "BigInt" | "Decimal" | "Bytes" | "Json", "value": …}.
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

export class Client {
  #plans = new Map()

  constructor(schema) {
    this.schema = schema
    this.graph = paramGraphOf(schema)
    this.interpreter = QueryInterpreter.forSql({ provider, tracingHelper, connectionInfo })
  }

  // Works on another database from now on; plans are kept.
  async open(database) {
    await this.adapter?.dispose()
    const adapter = await new PrismaBetterSqlite3({ url: `file:${database}` }).connect()
    this.adapter = adapter
    this.transactions = new TransactionManager({ driverAdapter: adapter, transactionOptions, tracingHelper, provider })
  }

  async close() {
    await this.adapter?.dispose()
    this.compiler?.free()
  }

  async #start() {
    const QueryCompiler = await loadCompiler()
    this.compiler = new QueryCompiler({ datamodel: this.schema, provider, connectionInfo })
  }

  async #compile(shape) {
    if (this.compiler === undefined) await this.#start()
    panic = undefined
    try {
      return this.compiler.compile(shape)
    } catch (error) {
      if (panic === undefined) throw error
      await this.#start()
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

  // { data } or { error }, whatever the request does.
  async answer(request) {
    try {
      return { data: await this.run(request) }
    } catch (error) {
      return { error: describe(error) }
    }
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
