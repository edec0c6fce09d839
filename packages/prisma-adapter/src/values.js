/** Values: Prisma's arguments as the protocol has them, and the protocol's values as Prisma reads them. */

import { ColumnTypeEnum, DriverAdapterError } from '@prisma/driver-adapter-utils'

const DECLARED = new Map([
  ['DECIMAL', ColumnTypeEnum.Numeric],
  ['FLOAT', ColumnTypeEnum.Float],
  ...each(['DOUBLE', 'DOUBLE PRECISION', 'NUMERIC', 'REAL'], ColumnTypeEnum.Double),
  ...each(['TINYINT', 'SMALLINT', 'MEDIUMINT', 'INT', 'INTEGER', 'SERIAL', 'INT2'], ColumnTypeEnum.Int32),
  ...each(['BIGINT', 'UNSIGNED BIG INT', 'INT8'], ColumnTypeEnum.Int64),
  ...each(['DATETIME', 'TIMESTAMP'], ColumnTypeEnum.DateTime),
  ['TIME', ColumnTypeEnum.Time],
  ['DATE', ColumnTypeEnum.Date],
  ...each(['TEXT', 'CLOB', 'CHARACTER', 'VARCHAR', 'VARYING CHARACTER'], ColumnTypeEnum.Text),
  ...each(['NCHAR', 'NATIVE CHARACTER', 'NVARCHAR'], ColumnTypeEnum.Text),
  ['BLOB', ColumnTypeEnum.Bytes],
  ['BOOLEAN', ColumnTypeEnum.Boolean],
  ['JSONB', ColumnTypeEnum.Json],
])

/** Types of columns that declare none, such as `COUNT(*)`, by the first value that is not null. */
const INFERRED = {
  integer: ColumnTypeEnum.Int64,
  float: ColumnTypeEnum.Double,
  text: ColumnTypeEnum.Text,
  blob: ColumnTypeEnum.Bytes,
}

const NULL = { type: 'null' }

function each(names, type) {
  return names.map((name) => [name, type])
}

export function columnTypesOf(columns, rows) {
  return columns.map((column, index) => {
    const declared = DECLARED.get((column.decltype ?? '').toUpperCase().replace(/\s*\(.*\)$/, ''))
    if (declared !== undefined) return declared
    const found = rows.find((row) => row[index].type !== 'null')
    return found ? INFERRED[found[index].type] : ColumnTypeEnum.Int32
  })
}

/** A value of an answer. Integers beyond 2^53 stay text, which Prisma reads without loss. */
export function fromHrana(value, columnType) {
  switch (value.type) {
    case 'null':
      return null
    case 'integer': {
      const number = Number(value.value)
      if (columnType === ColumnTypeEnum.DateTime) return new Date(number).toISOString()
      return Number.isSafeInteger(number) && columnType !== ColumnTypeEnum.Int64 ? number : value.value
    }
    case 'float':
      if (columnType === ColumnTypeEnum.DateTime) return new Date(value.value).toISOString()
      return columnType === ColumnTypeEnum.Int32 || columnType === ColumnTypeEnum.Int64
        ? Math.trunc(value.value)
        : value.value
    case 'text':
      return columnType === ColumnTypeEnum.DateTime ? inUtc(value.value) : value.value
    case 'blob':
      return new Uint8Array(Buffer.from(value.base64, 'base64'))
    default:
      throw new DriverAdapterError({ kind: 'UnsupportedNativeDataType', type: value.type })
  }
}

/** `2020-01-01 00:00:00 +00:00`, `2020-01-01T00:00:00.000Z` and what lies between, as SQLite and Prisma write it. */
const MOMENT = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d)(:\d\d(?:\.\d+)?)? ?(Z|[+-]\d\d:\d\d)?$/

/** SQLite's own `CURRENT_TIMESTAMP` is UTC but does not say so, and JavaScript would take it for local time. */
function inUtc(text) {
  const found = MOMENT.exec(text)
  if (!found) return text
  const [, day, minutes, seconds = ':00', offset = 'Z'] = found
  return `${day}T${minutes}${seconds}${offset}`
}

/** An argument of Prisma's, which may come as text whatever its type. */
export function toHrana(value, argType) {
  const scalar = argType?.scalarType ?? 'unknown'
  if (value === null || value === undefined) return NULL
  if (value instanceof Date) return { type: 'text', value: stored(value) }
  if (ArrayBuffer.isView(value)) return blob(Buffer.from(value.buffer, value.byteOffset, value.byteLength))
  if (value instanceof ArrayBuffer) return blob(Buffer.from(value))
  switch (typeof value) {
    case 'boolean':
      return { type: 'integer', value: value ? '1' : '0' }
    case 'bigint':
      return integer(value)
    case 'number':
      if (scalar === 'float' || scalar === 'decimal' || !Number.isSafeInteger(value)) return real(value)
      return integer(BigInt(value))
    case 'string':
      return ofText(value, scalar)
    default:
      return { type: 'text', value: JSON.stringify(value) }
  }
}

function ofText(value, scalar) {
  switch (scalar) {
    case 'int':
    case 'bigint':
      return integer(BigInt(value))
    case 'float':
    case 'decimal':
      return real(Number(value))
    case 'datetime':
      return { type: 'text', value: stored(new Date(value)) }
    case 'bytes':
      return { type: 'blob', base64: value }
    default:
      return { type: 'text', value }
  }
}

/** Prisma's storage form of a date and time in SQLite. */
function stored(date) {
  return date.toISOString().replace('Z', '+00:00')
}

function blob(bytes) {
  return { type: 'blob', base64: bytes.toString('base64') }
}

function integer(value) {
  if (BigInt.asIntN(64, value) !== value) {
    throw new DriverAdapterError({
      kind: 'ValueOutOfRange',
      cause: `${value} does not fit into a 64 bit signed integer.`,
    })
  }
  return { type: 'integer', value: value.toString() }
}

function real(value) {
  if (!Number.isFinite(value)) {
    throw new DriverAdapterError({ kind: 'ValueOutOfRange', cause: `${value} is no number that JSON has.` })
  }
  return { type: 'float', value }
}
