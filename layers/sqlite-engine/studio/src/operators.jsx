// What the operator API knows: restore points, migrations and the state of the store.
import { useEffect, useState } from "react";

import { operator } from "./server.js";

const STATUS = `{
  database { store txid committedAt size pages pageSize uncompactedFiles lag readOnly
    levels { level files size minTxid maxTxid } versions { lamdb sqlite prisma python } }
}`;
const MIGRATIONS = "{ migrations { name startedAt finishedAt rolledBackAt } }";
export const POINTS = "{ restorePoints(first: 500) { txid time size } }";

export const when = (text) => (text ? new Date(text).toLocaleString() : "—");
const bytes = (count) =>
  count < 1024 ? `${count} B` : count < 1048576 ? `${(count / 1024).toFixed(1)} KiB` : `${(count / 1048576).toFixed(1)} MiB`;

function useOperator(headers, query) {
  const [state, setState] = useState({});
  useEffect(() => {
    let wanted = true;
    operator(headers, query).then(
      (data) => wanted && setState({ data }),
      (error) => wanted && setState({ error }),
    );
    return () => {
      wanted = false;
    };
  }, [headers, query]);
  return state;
}

function Asked({ headers, query, children }) {
  const { data, error } = useOperator(headers, query);
  if (error) return <p className="notice" role="alert">{error.message}</p>;
  return data ? children(data) : <p className="notice">Loading …</p>;
}

function Table({ caption, columns, rows, none }) {
  if (rows.length === 0) return <p className="notice">{none}</p>;
  return (
    <div className="scrolled">
      <table>
        <caption>{caption}</caption>
        <thead>
          <tr>{columns.map((name) => <th key={name} scope="col">{name}</th>)}</tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={index}>{row.map((cell, column) => <td key={column}>{cell}</td>)}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function RestorePoints({ headers, onOpen }) {
  return (
    <Asked headers={headers} query={POINTS}>
      {({ restorePoints }) => (
        <Table
          caption="States that can be opened and restored, newest first"
          columns={["Transaction", "Time", "Size", "Open"]}
          none="There are no restore points yet."
          rows={restorePoints.map((point, index) => [
            point.txid,
            when(point.time),
            bytes(point.size),
            <button type="button" onClick={() => onOpen(index === 0 ? null : point)}>
              {index === 0 ? "Now" : `Open ${point.txid}`}
            </button>,
          ])}
        />
      )}
    </Asked>
  );
}

export function Migrations({ headers }) {
  return (
    <Asked headers={headers} query={MIGRATIONS}>
      {({ migrations }) => (
        <Table
          caption="Migrations, in the order in which they were applied"
          columns={["Migration", "Started", "Finished", "Rolled back"]}
          none="The database records no migrations."
          rows={migrations.map((one) => [one.name, when(one.startedAt), when(one.finishedAt), when(one.rolledBackAt)])}
        />
      )}
    </Asked>
  );
}

export function Status({ headers }) {
  return (
    <Asked headers={headers} query={STATUS}>
      {({ database }) => (
        <>
          <dl>
            {[
              ["Store", database.store],
              ["Transaction", `${database.txid}, ${when(database.committedAt)}`],
              ["Size", `${bytes(database.size)}, ${database.pages} pages of ${database.pageSize} bytes`],
              ["Behind the store", `${database.lag} transactions`],
              ["Files to compact", database.uncompactedFiles],
              ["Writes", database.readOnly ? "no" : "yes"],
              ["Versions", Object.entries(database.versions).map((pair) => pair.join(" ")).join(", ")],
            ].map(([name, value]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
          <Table
            caption="Files in the store, by level"
            columns={["Level", "Files", "Size", "First", "Last"]}
            none="The store has no files."
            rows={database.levels.map((one) => [one.level, one.files, bytes(one.size), one.minTxid, one.maxTxid])}
          />
        </>
      )}
    </Asked>
  );
}
