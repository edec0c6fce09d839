/** Transactions that ORMs leave open: `node expiry.mjs URL CLIENT`; CLIENT is a generated Prisma Client. */

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'

import { PrismaLamdb } from '@lamdb/prisma-adapter'
import { createClient } from '@libsql/client'
import { drizzle } from 'drizzle-orm/libsql'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'

import { fails, run } from './checks.mjs'

const [url, client] = process.argv.slice(2)
const { PrismaClient } = (await import(pathToFileURL(client).href)).default
const prisma = new PrismaClient({ adapter: new PrismaLamdb({ url }) })
const db = drizzle(createClient({ url }))
const authors = sqliteTable('Author', { id: integer('id').primaryKey(), email: text('email').notNull() })

const orms = {
  drizzle: {
    transaction: (work) => db.transaction(work),
    insert: (tx, email) => tx.insert(authors).values({ email }),
    read: (tx) => tx.select().from(authors),
  },
  prisma: {
    transaction: (work) => prisma.$transaction(work, { timeout: 120_000, maxWait: 60_000 }),
    insert: (tx, email) => tx.author.create({ data: { email } }),
    read: (tx) => tx.author.findMany(),
  },
}
/** Another writer of another kind. */
const beside = { drizzle: (email) => orms.prisma.insert(prisma, email), prisma: (email) => orms.drizzle.insert(db, email) }
const emails = async () => (await orms.drizzle.read(db)).map((author) => author.email)

function checksOf(name) {
  const orm = orms[name]
  return {
    async [`${name}: idle`]() {
      await fails(orm.transaction(async (tx) => {
        await orm.insert(tx, `${name} idle`)
        // This waits for the writer, which is free once the server has ended the transaction.
        await beside[name](`${name} beside`)
        await orm.insert(tx, `${name} late`)
      }), 'LAMDB_SQL_IDLE_SECONDS')
      const found = await emails()
      assert.ok(found.includes(`${name} beside`))
      assert.ok(!found.includes(`${name} idle`) && !found.includes(`${name} late`))
    },

    async [`${name}: endless`]() {
      let other
      await fails(orm.transaction(async (tx) => {
        await orm.insert(tx, `${name} endless`)
        other = beside[name](`${name} patient`)
        for (let turn = 0; turn < 2000; turn++) {
          await orm.read(tx)
          await sleep(20)
        }
      }), 'LAMDB_SQL_TRANSACTION_SECONDS')
      await other
      const found = await emails()
      assert.ok(found.includes(`${name} patient`) && !found.includes(`${name} endless`))
    },

    async [`${name}: goes on`]() {
      await orm.transaction((tx) => orm.insert(tx, `${name} after`))
      assert.ok((await emails()).includes(`${name} after`))
    },
  }
}

await run({ ...checksOf('drizzle'), ...checksOf('prisma') })
