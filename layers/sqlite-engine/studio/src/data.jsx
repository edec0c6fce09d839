// Prisma's Studio on one state of the database.
import "./telemetry.js";
import { Studio } from "@prisma/studio-core/ui";
import { useMemo, useRef } from "react";

import { adapter } from "./adapter.js";
import { useFitting } from "./fitting.js";
import { url as urlOf } from "./server.js";

export default function Data({ url, headers, readOnly }) {
  const made = useMemo(() => adapter(url, headers, readOnly), [url, headers, readOnly]);
  const root = useRef(null);
  useFitting(root, readOnly !== null);
  return (
    <div className="studio" ref={root}>
      <link rel="stylesheet" href={urlOf("studio/prisma.css")} precedence="default" />
      <Studio adapter={made} />
    </div>
  );
}
