/** Errors of the protocol as Prisma's driver adapters have them, from which Prisma makes its codes. */

import { DriverAdapterError } from '@prisma/driver-adapter-utils'

const UNIQUE = ['SQLITE_CONSTRAINT_UNIQUE', 'SQLITE_CONSTRAINT_PRIMARYKEY', 'SQLITE_CONSTRAINT_ROWID']
const FOREIGN_KEY = ['SQLITE_CONSTRAINT_FOREIGNKEY', 'SQLITE_CONSTRAINT_TRIGGER']

/** Numbers of SQLite's primary result codes, as far as statements meet them. */
const NUMBERS = {
  SQLITE_ERROR: 1,
  SQLITE_PERM: 3,
  SQLITE_BUSY: 5,
  SQLITE_READONLY: 8,
  SQLITE_INTERRUPT: 9,
  SQLITE_FULL: 13,
  SQLITE_TOOBIG: 18,
  SQLITE_CONSTRAINT: 19,
  SQLITE_MISMATCH: 20,
  SQLITE_AUTH: 23,
}

/** Return the error to throw for one in an answer: `{message, code, extended_code}`. */
export function driverError(error, { inTransaction }) {
  const message = error.message.replace(/^SQLite (input )?error: /, '')
  const code = error.extended_code ?? error.code ?? 'SQLITE_ERROR'
  const kind = kindOf(message, code, inTransaction)
  return new DriverAdapterError({ originalCode: code, originalMessage: message, ...kind })
}

export function closedTransaction(cause) {
  return new DriverAdapterError({ kind: 'TransactionAlreadyClosed', cause, originalMessage: cause })
}

/** Prisma's codes and words for what can happen at a COMMIT. */
const AT_COMMIT = {
  TransactionWriteConflict: [
    'P2034',
    'Transaction failed due to a write conflict or a deadlock. Please retry your transaction',
  ],
  ForeignKeyConstraintViolation: ['P2003', 'Foreign key constraint violated on the foreign key'],
  UniqueConstraintViolation: ['P2002', 'Unique constraint failed'],
  TransactionAlreadyClosed: ['P1018', 'The transaction is closed already'],
  SocketTimeout: ['P1008', 'Operation has timed out'],
  DatabaseNotReachable: ['P1001', "Can't reach database server"],
  TooManyConnections: ['P2037', 'The database server has too much to do'],
}

/** Prisma passes errors of a COMMIT on as they are. So they get the code here that those of statements get there. */
export function atCommit(error) {
  const [code, message] = AT_COMMIT[error?.cause?.kind] ?? []
  if (code === undefined) return error
  error.message = `${message} (${error.cause.originalMessage})`
  return Object.assign(error, { code, meta: { driverAdapterError: error.cause } })
}

function kindOf(message, code, inTransaction) {
  if (UNIQUE.includes(code) || message.startsWith('UNIQUE constraint failed')) {
    return { kind: 'UniqueConstraintViolation', ...constraintOf(message) }
  }
  if (code === 'SQLITE_CONSTRAINT_NOTNULL' || message.startsWith('NOT NULL constraint failed')) {
    return { kind: 'NullConstraintViolation', constraint: constraintOf(message).constraint }
  }
  if (FOREIGN_KEY.includes(code) || message.startsWith('FOREIGN KEY constraint failed')) {
    return { kind: 'ForeignKeyConstraintViolation', constraint: { foreignKey: {} } }
  }
  if (code.startsWith('SQLITE_BUSY')) {
    // A transaction that others overtook may be tried again as a whole, which is what Prisma says of P2034.
    return { kind: inTransaction ? 'TransactionWriteConflict' : 'SocketTimeout' }
  }
  if (/^cannot (commit|rollback) - no transaction is active/.test(message)) {
    return { kind: 'TransactionAlreadyClosed', cause: message }
  }
  return missingOf(message) ?? { kind: 'sqlite', extendedCode: numberOf(code), message }
}

/** `UNIQUE constraint failed: User.email, User.name` names columns; of an expression's index, the index. */
function constraintOf(message) {
  const named = message.split('constraint failed: ')[1]
  if (named === undefined) return {}
  const index = /^index '(.*)'$/.exec(named)
  if (index) return { constraint: { index: index[1] } }
  const columns = named.split(', ')
  const dot = columns[0].lastIndexOf('.')
  return {
    constraint: { fields: columns.map((column) => column.slice(column.lastIndexOf('.') + 1)) },
    table: dot > 0 ? columns[0].slice(0, dot) : undefined,
  }
}

function missingOf(message) {
  const table = /^no such table: (.*)$/.exec(message)
  if (table) return { kind: 'TableDoesNotExist', table: table[1] }
  const column = /^no such column: (.*)$/.exec(message) ?? /has no column named (.*)$/.exec(message)
  return column ? { kind: 'ColumnNotFound', column: column[1] } : undefined
}

function numberOf(code) {
  const name = Object.keys(NUMBERS).find((each) => code === each || code.startsWith(`${each}_`))
  return name ? NUMBERS[name] : NUMBERS.SQLITE_ERROR
}
