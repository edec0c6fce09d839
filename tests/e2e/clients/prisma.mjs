/** Prisma Client over SQL over HTTP: `node prisma.mjs URL CLIENT libsql|lamdb`; CLIENT is a generated client. */

import assert from 'node:assert/strict'
import { pathToFileURL } from 'node:url'

import { BIG, BYTES, fails, ROWS, run } from './checks.mjs'

const [url, client, adapterName] = process.argv.slice(2)
const isOurs = adapterName === 'lamdb'
const { PrismaClient, Prisma } = (await import(pathToFileURL(client).href)).default

async function adapter() {
  if (isOurs) return new (await import('@lamdb/prisma-adapter')).PrismaLamdb({ url })
  return new (await import('@prisma/adapter-libsql')).PrismaLibSql({ url, intMode: 'bigint' })
}
const prisma = new PrismaClient({ adapter: await adapter() })
/** Over libSQL's own adapter the codes of constraints are lost on the way. */
const code = (ours) => (isOurs ? ours : 'P2039')

async function clean() {
  await prisma.book.deleteMany()
  await prisma.author.deleteMany()
}

const checks = {
  async crud() {
    await clean()
    const author = await prisma.author.create({
      data: { email: 'ada@example.com', books: { create: [{ title: 'Notes' }, { title: 'Letters' }] } },
      include: { books: { orderBy: { title: 'asc' } } },
    })
    assert.deepEqual(author.books.map((book) => book.title), ['Letters', 'Notes'])
    await prisma.book.update({ where: { id: author.books[0].id }, data: { sold: true } })
    assert.equal(await prisma.book.count({ where: { sold: true } }), 1)
    const upserted = await prisma.author.upsert({
      where: { email: 'ada@example.com' },
      create: { email: 'ada@example.com' },
      update: { email: 'countess@example.com' },
    })
    assert.equal(upserted.id, author.id)
    await prisma.book.deleteMany()
    assert.deepEqual(await prisma.book.findMany(), [])
  },

  async transaction() {
    await clean()
    await prisma.$transaction(async (tx) => {
      const author = await tx.author.create({ data: { email: 'a@example.com' } })
      await tx.book.create({ data: { title: 'One', authorId: author.id } })
      assert.equal(await tx.book.count(), 1)
    })
    const [count] = await prisma.$transaction([prisma.book.count(), prisma.book.deleteMany()])
    assert.equal(count, 1)
    assert.equal(await prisma.author.count(), 1)
  },

  async rollback() {
    await clean()
    const failing = prisma.$transaction(async (tx) => {
      await tx.author.create({ data: { email: 'b@example.com' } })
      throw new Error('no, after all')
    })
    await fails(failing, 'no, after all')
    assert.equal(await prisma.author.count(), 0)
  },

  async unique() {
    await clean()
    await prisma.author.create({ data: { email: 'c@example.com' } })
    const again = prisma.author.create({ data: { email: 'c@example.com' } })
    const error = await fails(again, code('P2002'))
    if (isOurs) assert.match(error.message, /fields: \(`email`\)/)
  },

  async foreignKey() {
    await clean()
    await fails(prisma.book.create({ data: { title: 'Nobody’s', authorId: 99 } }), code('P2003'))
  },

  async values() {
    await clean()
    const author = await prisma.author.create({ data: { email: 'd@example.com' } })
    const printed = new Date('1843-09-05T12:34:56.789Z')
    const data = { authorId: author.id, title: 'Ünïcode 🦆', pages: BIG, cover: BYTES, printed, data: { a: [1, null] } }
    await prisma.book.create({ data: { ...data, price: '12.5' } })
    await prisma.book.create({ data: { authorId: author.id, title: 'Empty' } })
    const [full, empty] = await prisma.book.findMany({ orderBy: { id: 'asc' } })
    assert.equal(full.title, 'Ünïcode 🦆')
    assert.equal(full.pages, BIG)
    assert.deepEqual([...full.cover], [...BYTES])
    assert.equal(full.printed.getTime(), printed.getTime())
    assert.equal(full.price.toString(), '12.5')
    assert.deepEqual(full.data, { a: [1, null] })
    assert.equal(full.sold, false)
    assert.deepEqual([empty.pages, empty.cover, empty.price, empty.data], [null, null, null, null])
    assert.ok(empty.printed instanceof Date)
    assert.equal(await prisma.book.count({ where: { printed: { lt: new Date('1900-01-01') } } }), 1)
    const [stored] = await prisma.$queryRaw`SELECT CAST(printed AS TEXT) AS t, typeof(pages) AS p FROM Book ORDER BY id`
    assert.deepEqual(stored, { t: '1843-09-05T12:34:56.789+00:00', p: 'integer' })
  },

  async raw() {
    await clean()
    assert.equal(await prisma.$executeRaw`INSERT INTO Author (email) VALUES (${'e@example.com'}), (${'f@example.com'})`, 2)
    const rows = await prisma.$queryRaw`SELECT email FROM Author WHERE email IN (${Prisma.join(['e@example.com'])})`
    assert.deepEqual(rows, [{ email: 'e@example.com' }])
    await fails(prisma.$queryRaw`SELECT * FROM Nothing`, 'P2010')
  },

  async rows() {
    await clean()
    const author = await prisma.author.create({ data: { email: 'g@example.com' } })
    const data = Array.from({ length: ROWS }, (_, index) => ({ title: `Book ${index}`, authorId: author.id }))
    const made = await prisma.$transaction(
      async (tx) => [await tx.book.createMany({ data }), await tx.book.count()],
      { maxWait: 60_000, timeout: 120_000 }
    )
    assert.deepEqual(made, [{ count: ROWS }, ROWS])
    const found = await prisma.book.findMany({ orderBy: { id: 'asc' }, select: { title: true } })
    assert.equal(found.length, ROWS)
    assert.equal(found.at(-1).title, `Book ${ROWS - 1}`)
    await clean()
  },
}

