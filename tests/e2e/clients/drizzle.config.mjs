const prefix = process.env.DRIZZLE_PREFIX ?? 'drizzle'

export default {
  dialect: 'turso',
  schema: './drizzle.schema.mjs',
  out: './drizzle-migrations',
  dbCredentials: { url: process.env.DATABASE_URL },
  // The tables of the other clients are none of Drizzle's.
  tablesFilter: [`${prefix}_*`],
}
