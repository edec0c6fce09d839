// Prisma's adapter for SQLite, fitted to lamDB: bounded counts, Prisma's types, and states that cannot be changed.
import { createSQLiteAdapter, getSelectQuery } from "@prisma/studio-core/data/sqlite-core";

import { executor } from "./hrana.js";

// Rows that are counted: a table may have millions.
const COUNTED = 10_000;
// An estimate beyond this comes of keys that do not count rows.
const LIKELY = 1_000_000_000;

const COUNT = 'with "__ps_agg__" as (select cast(coalesce(count(*), 0) as text) as "__ps_count__" from ';
const PAGE = ') select "__ps_agg__"."__ps_count__"';
const JOIN = ' inner join "__ps_agg__" on true';
const OWN = /^(_lamdb|_prisma_migrations$|sqlite_)/;

const VIEWS = { sql: "select name from sqlite_schema where type = 'view'" };

const GROUPS = { BOOLEAN: "boolean", DATETIME: "datetime", JSONB: "json" };

// `readOnly`: the reason for which nothing can be changed, or null.
export function adapter(url, headers, readOnly) {
  const execute = executor(url, headers);
  const base = createSQLiteAdapter({ executor: execute });
  const refuse = async () => [new Error(readOnly)];
  const changes = readOnly === null ? {} : { insert: refuse, update: refuse, updateMany: refuse, delete: refuse };

  return {
    ...base,
    async introspect(options) {
      const [error, found] = await base.introspect(options);
      if (error) return [error];
      const [failure, rows] = await execute.execute(VIEWS, options);
      return failure ? [failure] : [null, fitted(found, new Set(rows.map((row) => row.name)), readOnly !== null)];
    },
    async query(details, options) {
      const query = bounded(getSelectQuery(details));
      const [error, rows] = await execute.execute(query, options);
      if (error) return [Object.assign(error, { query, adapterSource: "sqlite" })];
      const count = Number(rows[0]?.__ps_count__ ?? 0);
      const total = count > COUNTED ? await estimated(execute, details, rows.length, options) : count;
      // A page behind the last one, such as the one that was shown before a filter was added.
      if (rows.length === 0 && details.pageIndex > 0) firstPage();
      return [null, { filteredRowCount: String(total), rows, query }];
    },
    ...changes,
  };
}

// The studio keeps its place in the fragment of the address.
function firstPage() {
  const place = new URLSearchParams(location.hash.slice(1));
  place.set("pageIndex", "0");
  location.hash = place;
}

// The number of rows of a long table. It need not be right, but no page that has rows may be out of reach.
async function estimated(execute, { table, filter, fullTableSearchTerm, pageIndex, pageSize }, found, options) {
  const before = pageIndex * pageSize;
  if (found < pageSize) return before + found;
  const least = Math.max(COUNTED + 1, before + found + 1);
  const key = Object.values(table.columns).find((column) => column.isAutoincrement);
  if (!key || fullTableSearchTerm || filter?.filters.length) return least;
  const quoted = (name) => `"${name.replaceAll('"', '""')}"`;
  // Both ends of the table's own order: SQLite finds each without reading the rows between.
  const end = (which) => `(select ${which}(${quoted(key.name)}) from ${quoted(table.name)})`;
  const [error, rows] = await execute.execute({ sql: `select ${end("max")} - ${end("min")} + 1 as n` }, options);
  const likely = error ? 0 : Number(rows[0].n);
  return likely <= LIKELY ? Math.max(least, likely) : least;
}

// The studio joins each row with the count of all, which SQLite would find anew for each row that a far page skips.
// In a scalar subquery it is found once, and the parameters keep their order.
function bounded({ sql, ...query }) {
  const end = sql.indexOf(PAGE);
  const join = sql.indexOf(JOIN, end);
  if (!sql.startsWith(COUNT) || end < 0 || join < 0) throw new Error("The studio's query has an unknown form.");
  const count = `select count(*) from (select 1 from ${sql.slice(COUNT.length, end)} limit ${COUNTED + 1})`;
  const columns = sql.slice(end + PAGE.length, join);
  return { ...query, sql: `select (${count}) as "__ps_count__"${columns}${sql.slice(join + JOIN.length)}` };
}

function fitted(found, views, isReadOnly) {
  const tables = Object.fromEntries(
    Object.entries(found.schemas.main.tables)
      .filter(([name]) => !OWN.test(name))
      .map(([name, table]) => [name, { ...table, columns: columnsOf(table, views.has(name), isReadOnly) }]),
  );
  return { ...found, schemas: { ...found.schemas, main: { ...found.schemas.main, tables } } };
}

function columnsOf(table, isView, isReadOnly) {
  const columns = Object.values(table.columns).map((column) => {
    const group = GROUPS[column.datatype.name.toUpperCase()];
    const datatype = group ? { ...column.datatype, group, affinity: undefined } : column.datatype;
    // The studio shows computed columns, and does not edit them.
    return { ...column, datatype, isComputed: column.isComputed || isReadOnly || isView };
  });
  return Object.fromEntries(identified(columns, table, isView).map((column) => [column.name, column]));
}

// The studio tells rows apart by their primary key, and shows one only of those that have none. In a table SQLite's
// own number of the row serves; in a view all columns together do.
function identified(columns, table, isView) {
  if (columns.some((column) => column.pkPosition !== null)) return columns;
  if (isView) return columns.map((column, index) => ({ ...column, pkPosition: index + 1 }));
  if (columns.some((column) => column.name.toLowerCase() === "rowid")) return columns;
  const rowid = {
    ...columns[0],
    name: "rowid",
    datatype: { group: "numeric", affinity: "INTEGER", isArray: false, isNative: true, name: "INTEGER", options: [], schema: "main" },
    defaultValue: null,
    fkColumn: null,
    fkSchema: null,
    fkTable: null,
    isAutoincrement: true,
    isComputed: false,
    isRequired: false,
    nullable: false,
    pkPosition: 1,
    table: table.name,
  };
  return [rowid, ...columns];
}