if (isOurs) {
  Object.assign(checks, {
    async notNull() {
      // Prisma never sends null where its schema has none, so that this goes to the adapter itself.
      const insert = { sql: 'INSERT INTO Author (email) VALUES (?)', args: [null], argTypes: [{ scalarType: 'string' }] }
      const error = await (await (await adapter()).connect()).executeRaw(insert).catch((thrown) => thrown)
      assert.deepEqual(error.cause.constraint, { fields: ['email'] })
      assert.equal(error.cause.kind, 'NullConstraintViolation')
      await fails(prisma.$executeRaw`INSERT INTO Author (email) VALUES (NULL)`, 'P2010', 'SQLITE_CONSTRAINT_NOTNULL')
    },

    async ownWrites() {
      const factory = await adapter()
      const one = new PrismaClient({ adapter: factory })
      await one.author.create({ data: { email: 'j@example.com' } })
      assert.equal(await one.author.count({ where: { email: 'j@example.com' } }), 1)
      assert.match(factory.txid, /^\d+$/)
      await clean()
    },

    async nestedTransaction() {
      await clean()
      await prisma.$transaction(async (tx) => {
        await tx.author.create({ data: { email: 'h@example.com' } })
        const inner = tx.$transaction(async (nested) => {
          await nested.author.create({ data: { email: 'i@example.com' } })
          throw new Error('inner')
        })
        await fails(inner, 'inner')
      })
      assert.deepEqual((await prisma.author.findMany()).map((each) => each.email), ['h@example.com'])
    },

    async conflicts() {
      await clean()
      const { id } = await prisma.author.create({ data: { email: 'k@example.com' } })
      await prisma.book.create({ data: { title: 'Seats', pages: 5n, authorId: id } })
      // What it has read is no longer so when it writes.
      const overtaken = prisma.$transaction(async (tx) => {
        const book = await tx.book.findFirst()
        await prisma.book.updateMany({ data: { pages: 4n } })
        await tx.book.update({ where: { id: book.id }, data: { pages: book.pages - 1n } })
      })
      await fails(overtaken, 'P2034')
      assert.equal((await prisma.book.findFirst()).pages, 4n)
      await prisma.book.deleteMany()
    },

    async manyTransactions() {
      await clean()
      const { id } = await prisma.author.create({ data: { email: 'l@example.com' } })
      const book = await prisma.book.create({ data: { title: 'Count', pages: 0n, authorId: id } })
      const again = async (attempts = 50) => {
        try {
          await prisma.$transaction(async (tx) => {
            const { pages } = await tx.book.findUniqueOrThrow({ where: { id: book.id } })
            await tx.book.update({ where: { id: book.id }, data: { pages: pages + 1n } })
          }, { maxWait: 20_000, timeout: 20_000 })
        } catch (error) {
          if (error.code !== 'P2034' || attempts === 0) throw error
          await again(attempts - 1)
        }
      }
      await Promise.all(Array.from({ length: 8 }, () => again()))
      assert.equal((await prisma.book.findUnique({ where: { id: book.id } })).pages, 8n)
      await clean()
    },

    async concurrentStatements() {
      await clean()
      await prisma.$transaction(async (tx) => {
        const emails = Array.from({ length: 8 }, (_, index) => `${index}@example.com`)
        await Promise.all(emails.map((email) => tx.author.create({ data: { email } })))
      })
      assert.equal(await prisma.author.count(), 8)
      await clean()
    },
  })
}

await run(checks)
