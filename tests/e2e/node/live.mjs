// Follows a query with graphql-sse, and does all else with the same client. Prints what came as JSON.
// Afterwards it prints a line for each result of the live query, until it is killed.
import { createClient } from "graphql-sse";

const client = createClient({
  url: process.argv[2],
  retryAttempts: 20,
  retry: () => new Promise((resolve) => setTimeout(resolve, 200)),
});
const query = "query Tags @live { findManyTag(orderBy: { id: asc }) { name } }";
const names = (result) => result.data.findManyTag.map((tag) => tag.name);

async function all(document, variables) {
  const results = [];
  for await (const result of client.iterate({ query: document, variables })) results.push(result);
  return results;
}

const live = client.iterate({ query });
const first = names((await live.next()).value);
const mutation = await all("mutation ($name: String!) { createOneTag(data: { name: $name }) { name } }", {
  name: "from graphql-sse",
});
const second = names((await live.next()).value);
const once = await all("{ findManyTag(take: 1, orderBy: { id: asc }) { name } }");
const invalid = await all("query @live { nothing }");
const subscription = await all("subscription @live { findManyTag { name } }");
const ended = await live.return();
console.log(JSON.stringify({ first, mutation, second, once, invalid, subscription, ended }));

for await (const result of client.iterate({ query })) console.log(JSON.stringify(names(result)));
