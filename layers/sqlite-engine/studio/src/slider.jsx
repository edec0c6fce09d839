// Chooses the state that is shown: the newest, or a past one.
import { useEffect, useState } from "react";

import { POINTS, when } from "./operators.jsx";
import { operator } from "./server.js";

// `point`: {txid, time} of the state that is shown, or null for the newest one.
export function TimeSlider({ headers, hasPoints, point, onChange }) {
  const [points, setPoints] = useState([]);
  const [failure, setFailure] = useState(null);
  const [place, setPlace] = useState(null);

  const refresh = () => {
    if (!hasPoints) return;
    operator(headers, POINTS).then(
      // The newest restore point is the present.
      ({ restorePoints }) => setPoints(restorePoints.slice(1).reverse()),
      setFailure,
    );
  };
  useEffect(refresh, [headers, hasPoints]);

  if (!hasPoints || failure) return <Moment point={point} onChange={onChange} />;

  const index = points.findIndex((one) => one.txid === point?.txid);
  const chosen = place ?? (index < 0 ? points.length : index);
  const label = chosen === points.length ? "now" : `transaction ${points[chosen].txid}, ${when(points[chosen].time)}`;
  const settle = () => {
    if (place !== null) onChange(points[place] ?? null);
    setPlace(null);
  };
  return (
    <div className="time">
      <label htmlFor="time">Time</label>
      <input
        id="time"
        type="range"
        min={0}
        max={points.length}
        value={chosen}
        disabled={points.length === 0}
        aria-valuetext={label}
        onFocus={refresh}
        onChange={(event) => setPlace(Number(event.target.value))}
        onPointerUp={settle}
        onKeyUp={settle}
        onBlur={settle}
      />
      <output htmlFor="time">{label}</output>
      {point && <Now onChange={onChange} />}
    </div>
  );
}

// For callers that may not ask for restore points: any moment.
function Moment({ point, onChange }) {
  return (
    <div className="time">
      <label htmlFor="moment">State at</label>
      <input
        id="moment"
        type="datetime-local"
        step={1}
        defaultValue=""
        onBlur={(event) => choose(event.target.value, point, onChange)}
        onKeyDown={(event) => event.key === "Enter" && choose(event.target.value, point, onChange)}
      />
      <output htmlFor="moment">{point ? when(point.time) : "now"}</output>
      {point && <Now onChange={onChange} />}
    </div>
  );
}

// Nothing changes when the field is left with the time that is shown.
function choose(text, point, onChange) {
  const date = new Date(text);
  const time = Number.isNaN(date.getTime()) ? point?.time : date.toISOString();
  if (time !== point?.time) onChange({ txid: null, time });
}

function Now({ onChange }) {
  return (
    <button type="button" onClick={() => onChange(null)}>
      Back to now
    </button>
  );
}
