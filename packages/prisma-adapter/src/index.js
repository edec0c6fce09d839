/** Driver adapter of Prisma Client for SQL over HTTP, the libSQL (Hrana) protocol in its third version. */

import { DriverAdapterError } from '@prisma/driver-adapter-utils'

import { atCommit, closedTransaction, driverError } from './errors.js'
import { Pipeline } from './pipeline.js'
import { columnTypesOf, fromHrana, toHrana } from './values.js'

const NAME = '@lamdb/prisma-adapter'

/** The most parameters that SQLite takes in one statement. */
const MAX_BIND_VALUES = 32766

/** A statement of a transaction must not run if the server has ended the transaction. */
const IN_TRANSACTION = { type: 'not', cond: { type: 'is_autocommit' } }

class Queryable {
  provider = 'sqlite'
  adapterName = NAME

  async queryRaw(query) {
    const result = await this._execute(statementOf(query, true))
    const columnTypes = columnTypesOf(result.cols, result.rows)
    return {
      columnNames: result.cols.map((column) => column.name ?? ''),
      columnTypes,
      rows: result.rows.map((row) => row.map((value, index) => fromHrana(value, columnTypes[index]))),
      lastInsertId: result.last_insert_rowid ?? undefined,
    }
  }

  async executeRaw(query) {
    return (await this._execute(statementOf(query, false))).affected_row_count
  }
}

class LamdbAdapter extends Queryable {
  #pipeline

  constructor(pipeline) {
    super()
    this.#pipeline = pipeline
  }

  async _execute(stmt) {
    return (await this.#alone({ type: 'execute', stmt })).result
  }

  async executeScript(script) {
    await this.#alone({ type: 'sequence', sql: script })
  }

  /** One request, in a stream that ends with it. */
  async #alone(request) {
    const [answer] = await this.#pipeline.send(null, [request, { type: 'close' }])
    if (answer.type === 'error') throw driverError(answer.error, { inTransaction: false })
    return answer.response
  }

  async startTransaction(isolationLevel) {
    if (isolationLevel !== undefined && isolationLevel !== 'SERIALIZABLE') {
      throw new DriverAdapterError({ kind: 'InvalidIsolationLevel', level: isolationLevel })
    }
    return new LamdbTransaction(this.#pipeline)
  }

  getConnectionInfo() {
    return { supportsRelationJoins: false, maxBindValues: MAX_BIND_VALUES }
  }

  async dispose() {}
}

/** A stream. It is opened, with BEGIN, by the first statement; an empty transaction sends nothing at all. */
class LamdbTransaction extends Queryable {
  // Prisma then calls `commit` and `rollback`, and sends no such statements itself.
  options = { usePhantomQuery: true }

  #pipeline
  /** @type {null | import('./pipeline.js').Stream} */
  #stream = null
  #last = Promise.resolve()

  constructor(pipeline) {
    super()
    this.#pipeline = pipeline
  }

  _execute(stmt) {
    return this.#inTurn(async () => {
      const isFirst = this.#stream === null
      const stream = (this.#stream ??= this.#pipeline.open())
      const steps = isFirst
        ? [{ stmt: { sql: 'BEGIN', want_rows: false } }, { condition: { type: 'ok', step: 0 }, stmt }]
        : [{ condition: IN_TRANSACTION, stmt }]
      const [answer] = await this.#pipeline.send(stream, [{ type: 'batch', batch: { steps } }])
      if (answer.type === 'error') throw driverError(answer.error, { inTransaction: true })
      const { step_results: results, step_errors: errors } = answer.response.result
      const error = errors.find((each) => each)
      if (error) {
        if (isFirst && errors[0]) stream.isClosed = true
        throw driverError(error, { inTransaction: true })
      }
      const result = results[steps.length - 1]
      if (!result) throw closedTransaction('The server has ended the transaction.')
      return result
    })
  }

  commit() {
    return this.#inTurn(async () => {
      if (this.#stream === null) return
      const requests = [{ type: 'execute', stmt: { sql: 'COMMIT', want_rows: false } }, { type: 'close' }]
      let answer
      try {
        ;[answer] = await this.#pipeline.send(this.#stream, requests)
      } catch (error) {
        throw atCommit(error)
      }
      if (answer.type === 'error') throw atCommit(driverError(answer.error, { inTransaction: true }))
    })
  }

  rollback() {
    return this.#inTurn(async () => {
      if (this.#stream === null || this.#stream.isClosed) return
      try {
        await this.#pipeline.send(this.#stream, [{ type: 'close' }])
      } catch {
        // The server ends a stream by itself that nobody closes. What was to be undone is never committed.
      }
    })
  }

  async createSavepoint(name) {
    await this.executeRaw(plain(`SAVEPOINT "${name}"`))
  }

  async rollbackToSavepoint(name) {
    await this.executeRaw(plain(`ROLLBACK TO "${name}"`))
  }

  async releaseSavepoint(name) {
    await this.executeRaw(plain(`RELEASE "${name}"`))
  }

  /** Each request carries the baton of the answer before, so that there is one at a time. */
  #inTurn(work) {
    const done = this.#last.then(work)
    this.#last = done.then(
      () => undefined,
      () => undefined
    )
    return done
  }
}

export class PrismaLamdb {
  provider = 'sqlite'
  adapterName = NAME
  #pipeline

  constructor(config) {
    this.#pipeline = new Pipeline(config)
  }

  async connect() {
    return new LamdbAdapter(this.#pipeline)
  }

  get txid() {
    return this.#pipeline.txid
  }
}

function plain(sql) {
  return { sql, args: [], argTypes: [] }
}

function statementOf(query, wantRows) {
  return {
    sql: query.sql,
    args: query.args.map((value, index) => toHrana(value, query.argTypes[index])),
    want_rows: wantRows,
  }
}
