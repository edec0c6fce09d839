/** @tursodatabase/serverless over SQL over HTTP: `node serverless.mjs URL`. */

import assert from 'node:assert/strict'

import { connect } from '@tursodatabase/serverless'
import { createClient } from '@tursodatabase/serverless/compat'

import { BIG, BYTES, fails, ROWS, run } from './checks.mjs'

const url = process.argv[2]
const db = connect({ url })
const compat = createClient({ url })
const count = async () => (await (await db.prepare('SELECT count(*) AS n FROM turso_book')).get()).n

await run({
  async tables() {
    await db.exec(`
      DROP TABLE IF EXISTS turso_book; DROP TABLE IF EXISTS turso_author;
      CREATE TABLE turso_author (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE);
      CREATE TABLE turso_book (id INTEGER PRIMARY KEY, title TEXT NOT NULL, pages BIGINT, cover BLOB,
        author INTEGER NOT NULL REFERENCES turso_author (id));
    `)
  },

  async crud() {
    const done = await (await db.prepare('INSERT INTO turso_author (email) VALUES (?)')).run(['ada@example.com'])
    assert.equal(done.changes, 1)
    const insert = await db.prepare('INSERT INTO turso_book (title, author) VALUES (?, ?)')
    await insert.run(['A', 1])
    await insert.run(['B', 1])
    await (await db.prepare('UPDATE turso_book SET title = ? WHERE title = ?')).run(['C', 'B'])
    const rows = await (await db.prepare('SELECT title FROM turso_book ORDER BY title')).all()
    assert.deepEqual(rows.map((row) => row.title), ['A', 'C'])
    await (await db.prepare('DELETE FROM turso_book WHERE title = ?')).run(['C'])
    const titles = []
    for await (const row of (await db.prepare('SELECT title FROM turso_book')).iterate()) titles.push(row.title)
    assert.deepEqual(titles, ['A'])
  },

  async transaction() {
    const both = db.transaction(async () => {
      await db.exec("INSERT INTO turso_author VALUES (50, 'b@example.com')")
      await db.exec("INSERT INTO turso_book (title, author) VALUES ('D', 50)")
    })
    await both()
    assert.equal(await count(), 2)
  },

  async rollback() {
    const failing = db.transaction(async () => {
      await db.exec('DELETE FROM turso_book')
      throw new Error('no, after all')
    })
    await fails(failing(), 'no, after all')
    assert.equal(await count(), 2)
  },

  async unique() {
    await fails(db.exec("INSERT INTO turso_author (email) VALUES ('b@example.com')"), 'UNIQUE constraint failed')
  },

  async foreignKey() {
    await fails(db.exec("INSERT INTO turso_book (title, author) VALUES ('E', 99)"), 'FOREIGN KEY constraint failed')
  },

  async values() {
    const insert = await db.prepare('INSERT INTO turso_book VALUES (70, ?, ?, ?, 50)')
    await insert.run(['F', BIG, Buffer.from(BYTES)])
    const select = await db.prepare('SELECT pages, cover FROM turso_book WHERE id = ?')
    const full = await select.safeIntegers(true).get([70])
    assert.equal(full.pages, BIG)
    assert.deepEqual([...new Uint8Array(full.cover)], [...BYTES])
    const empty = await select.get([1])
    assert.deepEqual([empty.pages, empty.cover], [null, null])
  },

  async rows() {
    await db.exec(`INSERT INTO turso_book (title, author)
      WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${ROWS - 1})
      SELECT 'Row ' || i, 50 FROM n`)
    const rows = await (await db.prepare("SELECT * FROM turso_book WHERE title LIKE 'Row %' ORDER BY id")).all()
    assert.equal(rows.length, ROWS)
    assert.equal(rows.at(-1).title, `Row ${ROWS - 1}`)
  },

  async compat() {
    const found = await compat.execute({ sql: 'SELECT id, email FROM turso_author WHERE id = ?', args: [50] })
    assert.deepEqual(found.columns, ['id', 'email'])
    assert.equal(found.rows[0].email, 'b@example.com')
    await compat.batch(['DELETE FROM turso_book', "INSERT INTO turso_book (title, author) VALUES ('G', 50)"], 'write')
    assert.equal(await count(), 1)
    await fails(compat.batch(['DELETE FROM turso_book', 'SELECT absent'], 'write'), 'no such column')
    assert.equal(await count(), 1)
    await fails(compat.execute("INSERT INTO turso_author (email) VALUES ('b@example.com')"), 'UNIQUE constraint failed')
    await db.exec('DROP TABLE turso_book; DROP TABLE turso_author')
  },
})
