// GraphiQL on the endpoint that serves this page. Bundled by ../build.mjs; nothing is loaded from another host.
import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import { createElement } from "react";
import { createRoot } from "react-dom/client";

import "graphiql/style.css";
import "./app.css";

const WORKERS = { graphql: "graphql.worker.js", json: "json.worker.js" };

globalThis.MonacoEnvironment = {
  getWorker(_id, label) {
    return new Worker(new URL(WORKERS[label] ?? "editor.worker.js", import.meta.url));
  },
};

const WELCOME = `# Ctrl-Enter runs the query,
# Ctrl-Space completes what is at the cursor.

`;

const root = document.getElementById("graphiql");

createRoot(root).render(
  createElement(GraphiQL, {
    fetcher: createGraphiQLFetcher({ url: new URL(root.dataset.endpoint, location.href).href }),
    defaultQuery: `${WELCOME}${root.dataset.example}`,
  }),
);
