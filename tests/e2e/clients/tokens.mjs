/** Clients with a token, and without: `node tokens.mjs URL TOKEN`. */

import assert from 'node:assert/strict'

import { PrismaLamdb } from '@lamdb/prisma-adapter'
import { createClient } from '@libsql/client'
import Dialect from '@libsql/knex-libsql'
import { LibsqlDialect as OldDialect } from '@libsql/kysely-libsql'
import { connect } from '@tursodatabase/serverless'
import { createClient as createCompat } from '@tursodatabase/serverless/compat'
import knexOf from 'knex'
import { Kysely, sql } from 'kysely'
import { LibsqlDialect } from 'kysely-libsql'

import { fails, run } from './checks.mjs'

const [url, authToken] = process.argv.slice(2)
const select = 'SELECT count(*) AS n FROM Book'
const query = { sql: select, args: [], argTypes: [] }
const kysely = async (dialect) => (await sql`SELECT count(*) AS n FROM Book`.execute(new Kysely({ dialect }))).rows

const asked = {
  libsql: async (token) => (await createClient({ url, ...token }).execute(select)).rows,
  prisma: async (token) => (await (await new PrismaLamdb({ url, ...token }).connect()).queryRaw(query)).rows,
  kysely: (token) => kysely(new LibsqlDialect({ url, ...token })),
  oldKysely: (token) => kysely(new OldDialect({ url, ...token })),
  serverless: async (token) => [await (await connect({ url, ...token }).prepare(select)).get()],
  compat: async (token) => (await createCompat({ url, ...token }).execute(select)).rows,
  knex: (token) => {
    const filename = token ? `${url}?authToken=${token.authToken}` : url
    return knexOf({ client: Dialect, connection: { filename }, useNullAsDefault: true }).raw(select)
  },
}

const checks = Object.fromEntries(
  Object.entries(asked).map(([name, ask]) => [
    name,
    async () => {
      assert.equal((await ask({ authToken })).length, 1)
      await fails(ask(), '')
      await fails(ask({ authToken: `${authToken}x` }), '')
    },
  ])
)
await run(checks)
