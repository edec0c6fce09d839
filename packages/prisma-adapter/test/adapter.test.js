import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'

import { ColumnTypeEnum } from '@prisma/driver-adapter-utils'

import { PrismaLamdb } from '../src/index.js'

const URL_ = 'http://db.example.com/prod'
const EMPTY = { cols: [], rows: [], affected_row_count: 0, last_insert_rowid: null }

/** A server that answers each pipeline by the functions of `answers` in turn; `sent` has what it got. */
function server(...answers) {
  const sent = []
  const fetch = async (url, init) => {
    const body = JSON.parse(init.body)
    sent.push({ url, headers: init.headers, body })
    const answer = answers.length > 1 ? answers.shift() : answers[0]
    return await answer(body, init)
  }
  return { sent, fetch }
}

function json(content, { status = 200, headers = {} } = {}) {
  return new Response(JSON.stringify(content), { status, headers })
}

const ok = (response) => ({ type: 'ok', response })

/** Answers a pipeline: `result` for statements, a new baton unless the stream is closed. */
function works(result = EMPTY, headers = {}) {
  return (body) => {
    const isClosed = body.requests.some((request) => request.type === 'close')
    const results = body.requests.map((request) => {
      if (request.type === 'execute') return ok({ type: 'execute', result })
      if (request.type !== 'batch') return ok({ type: request.type })
      const { steps } = request.batch
      return ok({ type: 'batch', result: { step_results: steps.map(() => result), step_errors: steps.map(() => null) } })
    })
    return json({ baton: isClosed ? null : `b${Number((body.baton ?? 'b0').slice(1)) + 1}`, results }, { headers })
  }
}

function failsWith(error) {
  return (body) => {
    const results = body.requests.map((request) => {
      if (request.type === 'execute') return { type: 'error', error }
      if (request.type !== 'batch') return ok({ type: request.type })
      const last = request.batch.steps.length - 1
      const errors = request.batch.steps.map((_, index) => (index === last ? error : null))
      return ok({ type: 'batch', result: { step_results: errors.map((each) => (each ? null : EMPTY)), step_errors: errors } })
    })
    return json({ baton: 'b9', results })
  }
}

async function connected(fetch, config = {}) {
  const factory = new PrismaLamdb({ url: URL_, fetch, ...config })
  return { factory, adapter: await factory.connect() }
}

function query(sql, args = [], types = []) {
  return { sql, args, argTypes: args.map((_, index) => ({ scalarType: types[index] ?? 'unknown', arity: 'scalar' })) }
}

async function causeOf(promise) {
  const error = await promise.then(
    () => assert.fail('nothing failed'),
    (thrown) => thrown
  )
  assert.equal(error.name, 'DriverAdapterError')
  return error.cause
}

const timezone = process.env.TZ
afterEach(() => {
  process.env.TZ = timezone ?? ''
})

test('one statement is one request, in a stream that ends with it', async () => {
  const { sent, fetch } = server(works({ ...EMPTY, affected_row_count: 3 }))
  const { adapter } = await connected(fetch)
  assert.equal(await adapter.executeRaw(query('DELETE FROM t')), 3)
  assert.equal(sent.length, 1)
  assert.equal(sent[0].url, 'http://db.example.com/prod/v3/pipeline')
  assert.deepEqual(sent[0].body, {
    baton: null,
    requests: [{ type: 'execute', stmt: { sql: 'DELETE FROM t', args: [], want_rows: false } }, { type: 'close' }],
  })
})

test('addresses', async () => {
  for (const [url, expected] of [
    ['libsql://db.example.com', 'https://db.example.com/v3/pipeline'],
    ['https://db.example.com/stage/', 'https://db.example.com/stage/v3/pipeline'],
    ['http://127.0.0.1:8000', 'http://127.0.0.1:8000/v3/pipeline'],
  ]) {
    const { sent, fetch } = server(works())
    const { adapter } = await connected(fetch, { url })
    await adapter.executeScript('SELECT 1; SELECT 2')
    assert.equal(sent[0].url, expected)
    assert.deepEqual(sent[0].body.requests[0], { type: 'sequence', sql: 'SELECT 1; SELECT 2' })
  }
  assert.throws(() => new PrismaLamdb({ url: 'file:./dev.db' }), /must begin with/)
})

