// Times requests in Prisma's JSON protocol, as Prisma Client runs them on better-sqlite3, until its input ends.
//
// { "schema": "<Prisma schema>", "database": "<SQLite file>" }   opens a client                  → null
// { "request": {…}, "seconds": 0.5 }                             repeats it for about so long    → { answer, milliseconds }
import readline from 'node:readline'

import { safeJsonStringify } from '@prisma/client-engine-runtime'

import { Client } from './client.mjs'

const BATCHES = 5
const LONG = 1000 // milliseconds, after which one run must do

let client

async function measure(request, seconds) {
  const began = process.hrtime.bigint()
  const answer = await client.answer(request)
  if (answer.error) return { answer }
  const first = Number(process.hrtime.bigint() - began) / 1e6
  if (first > LONG) return { answer, milliseconds: first }
  const timed = async (times) => {
    const start = process.hrtime.bigint()
    for (let i = 0; i < times; i++) JSON.stringify(await client.run(request))
    return Number(process.hrtime.bigint() - start) / 1e6 / times
  }
  let least = await timed(1)
  const times = Math.max(1, Math.floor((seconds * 1000) / BATCHES / least))
  const batches = least * 2 > seconds * 1000 ? 1 : BATCHES
  for (let i = 0; i < batches; i++) least = Math.min(least, await timed(times))
  return { answer, milliseconds: least }
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { schema, database, request, seconds } = JSON.parse(line)
  let result = null
  if (schema !== undefined) {
    client = new Client(schema)
    await client.open(database)
  } else result = await measure(request, seconds)
  process.stdout.write(safeJsonStringify(result) + '\n')
}
