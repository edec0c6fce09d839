/** Kysely over SQL over HTTP: `node kysely.mjs URL PACKAGE`, the dialect's: kysely-libsql or @libsql/kysely-libsql. */

import assert from 'node:assert/strict'

import { Kysely, sql } from 'kysely'

import { BIG, BYTES, fails, ROWS, run } from './checks.mjs'

const [url, dialect] = process.argv.slice(2)
const { LibsqlDialect } = await import(dialect)
const db = new Kysely({ dialect: new LibsqlDialect({ url }) })
const name = dialect.startsWith('@') ? 'kysely_old' : 'kysely_new'
const [authors, books] = [`${name}_author`, `${name}_book`]
const count = async () => Number((await db.selectFrom(books).select(db.fn.countAll().as('n')).executeTakeFirst()).n)

await run({
  async tables() {
    await db.schema.dropTable(books).ifExists().execute()
    await db.schema.dropTable(authors).ifExists().execute()
    await db.schema.createTable(authors)
      .addColumn('id', 'integer', (column) => column.primaryKey())
      .addColumn('email', 'text', (column) => column.notNull().unique())
      .execute()
    await db.schema.createTable(books)
      .addColumn('id', 'integer', (column) => column.primaryKey())
      .addColumn('title', 'text', (column) => column.notNull())
      .addColumn('pages', sql`bigint`)
      .addColumn('cover', 'blob')
      .addColumn('author', 'integer', (column) => column.notNull().references(`${authors}.id`))
      .execute()
  },

  async crud() {
    const author = await db.insertInto(authors).values({ email: 'ada@example.com' }).returning('id').executeTakeFirst()
    await db.insertInto(books).values([{ title: 'A', author: author.id }, { title: 'B', author: author.id }]).execute()
    await db.updateTable(books).set({ title: 'C' }).where('title', '=', 'B').execute()
    const found = await db.selectFrom(books).innerJoin(authors, `${authors}.id`, `${books}.author`)
      .select(['title', 'email']).orderBy('title').execute()
    assert.deepEqual(found.map((row) => ({ ...row })), [
      { title: 'A', email: 'ada@example.com' },
      { title: 'C', email: 'ada@example.com' },
    ])
    await db.deleteFrom(books).where('title', '=', 'C').execute()
    assert.equal(await count(), 1)
  },

  async transaction() {
    await db.transaction().execute(async (tx) => {
      await tx.insertInto(authors).values({ id: 50, email: 'b@example.com' }).execute()
      await tx.insertInto(books).values({ title: 'D', author: 50 }).execute()
    })
    assert.equal(await count(), 2)
  },

  async rollback() {
    const failing = db.transaction().execute(async (tx) => {
      await tx.deleteFrom(books).execute()
      throw new Error('no, after all')
    })
    await fails(failing, 'no, after all')
    assert.equal(await count(), 2)
  },

  async unique() {
    await fails(db.insertInto(authors).values({ email: 'b@example.com' }).execute(), 'UNIQUE constraint failed')
  },

  async foreignKey() {
    await fails(db.insertInto(books).values({ title: 'E', author: 99 }).execute(), 'FOREIGN KEY constraint failed')
  },

  async values() {
    await db.insertInto(books).values({ id: 70, title: 'F', author: 50, pages: BIG, cover: BYTES }).execute()
    // The dialects have no intMode: a number beyond 2^53 is asked for as text.
    const read = (id) => db.selectFrom(books).select(['cover', sql`CAST(pages AS TEXT)`.as('pages')])
      .where('id', '=', id).executeTakeFirst()
    const full = await read(70)
    assert.equal(BigInt(full.pages), BIG)
    assert.deepEqual([...new Uint8Array(full.cover)], [...BYTES])
    assert.deepEqual({ ...(await read(1)) }, { cover: null, pages: null })
  },

  async rows() {
    const rows = Array.from({ length: ROWS }, (_, index) => ({ title: `Row ${index}`, author: 50 }))
    await db.insertInto(books).values(rows).execute()
    const found = await db.selectFrom(books).selectAll().where('title', 'like', 'Row %').orderBy('id').execute()
    assert.equal(found.length, ROWS)
    assert.equal(found.at(-1).title, `Row ${ROWS - 1}`)
    await db.schema.dropTable(books).execute()
    await db.schema.dropTable(authors).execute()
  },
})