test('arguments', async () => {
  const { sent, fetch } = server(works())
  const { adapter } = await connected(fetch)
  const moment = new Date('2001-02-03T04:05:06.789Z')
  const cases = [
    [null, 'string', { type: 'null' }],
    [undefined, 'int', { type: 'null' }],
    ['text', 'string', { type: 'text', value: 'text' }],
    ['7', 'string', { type: 'text', value: '7' }],
    [7, 'int', { type: 'integer', value: '7' }],
    [7, 'unknown', { type: 'integer', value: '7' }],
    [7, 'float', { type: 'float', value: 7 }],
    [1.5, 'unknown', { type: 'float', value: 1.5 }],
    [1e300, 'unknown', { type: 'float', value: 1e300 }],
    ['9223372036854775807', 'bigint', { type: 'integer', value: '9223372036854775807' }],
    [-(2n ** 63n), 'bigint', { type: 'integer', value: '-9223372036854775808' }],
    ['12.5', 'decimal', { type: 'float', value: 12.5 }],
    [true, 'boolean', { type: 'integer', value: '1' }],
    [false, 'boolean', { type: 'integer', value: '0' }],
    [moment, 'datetime', { type: 'text', value: '2001-02-03T04:05:06.789+00:00' }],
    ['2001-02-03T06:05:06.789+02:00', 'datetime', { type: 'text', value: '2001-02-03T04:05:06.789+00:00' }],
    ['AAH/', 'bytes', { type: 'blob', base64: 'AAH/' }],
    [Uint8Array.from([0, 1, 255]), 'bytes', { type: 'blob', base64: 'AAH/' }],
    [Uint8Array.from([0, 1, 255]).buffer, 'bytes', { type: 'blob', base64: 'AAH/' }],
    ['{"a":1}', 'json', { type: 'text', value: '{"a":1}' }],
  ]
  await adapter.queryRaw(query('…', cases.map(([value]) => value), cases.map(([, type]) => type)))
  assert.deepEqual(sent[0].body.requests[0].stmt.args, cases.map(([, , expected]) => expected))
})

test('arguments that SQLite or JSON has no place for are refused before anything is sent', async () => {
  const { sent, fetch } = server(works())
  const { adapter } = await connected(fetch)
  for (const [value, type] of [[2n ** 63n, 'bigint'], ['9223372036854775808', 'bigint'], [Infinity, 'float'], [NaN, 'float']]) {
    const cause = await causeOf(adapter.queryRaw(query('SELECT ?', [value], [type])))
    assert.equal(cause.kind, 'ValueOutOfRange')
  }
  assert.equal(sent.length, 0)
})

