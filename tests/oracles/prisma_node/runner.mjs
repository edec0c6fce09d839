// Runs files of requests in Prisma's JSON protocol. Usage: node runner.mjs jobs.json answers.json
//
// jobs.json:    [{ "schema": "<Prisma schema>", "database": "<SQLite file>", "requests": [{…}, …] }, …]
// answers.json: [[{ "data": … } | { "error": { "code", "message", "meta", "cause" } }, …], …]
import fs from 'node:fs'

import { safeJsonStringify } from '@prisma/client-engine-runtime'

import { Client } from './client.mjs'

async function runJob({ schema, database, requests }) {
  const client = new Client(schema)
  await client.open(database)
  const answers = []
  for (const request of requests) answers.push(await client.answer(request))
  await client.close()
  return answers
}

const [jobsFile, answersFile] = process.argv.slice(2)
const answers = []
for (const job of JSON.parse(fs.readFileSync(jobsFile, 'utf8'))) answers.push(await runJob(job))
fs.writeFileSync(answersFile, safeJsonStringify(answers))
