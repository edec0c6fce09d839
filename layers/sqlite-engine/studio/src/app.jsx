// The studio's page: tabs, the slider of time, and Prisma's Studio, which is loaded when it is first shown.
import { Component, lazy, Suspense, useCallback, useEffect, useMemo, useState } from "react";
import { createRoot } from "react-dom/client";

import "./app.css";
import { Migrations, RestorePoints, Status, when } from "./operators.jsx";
import { session, url } from "./server.js";
import { TimeSlider } from "./slider.jsx";

const Data = lazy(() => import("./data.jsx"));

const TOKEN = "lamdb-studio-token";
const AS_OF = "x-lamdb-as-of";
const TABS = { data: "Data", points: "Restore points", migrations: "Migrations", status: "Status" };

function App() {
  const [token, setToken] = useState(() => sessionStorage.getItem(TOKEN) ?? "");
  const [about, setAbout] = useState(null);
  const [failure, setFailure] = useState(null);
  const [asks, setAsks] = useState(false);
  const [tab, setTab] = useState("data");
  const [point, setPoint] = useState(null);

  const headers = useMemo(() => credentials(token), [token]);
  useEffect(() => {
    setAbout(null);
    setFailure(null);
    session(headers).then((found) => setAbout({ ...found, headers }), setFailure);
  }, [headers]);

  const enter = useCallback((given) => {
    sessionStorage.setItem(TOKEN, given);
    setAsks(false);
    setToken(given);
  }, []);
  const open = useCallback((chosen) => {
    setPoint(chosen);
    setTab("data");
  }, []);

  if (failure || asks) return <SignIn failure={failure} token={token} onToken={enter} />;
  // What is known of the caller before is of no use to the next one.
  if (about?.headers !== headers) return <p className="notice">Loading …</p>;

  const tabs = Object.entries(TABS).filter(([name]) => name === "data" || about.operator);
  return (
    <>
      <header>
        <strong>lamDB</strong>
        <nav aria-label="Views">
          {tabs.map(([name, label]) => (
            <button key={name} type="button" aria-current={tab === name ? "page" : undefined} onClick={() => setTab(name)}>
              {label}
            </button>
          ))}
          {about.links.map(({ name, path }) => (
            <a key={path} href={url(path.slice(1))}>
              {name}
            </a>
          ))}
        </nav>
        {tab === "data" && <TimeSlider headers={headers} hasPoints={about.operator} point={point} onChange={setPoint} />}
        {about.asksForToken && (
          <button type="button" onClick={() => (token ? enter("") : setAsks(true))}>
            {token ? "Sign out" : "Sign in"}
          </button>
        )}
      </header>
      <Shown tab={tab} about={about} headers={headers} point={point} onOpen={open} />
    </>
  );
}

// In both forms: API Gateway takes keys by the second one only.
function credentials(token) {
  return token ? { authorization: `Bearer ${token}`, "x-api-key": token } : {};
}

function Shown({ tab, about, headers, point, onOpen }) {
  const asked = useMemo(
    () => (point ? { ...headers, [AS_OF]: String(point.txid ?? point.time) } : headers),
    [headers, point],
  );
  if (tab === "points") return <main className="text"><RestorePoints headers={headers} onOpen={onOpen} /></main>;
  if (tab === "migrations") return <main className="text"><Migrations headers={headers} /></main>;
  if (tab === "status") return <main className="text"><Status headers={headers} /></main>;
  const readOnly = point
    ? `This is the state of ${when(point.time)}: the past can only be read.`
    : about.role === "read"
      ? "Your role allows reading only."
      : null;
  return (
    <main className={readOnly ? "data read-only" : "data"}>
      {readOnly && <p className="banner" role="status">{readOnly}</p>}
      <Fence key={asked[AS_OF] ?? "now"}>
        <Suspense fallback={<p className="notice">Loading …</p>}>
          <Data url={url("studio/v3/pipeline")} headers={asked} readOnly={readOnly} />
        </Suspense>
      </Fence>
    </main>
  );
}

// A failure of the studio's own code leaves the tabs and the slider in place.
class Fence extends Component {
  state = { error: null };

  static getDerivedStateFromError(error) {
    return { error };
  }

  render() {
    const { error } = this.state;
    return error ? <p className="notice" role="alert">{error.message}</p> : this.props.children;
  }
}

function SignIn({ failure, token, onToken }) {
  const asks = !failure || failure.status === 401 || failure.status === 403;
  return (
    <main className="text">
      <h1>lamDB studio</h1>
      {failure && <p role="alert">{failure.message}</p>}
      {asks && (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            onToken(new FormData(event.target).get("token").trim());
          }}
        >
          <label htmlFor="token">API key or token</label>
          <input id="token" name="token" type="password" autoComplete="off" defaultValue={token} autoFocus />
          <button type="submit">Open</button>
        </form>
      )}
    </main>
  );
}

createRoot(document.getElementById("studio")).render(<App />);
