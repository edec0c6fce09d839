import { blob, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'

const prefix = process.env.DRIZZLE_PREFIX ?? 'drizzle'

export const authors = sqliteTable(`${prefix}_author`, {
  id: integer('id').primaryKey({ autoIncrement: true }),
  email: text('email').notNull().unique(),
})

export const books = sqliteTable(`${prefix}_book`, {
  id: integer('id').primaryKey({ autoIncrement: true }),
  title: text('title').notNull(),
  pages: blob('pages', { mode: 'bigint' }),
  cover: blob('cover', { mode: 'buffer' }),
  printed: integer('printed', { mode: 'timestamp_ms' }),
  authorId: integer('author_id').notNull().references(() => authors.id),
})
