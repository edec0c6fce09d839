// Answers commands, one JSON object a line, until its input ends. Usage: node session.mjs
//
// { "schema": "<Prisma schema>" }       a new client, without a database       → null
// { "database": "<SQLite file>" }       the client works on this file from now → null
// { "requests": [{…}, …] }              runs them in order                     → [{ "data" } | { "error" }, …]
import readline from 'node:readline'

import { safeJsonStringify } from '@prisma/client-engine-runtime'

import { Client } from './client.mjs'

let client

async function obey({ schema, database, requests }) {
  if (schema !== undefined) {
    await client?.close()
    client = new Client(schema)
  }
  if (database !== undefined) await client.open(database)
  if (requests === undefined) return null
  const answers = []
  for (const request of requests) answers.push(await client.answer(request))
  return answers
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  process.stdout.write(safeJsonStringify(await obey(JSON.parse(line))) + '\n')
}