test('values and the types of columns', async () => {
  process.env.TZ = 'Asia/Kolkata'
  const cases = [
    ['INTEGER', { type: 'integer', value: '7' }, ColumnTypeEnum.Int32, 7],
    ['INTEGER', { type: 'integer', value: '4611686018427387905' }, ColumnTypeEnum.Int32, '4611686018427387905'],
    ['INTEGER', { type: 'float', value: 2.5 }, ColumnTypeEnum.Int32, 2],
    ['BIGINT', { type: 'integer', value: '-4611686018427387905' }, ColumnTypeEnum.Int64, '-4611686018427387905'],
    ['BIGINT', { type: 'integer', value: '7' }, ColumnTypeEnum.Int64, '7'],
    ['bigint', { type: 'null' }, ColumnTypeEnum.Int64, null],
    ['REAL', { type: 'float', value: 1.5 }, ColumnTypeEnum.Double, 1.5],
    ['DECIMAL(10, 2)', { type: 'float', value: 1.5 }, ColumnTypeEnum.Numeric, 1.5],
    ['VARCHAR(20)', { type: 'text', value: 'ü' }, ColumnTypeEnum.Text, 'ü'],
    ['BOOLEAN', { type: 'integer', value: '1' }, ColumnTypeEnum.Boolean, 1],
    ['JSONB', { type: 'text', value: '{}' }, ColumnTypeEnum.Json, '{}'],
    ['BLOB', { type: 'blob', base64: 'AAH_'.replace('_', '/') }, ColumnTypeEnum.Bytes, Uint8Array.from([0, 1, 255])],
    ['BLOB', { type: 'blob', base64: 'AAE' }, ColumnTypeEnum.Bytes, Uint8Array.from([0, 1])],
    ['DATETIME', { type: 'text', value: '2001-02-03T04:05:06.789+00:00' }, ColumnTypeEnum.DateTime, '2001-02-03T04:05:06.789+00:00'],
    ['DATETIME', { type: 'text', value: '2001-02-03 04:05:06' }, ColumnTypeEnum.DateTime, '2001-02-03T04:05:06Z'],
    ['DATETIME', { type: 'text', value: '2001-02-03 04:05' }, ColumnTypeEnum.DateTime, '2001-02-03T04:05:00Z'],
    ['DATETIME', { type: 'text', value: '2020-01-01 00:00:00 +00:00' }, ColumnTypeEnum.DateTime, '2020-01-01T00:00:00+00:00'],
    ['DATETIME', { type: 'integer', value: '981173106789' }, ColumnTypeEnum.DateTime, '2001-02-03T04:05:06.789Z'],
    [null, { type: 'integer', value: '3' }, ColumnTypeEnum.Int64, '3'],
    [null, { type: 'text', value: 'x' }, ColumnTypeEnum.Text, 'x'],
    [null, { type: 'float', value: 1.5 }, ColumnTypeEnum.Double, 1.5],
    [null, { type: 'null' }, ColumnTypeEnum.Int32, null],
    ['GEOMETRY', { type: 'text', value: 'x' }, ColumnTypeEnum.Text, 'x'],
  ]
  const result = {
    cols: cases.map(([decltype], index) => ({ name: `c${index}`, decltype })),
    rows: [cases.map(([, value]) => value)],
    affected_row_count: 0,
    last_insert_rowid: '12',
  }
  const { fetch } = server(works(result))
  const { adapter } = await connected(fetch)
  const found = await adapter.queryRaw(query('SELECT …'))
  assert.deepEqual(found.columnTypes, cases.map(([, , type]) => type))
  assert.deepEqual(found.rows, [cases.map(([, , , value]) => value)])
  assert.equal(found.columnNames[3], 'c3')
  assert.equal(found.lastInsertId, '12')
})

test('errors of SQLite', async () => {
  const cases = [
    ['SQLITE_CONSTRAINT', 'SQLITE_CONSTRAINT_UNIQUE', 'SQLite error: UNIQUE constraint failed: User.email, User.name',
      { kind: 'UniqueConstraintViolation', constraint: { fields: ['email', 'name'] }, table: 'User' }],
    ['SQLITE_CONSTRAINT', 'SQLITE_CONSTRAINT_PRIMARYKEY', 'UNIQUE constraint failed: a.b.id',
      { kind: 'UniqueConstraintViolation', constraint: { fields: ['id'] }, table: 'a.b' }],
    ['SQLITE_CONSTRAINT', undefined, "SQLite error: UNIQUE constraint failed: index 'lower_email'",
      { kind: 'UniqueConstraintViolation', constraint: { index: 'lower_email' } }],
    ['SQLITE_CONSTRAINT', 'SQLITE_CONSTRAINT_NOTNULL', 'NOT NULL constraint failed: User.email',
      { kind: 'NullConstraintViolation', constraint: { fields: ['email'] } }],
    ['SQLITE_CONSTRAINT', 'SQLITE_CONSTRAINT_FOREIGNKEY', 'FOREIGN KEY constraint failed',
      { kind: 'ForeignKeyConstraintViolation', constraint: { foreignKey: {} } }],
    ['SQLITE_CONSTRAINT', 'SQLITE_CONSTRAINT_TRIGGER', 'FOREIGN KEY constraint failed',
      { kind: 'ForeignKeyConstraintViolation', constraint: { foreignKey: {} } }],
    ['SQLITE_CONSTRAINT', 'SQLITE_CONSTRAINT_CHECK', 'CHECK constraint failed: price > 0',
      { kind: 'sqlite', extendedCode: 19, message: 'CHECK constraint failed: price > 0' }],
    ['SQLITE_BUSY', undefined, 'database is locked', { kind: 'SocketTimeout' }],
    ['SQLITE_ERROR', undefined, 'SQLite error: no such table: main.Nothing', { kind: 'TableDoesNotExist', table: 'main.Nothing' }],
    ['SQLITE_ERROR', undefined, 'no such column: x', { kind: 'ColumnNotFound', column: 'x' }],
    ['SQLITE_ERROR', undefined, 'table t has no column named y', { kind: 'ColumnNotFound', column: 'y' }],
    ['TOO_MANY_ROWS', undefined, 'too many', { kind: 'sqlite', extendedCode: 1, message: 'too many' }],
  ]
  for (const [code, extended, message, expected] of cases) {
    const { fetch } = server(failsWith({ code, extended_code: extended, message }))
    const { adapter } = await connected(fetch)
    const { originalCode, originalMessage, ...cause } = await causeOf(adapter.executeRaw(query('…')))
    assert.deepEqual(JSON.parse(JSON.stringify(cause)), expected)
    assert.equal(originalCode, extended ?? code)
    assert.equal(originalMessage, message.replace('SQLite error: ', ''))
  }
})

