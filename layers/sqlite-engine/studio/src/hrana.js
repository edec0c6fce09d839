// Executes statements by SQL over HTTP (Hrana 3) on the server that the page came from.

// A failed request; `status` is that of HTTP, 0 for a statement that failed.
export class SqlError extends Error {
  constructor(message, code, status = 0) {
    super(message);
    this.name = "SqlError";
    this.code = code;
    this.status = status;
  }
}

// Returns an executor as Prisma's Studio wants it. `headers` are sent with each request.
export function executor(url, headers) {
  async function send(request, signal) {
    const response = await fetch(url, {
      method: "POST",
      headers: { ...headers, "content-type": "application/json" },
      body: JSON.stringify({ baton: null, requests: [request, { type: "close" }] }),
      signal,
    });
    const body = await response.json();
    if (!response.ok) throw refused(body, response.status);
    const [result] = body.results;
    if (result.type === "error") throw new SqlError(result.error.message, result.error.code);
    return result.response.result;
  }

  async function attempt(work) {
    try {
      return [null, await work()];
    } catch (error) {
      return [error];
    }
  }

  const one = async (query, options) =>
    rowsOf(await send({ type: "execute", stmt: statement(query) }, options?.abortSignal), query);

  return {
    execute: (query, options) => attempt(() => one(query, options)),
    executeSequence: async (queries, options) => {
      const outcomes = [];
      for (const query of queries) {
        outcomes.push(await attempt(() => one(query, options)));
        if (outcomes.at(-1)[0]) break;
      }
      return outcomes;
    },
    executeTransaction: (queries, options) =>
      attempt(async () => {
        const batch = await send({ type: "batch", batch: transaction(queries) }, options?.abortSignal);
        const failure = batch.step_errors.slice(0, queries.length + 2).find(Boolean);
        if (failure) throw new SqlError(failure.message, failure.code);
        return queries.map((query, index) => rowsOf(batch.step_results[index + 1], query));
      }),
  };
}

export function refused(body, status) {
  const error = body.errors?.[0] ?? body;
  const text = error.message ?? `The server answered with status ${status}.`;
  return new SqlError(text, error.extensions?.code ?? body.code, status);
}

// All or nothing: each step waits for the one before it, and a failed COMMIT is rolled back.
function transaction(queries) {
  const texts = [{ sql: "BEGIN" }, ...queries.map(statement), { sql: "COMMIT" }];
  const steps = texts.map((stmt, index) =>
    index === 0 ? { stmt } : { condition: { type: "ok", step: index - 1 }, stmt },
  );
  const unless = { type: "not", cond: { type: "ok", step: steps.length - 1 } };
  steps.push({ condition: { type: "and", conds: [{ type: "ok", step: 0 }, unless] }, stmt: { sql: "ROLLBACK" } });
  return { steps };
}

function statement(query) {
  return { sql: query.sql, args: (query.parameters ?? []).map(encoded), want_rows: true };
}

function encoded(value) {
  if (value === null || value === undefined) return { type: "null" };
  switch (typeof value) {
    case "bigint":
      return { type: "integer", value: String(value) };
    case "boolean":
      return { type: "integer", value: value ? "1" : "0" };
    case "number":
      return Number.isSafeInteger(value) ? { type: "integer", value: String(value) } : { type: "float", value };
    case "string":
      return { type: "text", value };
  }
  if (value instanceof Date) return { type: "text", value: value.toISOString().replace("Z", "+00:00") };
  if (value instanceof Uint8Array) return { type: "blob", base64: btoa(String.fromCharCode(...value)) };
  return { type: "text", value: JSON.stringify(value) };
}

function rowsOf(result, query) {
  const names = result.cols.map((column, index) => column.name ?? `column ${index + 1}`);
  return result.rows.map((row) => {
    const found = Object.fromEntries(row.map((value, index) => [names[index], decoded(value)]));
    for (const [name, kind] of Object.entries(query.transformations ?? {})) {
      if (kind === "json-parse" && typeof found[name] === "string") found[name] = JSON.parse(found[name]);
    }
    return found;
  });
}

function decoded(value) {
  switch (value.type) {
    case "null":
      return null;
    case "integer": {
      const number = Number(value.value);
      return Number.isSafeInteger(number) ? number : BigInt(value.value);
    }
    case "blob":
      return `0x${Array.from(atob(value.base64), (one) => one.charCodeAt(0).toString(16).padStart(2, "0")).join("")}`;
    default:
      return value.value;
  }
}
