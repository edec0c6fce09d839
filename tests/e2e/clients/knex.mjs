/** Knex over SQL over HTTP: `node knex.mjs URL`. */

import assert from 'node:assert/strict'

import Dialect from '@libsql/knex-libsql'
import knexOf from 'knex'

import { BIG, BYTES, fails, ROWS, run } from './checks.mjs'

const knex = knexOf({ client: Dialect, connection: { filename: process.argv[2] }, useNullAsDefault: true })
const count = async (table) => (await knex(table).count({ n: '*' }).first()).n

await run({
  async tables() {
    await knex.schema.dropTableIfExists('knex_book')
    await knex.schema.dropTableIfExists('knex_author')
    await knex.schema.createTable('knex_author', (table) => {
      table.increments('id')
      table.string('email').notNullable().unique()
    })
    await knex.schema.createTable('knex_book', (table) => {
      table.increments('id')
      table.string('title').notNullable()
      table.bigInteger('pages')
      table.binary('cover')
      table.integer('author').unsigned().notNullable().references('knex_author.id')
    })
    assert.ok(await knex.schema.hasTable('knex_book'))
  },

  async crud() {
    const [author] = await knex('knex_author').insert({ email: 'ada@example.com' }).returning('id')
    await knex('knex_book').insert([{ title: 'A', author: author.id }, { title: 'B', author: author.id }])
    assert.equal(await knex('knex_book').where({ title: 'B' }).update({ title: 'C' }), 1)
    const found = await knex('knex_book').join('knex_author', 'knex_author.id', 'author')
      .select('title', 'email').orderBy('title')
    assert.deepEqual(found.map((row) => ({ ...row })), [
      { title: 'A', email: 'ada@example.com' },
      { title: 'C', email: 'ada@example.com' },
    ])
    assert.equal(await knex('knex_book').where({ title: 'C' }).delete(), 1)
  },

  async transaction() {
    await knex.transaction(async (tx) => {
      await tx('knex_author').insert({ id: 50, email: 'b@example.com' })
      await tx('knex_book').insert({ title: 'D', author: 50 })
    })
    assert.equal(await count('knex_book'), 2)
  },

  async rollback() {
    const failing = knex.transaction(async (tx) => {
      await tx('knex_book').delete()
      throw new Error('no, after all')
    })
    await fails(failing, 'no, after all')
    assert.equal(await count('knex_book'), 2)
  },

  async unique() {
    await fails(knex('knex_author').insert({ email: 'b@example.com' }), 'UNIQUE constraint failed')
  },

  async foreignKey() {
    await fails(knex('knex_book').insert({ title: 'E', author: 99 }), 'FOREIGN KEY constraint failed')
  },

  async values() {
    await knex('knex_book').insert({ id: 70, title: 'F', author: 50, pages: BIG, cover: Buffer.from(BYTES) })
    const read = (id) => knex('knex_book').select('cover', knex.raw('CAST(pages AS TEXT) AS pages')).where({ id }).first()
    const full = await read(70)
    assert.equal(BigInt(full.pages), BIG)
    assert.deepEqual([...new Uint8Array(full.cover)], [...BYTES])
    assert.deepEqual({ ...(await read(1)) }, { cover: null, pages: null })
  },

  async rows() {
    const rows = Array.from({ length: ROWS }, (_, index) => ({ title: `Row ${index}`, author: 50 }))
    await knex.batchInsert('knex_book', rows, 400)
    const found = await knex('knex_book').where('title', 'like', 'Row %').orderBy('id')
    assert.equal(found.length, ROWS)
    assert.equal(found.at(-1).title, `Row ${ROWS - 1}`)
    await knex.schema.dropTable('knex_book')
    await knex.schema.dropTable('knex_author')
  },
})