test('a transaction begins with its first statement and ends with one request', async () => {
  const { sent, fetch } = server(works())
  const { adapter } = await connected(fetch)
  const tx = await adapter.startTransaction()
  assert.equal(sent.length, 0)
  await tx.executeRaw(query('INSERT 1'))
  await Promise.all([tx.executeRaw(query('INSERT 2')), tx.queryRaw(query('SELECT 3'))])
  await tx.createSavepoint('sp0')
  await tx.commit()
  assert.deepEqual(sent.map(({ body }) => body.baton), [null, 'b1', 'b2', 'b3', 'b4'])
  const statements = sent.map(({ body }) =>
    body.requests.flatMap((request) => request.batch?.steps.map((step) => step.stmt.sql) ?? request.stmt?.sql ?? request.type)
  )
  assert.deepEqual(statements, [['BEGIN', 'INSERT 1'], ['INSERT 2'], ['SELECT 3'], ['SAVEPOINT "sp0"'], ['COMMIT', 'close']])
  assert.deepEqual(sent[0].body.requests[0].batch.steps[1].condition, { type: 'ok', step: 0 })
  assert.deepEqual(sent[1].body.requests[0].batch.steps[0].condition, { type: 'not', cond: { type: 'is_autocommit' } })
})

test('an empty transaction sends nothing', async () => {
  const { sent, fetch } = server(works())
  const { adapter } = await connected(fetch)
  await (await adapter.startTransaction('SERIALIZABLE')).commit()
  await (await adapter.startTransaction()).rollback()
  assert.equal(sent.length, 0)
  assert.equal((await causeOf(adapter.startTransaction('READ COMMITTED'))).kind, 'InvalidIsolationLevel')
})

test('a statement of a transaction that the server has ended is not executed alone', async () => {
  const skipped = (body) =>
    json({ baton: 'b2', results: body.requests.map(() => ok({ type: 'batch', result: { step_results: [null], step_errors: [null] } })) })
  const { fetch } = server(works(), skipped)
  const { adapter } = await connected(fetch)
  const tx = await adapter.startTransaction()
  await tx.executeRaw(query('INSERT 1'))
  assert.equal((await causeOf(tx.executeRaw(query('INSERT 2')))).kind, 'TransactionAlreadyClosed')
})

