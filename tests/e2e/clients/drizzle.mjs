/** Drizzle over SQL over HTTP: `node drizzle.mjs URL`. Its tables are there: drizzle-kit made them. */

import assert from 'node:assert/strict'

import { createClient } from '@libsql/client'
import { asc, count, eq, relations, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/libsql'

import { BIG, BYTES, fails, randomTexts, ROWS, run } from './checks.mjs'
import { authors, books } from './drizzle.schema.mjs'

const authorsRelations = relations(authors, ({ many }) => ({ books: many(books) }))
const booksRelations = relations(books, ({ one }) => ({
  author: one(authors, { fields: [books.authorId], references: [authors.id] }),
}))
const client = createClient({ url: process.argv[2] })
const db = drizzle(client, { schema: { authors, books, authorsRelations, booksRelations } })

await run({
  async crud() {
    await db.delete(books)
    await db.delete(authors)
    const [author] = await db.insert(authors).values({ email: 'ada@example.com' }).returning()
    await db.insert(books).values([{ title: 'Notes', authorId: author.id }, { title: 'Letters', authorId: author.id }])
    const found = await db.query.authors.findFirst({ with: { books: { orderBy: asc(books.title) } } })
    assert.deepEqual(found.books.map((book) => book.title), ['Letters', 'Notes'])
    await db.update(books).set({ title: 'Notes on the Engine' }).where(eq(books.title, 'Notes'))
    const joined = await db.select({ title: books.title, email: authors.email }).from(books)
      .innerJoin(authors, eq(books.authorId, authors.id)).orderBy(asc(books.id))
    assert.deepEqual(joined[0], { title: 'Notes on the Engine', email: 'ada@example.com' })
    await db.delete(books)
    assert.equal(await db.$count(books), 0)
  },

  async transaction() {
    await db.transaction(async (tx) => {
      const [author] = await tx.insert(authors).values({ email: 'b@example.com' }).returning({ id: authors.id })
      await tx.insert(books).values({ title: 'One', authorId: author.id })
    })
    assert.equal(await db.$count(books), 1)
    const [, [{ n }]] = await db.batch([
      db.insert(authors).values({ email: 'c@example.com' }),
      db.select({ n: count() }).from(authors),
    ])
    assert.equal(n, 3)
  },

  async largeTransaction() {
    const before = await db.$count(authors)
    const texts = randomTexts(ROWS)
    await db.transaction(async (tx) => {
      for (let at = 0; at < ROWS; at += 1000) {
        await tx.insert(authors).values(texts.slice(at, at + 1000).map((email) => ({ email })))
      }
      assert.equal(await tx.$count(authors), before + ROWS)
    })
    assert.equal(await db.$count(authors), before + ROWS)
    await db.delete(authors).where(sql`length(email) = 1000`)
    assert.equal(await db.$count(authors), before)
  },

  async rollback() {
    const failing = db.transaction(async (tx) => {
      await tx.delete(books)
      tx.rollback()
    })
    await fails(failing, 'Rollback')
    assert.equal(await db.$count(books), 1)
  },

  async unique() {
    await fails(db.insert(authors).values({ email: 'b@example.com' }), 'SQLITE_CONSTRAINT', '_author.email')
  },

  async foreignKey() {
    await fails(db.insert(books).values({ title: 'x', authorId: 99_999 }), 'FOREIGN KEY constraint failed')
  },

  async values() {
    const { id: authorId } = await db.query.authors.findFirst()
    const printed = new Date('2001-02-03T04:05:06.789Z')
    const cover = Buffer.from(BYTES)
    const [book] = await db.insert(books).values({ title: 'Full', pages: BIG, cover, printed, authorId }).returning()
    const found = await db.query.books.findFirst({ where: eq(books.id, book.id) })
    assert.equal(found.pages, BIG)
    assert.deepEqual([...found.cover], [...BYTES])
    assert.equal(found.printed.getTime(), printed.getTime())
    const empty = await db.query.books.findFirst({ where: eq(books.title, 'One') })
    assert.deepEqual([empty.pages, empty.cover, empty.printed], [null, null, null])
  },

  async rows() {
    const { id: authorId } = await db.query.authors.findFirst()
    await db.run(sql`INSERT INTO ${books} (title, author_id)
      WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${ROWS - 1})
      SELECT 'Row ' || i, ${authorId} FROM n`)
    const found = await db.select().from(books).where(sql`${books.title} LIKE 'Row %'`).orderBy(asc(books.id))
    assert.equal(found.length, ROWS)
    assert.equal(found.at(-1).title, `Row ${ROWS - 1}`)
    await db.delete(books)
    // From the client, in one transaction of many requests.
    await db.transaction(async (tx) => {
      for (let first = 0; first < ROWS; first += 1000) {
        const rows = Array.from({ length: 1000 }, (_, index) => ({ title: `Book ${first + index}`, authorId }))
        await tx.insert(books).values(rows)
      }
    })
    assert.equal(await db.$count(books), ROWS)
    await db.delete(books)
    await db.delete(authors)
  },
})
