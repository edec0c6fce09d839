/** @libsql/client over SQL over HTTP: `node libsql.mjs URL`. */

import assert from 'node:assert/strict'

import { createClient } from '@libsql/client'

import { BIG, BYTES, fails, randomTexts, ROWS, run } from './checks.mjs'

const client = createClient({ url: process.argv[2], intMode: 'bigint' })

await run({
  async tables() {
    await client.executeMultiple(`
      DROP TABLE IF EXISTS client_child; DROP TABLE IF EXISTS client_parent;
      CREATE TABLE client_parent (id INTEGER PRIMARY KEY, name TEXT UNIQUE, big BIGINT, bytes BLOB);
      CREATE TABLE client_child (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL REFERENCES client_parent (id));
    `)
  },

  async crud() {
    const inserted = await client.execute({ sql: 'INSERT INTO client_parent (name) VALUES (?)', args: ['ada'] })
    assert.equal(inserted.rowsAffected, 1)
    assert.equal(inserted.lastInsertRowid, 1n)
    await client.execute({ sql: 'UPDATE client_parent SET name = :to WHERE name = :from', args: { from: 'ada', to: 'eve' } })
    const found = await client.execute('SELECT * FROM client_parent')
    assert.deepEqual({ ...found.rows[0] }, { id: 1n, name: 'eve', big: null, bytes: null })
    assert.deepEqual(found.columnTypes, ['INTEGER', 'TEXT', 'BIGINT', 'BLOB'])
    assert.equal((await client.execute('DELETE FROM client_parent')).rowsAffected, 1)
  },

  async transaction() {
    const tx = await client.transaction('write')
    await tx.execute("INSERT INTO client_parent VALUES (1, 'a', NULL, NULL)")
    await tx.execute('INSERT INTO client_child VALUES (1, 1)')
    assert.equal((await tx.execute('SELECT count(*) AS n FROM client_child')).rows[0].n, 1n)
    await tx.commit()
    assert.equal((await client.execute('SELECT count(*) AS n FROM client_child')).rows[0].n, 1n)
  },

  async largeTransaction() {
    const texts = randomTexts(ROWS)
    await client.execute('CREATE TABLE client_large (id INTEGER PRIMARY KEY, text TEXT NOT NULL)')
    const tx = await client.transaction('write')
    for (let at = 0; at < ROWS; at += 500) {
      await tx.batch(texts.slice(at, at + 500).map((text) => ({ sql: 'INSERT INTO client_large (text) VALUES (?)', args: [text] })))
    }
    await tx.commit()
    const found = await client.execute('SELECT count(DISTINCT text) AS n FROM client_large')
    assert.equal(found.rows[0].n, BigInt(ROWS))
    await client.execute('DROP TABLE client_large')
  },

  async rollback() {
    const tx = await client.transaction('write')
    await tx.execute('DELETE FROM client_child')
    await tx.rollback()
    assert.equal((await client.execute('SELECT count(*) AS n FROM client_child')).rows[0].n, 1n)
    await fails(client.batch(['DELETE FROM client_child', 'SELECT absent'], 'write'), 'no such column')
    assert.equal((await client.execute('SELECT count(*) AS n FROM client_child')).rows[0].n, 1n)
  },

  async unique() {
    const again = client.execute("INSERT INTO client_parent (name) VALUES ('a')")
    const error = await fails(again, 'UNIQUE constraint failed: client_parent.name')
    assert.equal(error.code, 'SQLITE_CONSTRAINT')
  },

  async foreignKey() {
    const error = await fails(client.execute('INSERT INTO client_child VALUES (2, 99)'), 'FOREIGN KEY constraint failed')
    assert.equal(error.code, 'SQLITE_CONSTRAINT')
  },

  async values() {
    const args = [7, null, BIG, BYTES]
    await client.execute({ sql: 'INSERT INTO client_parent VALUES (?, ?, ?, ?)', args })
    const { rows } = await client.execute('SELECT * FROM client_parent WHERE id = 7')
    assert.equal(rows[0].big, BIG)
    assert.equal(rows[0].name, null)
    assert.deepEqual([...new Uint8Array(rows[0].bytes)], [...BYTES])
  },

  async rows() {
    const sql = 'INSERT INTO client_parent (name) VALUES (?)'
    await client.batch(Array.from({ length: ROWS }, (_, index) => ({ sql, args: [`row ${index}`] })), 'write')
    const { rows } = await client.execute("SELECT name FROM client_parent WHERE name LIKE 'row %' ORDER BY id")
    assert.equal(rows.length, ROWS)
    assert.equal(rows[ROWS - 1].name, `row ${ROWS - 1}`)
    await client.executeMultiple('DROP TABLE client_child; DROP TABLE client_parent')
  },
})
