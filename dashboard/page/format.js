// Values in readable form.

export const none = "–";

export function bytes(n) {
  if (n === null || n === undefined) return none;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (n < 1000 || unit === "GB") return `${unit === "B" || n >= 100 ? Math.round(n) : n.toFixed(1)} ${unit}`;
    n /= 1000;
  }
}

export function seconds(s) {
  if (s === null || s === undefined) return none;
  if (s < 0.001) return `${Math.round(s * 1e6)} µs`;
  if (s < 0.01) return `${(s * 1000).toFixed(1)} ms`;
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 60) return `${s.toFixed(s < 10 ? 2 : 1)} s`;
  return age(s);
}

// age formats a duration to the minute.
export function age(s) {
  if (s < 60) return `${Math.max(0, Math.floor(s))} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} days`;
}

export function since(time) {
  return time ? age((Date.now() - new Date(time)) / 1000) : none;
}

const pad = (n, width = 2) => String(n).padStart(width, "0");

export function clock(time) {
  const t = new Date(time);
  return `${pad(t.getHours())}:${pad(t.getMinutes())}:${pad(t.getSeconds())}`;
}

export function fineClock(time) {
  return `${clock(time)}.${pad(new Date(time).getMilliseconds(), 3)}`;
}

export function count(n, one, many = one + "s") {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}