test('a transaction that others overtook may be tried again: P2034', async () => {
  for (const code of ['SQLITE_BUSY', 'SQLITE_BUSY_SNAPSHOT']) {
    const { sent, fetch } = server(works(), failsWith({ code: 'SQLITE_BUSY', extended_code: code, message: 'database is locked' }))
    const { adapter } = await connected(fetch)
    const tx = await adapter.startTransaction()
    await tx.executeRaw(query('INSERT 1'))
    const error = await tx.commit().catch((thrown) => thrown)
    assert.equal(error.cause.kind, 'TransactionWriteConflict')
    // Prisma passes it on as it is.
    assert.equal(error.code, 'P2034')
    assert.match(error.message, /retry your transaction \(database is locked\)/)
    assert.equal(sent[1].body.requests[1].type, 'close')
  }
})

test('what a commit meets has a code of Prisma’s', async () => {
  const deferred = { code: 'SQLITE_CONSTRAINT', extended_code: 'SQLITE_CONSTRAINT_FOREIGNKEY', message: 'FOREIGN KEY constraint failed' }
  for (const [answer, code] of [
    [failsWith(deferred), 'P2003'],
    [failsWith({ code: 'SQLITE_FULL', message: 'database or disk is full' }), undefined],
    [() => json({ message: 'expired' }, { status: 410 }), 'P1018'],
    [() => json({ message: 'busy' }, { status: 503 }), 'P2037'],
    [() => Promise.reject(new TypeError('fetch failed')), 'P1001'],
  ]) {
    const { fetch } = server(works(), answer)
    const { adapter } = await connected(fetch)
    const tx = await adapter.startTransaction()
    await tx.executeRaw(query('INSERT 1'))
    const error = await tx.commit().catch((thrown) => thrown)
    assert.equal(error.name, 'DriverAdapterError')
    assert.equal(error.code, code)
  }
})

test('a stream that is lost ends the transaction, and rollback is quiet about it', async () => {
  for (const answer of [
    () => json({ message: 'The stream has expired', code: 'STREAM_EXPIRED' }, { status: 400 }),
    () => json({ message: 'not found' }, { status: 404 }),
  ]) {
    const { sent, fetch } = server(works(), answer)
    const { adapter } = await connected(fetch)
    const tx = await adapter.startTransaction()
    await tx.executeRaw(query('INSERT 1'))
    assert.equal((await causeOf(tx.executeRaw(query('INSERT 2')))).kind, 'TransactionAlreadyClosed')
    await tx.rollback()
    assert.equal((await causeOf(tx.commit())).kind, 'TransactionAlreadyClosed')
    assert.equal(sent.length, 2)
  }
})

test('refusals by their status', async () => {
  const cases = [
    [401, { message: 'no token' }, 'AuthenticationFailed'],
    [403, { message: 'no right' }, 'DatabaseAccessDenied'],
    [404, { errors: [{ message: 'nothing here' }] }, 'DatabaseDoesNotExist'],
    [503, { errors: [{ message: 'busy' }] }, 'TooManyConnections'],
    [504, { message: 'Endpoint request timed out' }, 'SocketTimeout'],
    [500, { message: 'oh' }, 'sqlite'],
    [200, { unrelated: true }, 'sqlite'],
  ]
  for (const [status, body, kind] of cases) {
    const { fetch } = server(() => json(body, { status }))
    const { adapter } = await connected(fetch)
    assert.equal((await causeOf(adapter.executeRaw(query('SELECT 1')))).kind, kind)
  }
  const { fetch } = server(() => new Response('<html>Bad gateway</html>', { status: 502 }))
  const { adapter } = await connected(fetch)
  assert.match((await causeOf(adapter.executeRaw(query('SELECT 1')))).message, /502: <html>Bad gateway/)
})

test('no answer', async () => {
  const { fetch } = server(() => Promise.reject(new TypeError('fetch failed', { cause: new Error('ECONNREFUSED') })))
  const { adapter } = await connected(fetch)
  const cause = await causeOf(adapter.executeRaw(query('SELECT 1')))
  assert.deepEqual([cause.kind, cause.host, cause.port], ['DatabaseNotReachable', 'db.example.com', 80])
  assert.match(cause.originalMessage, /ECONNREFUSED/)

  const never = server((_, { signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))))
  const slow = await connected(never.fetch, { timeout: 5 })
  // The signal's timer alone would not keep the process.
  const alive = setTimeout(() => {}, 10_000)
  assert.equal((await causeOf(slow.adapter.executeRaw(query('SELECT 1')))).kind, 'SocketTimeout')
  clearTimeout(alive)
})

