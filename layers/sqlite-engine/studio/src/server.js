// Requests to the server that the page came from.
import { refused } from "./hrana.js";

const here = new URL(location.href);
here.hash = here.search = "";
const base = here.href.replace(/\/studio\/?$/, "/");

export const url = (path) => new URL(path, base).href;

// What the server offers this caller. Raises SqlError.
export async function session(headers) {
  const response = await fetch(url("studio/session"), { headers });
  const body = await response.json();
  if (!response.ok) throw refused(body, response.status);
  return body;
}

// The `data` of an operation of the operator API. Raises SqlError.
export async function operator(headers, query) {
  const response = await fetch(url("admin/graphql"), {
    method: "POST",
    headers: { ...headers, "content-type": "application/json", accept: "application/json" },
    body: JSON.stringify({ query }),
  });
  const body = await response.json();
  if (body.errors || !response.ok) throw refused(body, response.status);
  return body.data;
}