test('what got no answer is sent again, with the same key', async () => {
  const lost = () => Promise.reject(new TypeError('fetch failed'))
  const busy = () => json({ message: 'busy' }, { status: 503, headers: { 'retry-after': '0' } })
  const { sent, fetch } = server(lost, busy, works({ ...EMPTY, affected_row_count: 1 }))
  const { adapter } = await connected(fetch, { retries: 2 })
  assert.equal(await adapter.executeRaw(query('INSERT 1')), 1)
  await adapter.executeRaw(query('INSERT 2'))
  const keys = sent.map(({ headers }) => headers['idempotency-key'])
  assert.match(keys[0], /^[0-9a-f-]{36}$/)
  assert.deepEqual(keys.slice(1, 3), [keys[0], keys[0]])
  assert.notEqual(keys[3], keys[0])
})

test('a commit that got no answer is sent again with its baton', async () => {
  const { sent, fetch } = server(works(), () => Promise.reject(new TypeError('fetch failed')), works())
  const { adapter } = await connected(fetch, { retries: 1 })
  const tx = await adapter.startTransaction()
  await tx.executeRaw(query('INSERT 1'))
  await tx.commit()
  assert.deepEqual(sent.map(({ body }) => body.baton), [null, 'b1', 'b1'])
  assert.deepEqual(sent[1].body, sent[2].body)
})

test('nothing is sent again that was refused, or more often than wanted', async () => {
  for (const [status, retries, times] of [[400, 3, 1], [401, 3, 1], [500, 3, 1], [503, 1, 2], [503, 0, 1], [504, undefined, 1]]) {
    const { sent, fetch } = server(() => json({ message: 'no' }, { status }))
    const { adapter } = await connected(fetch, { retries })
    await causeOf(adapter.executeRaw(query('INSERT 1')))
    assert.equal(sent.length, times)
    assert.equal('idempotency-key' in sent[0].headers, (retries ?? 0) > 0)
  }
})

test('credentials and headers', async () => {
  const { sent, fetch } = server(works())
  const tokens = ['one', 'two']
  const { adapter } = await connected(fetch, {
    authToken: async () => tokens.shift(),
    apiKey: 'key',
    headers: { 'x-lamdb-consistency': 'strong' },
  })
  await adapter.executeRaw(query('SELECT 1'))
  await adapter.executeRaw(query('SELECT 1'))
  assert.deepEqual(sent.map(({ headers }) => headers.authorization), ['Bearer one', 'Bearer two'])
  assert.equal(sent[0].headers['x-api-key'], 'key')
  assert.equal(sent[0].headers['x-lamdb-consistency'], 'strong')
})

test('the newest transaction seen is sent along, in every connection of the factory', async () => {
  const answers = ['17', '12', 'x', '18'].map((txid) => works(EMPTY, { 'x-lamdb-txid': txid }))
  const { sent, fetch } = server(...answers)
  const { factory, adapter } = await connected(fetch, { txid: '9' })
  for (let n = 0; n < 3; n++) await adapter.executeRaw(query('SELECT 1'))
  await (await factory.connect()).executeRaw(query('SELECT 1'))
  assert.deepEqual(sent.map(({ headers }) => headers['x-lamdb-txid']), ['9', '17', '17', '17'])
  assert.equal(factory.txid, '18')
})

test('a stream follows its server', async () => {
  const first = works()
  const moved = async (body) => json({ ...(await first(body).json()), base_url: 'https://other.example.com/x' })
  const { sent, fetch } = server(moved, works())
  const { adapter } = await connected(fetch)
  const tx = await adapter.startTransaction()
  await tx.executeRaw(query('INSERT 1'))
  await tx.commit()
  await adapter.executeRaw(query('SELECT 1'))
  assert.deepEqual(sent.map(({ url }) => url), [
    'http://db.example.com/prod/v3/pipeline',
    'https://other.example.com/x/v3/pipeline',
    'http://db.example.com/prod/v3/pipeline',
  ])
})
