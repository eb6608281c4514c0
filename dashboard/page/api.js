// The data's side: one question at a time, or a stream of JSON Lines that comes
// back by itself. All of it lies below the page's own address, token included.

const base = new URL("v1/", document.baseURI);

// address is a path under /v1/ with those parameters that have a value.
export function address(path, params = {}) {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(params)) {
    for (const one of [value].flat()) {
      if (one !== undefined && one !== null && one !== "" && one !== false) url.searchParams.append(name, one === true ? "1" : one);
    }
  }
  return url;
}

// Refused is an answer that is no success, in the supervisor's words.
export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

async function checked(response) {
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  throw new Refused(response.status, body?.error ?? `it answers ${response.status}`);
}

export async function get(path, params, signal) {
  const response = await fetch(address(path, params), { signal, cache: "no-store" });
  return (await checked(response)).json();
}

export async function post(path, body) {
  const response = await fetch(address(path), {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  const text = await (await checked(response)).text();
  return text === "" ? null : JSON.parse(text);
}

const firstWait = 500, longestWait = 8000; // milliseconds

// stream reads JSON Lines for as long as somebody sees the page, and returns what
// ends it. A browser has six connections to a host: a hidden tab keeps none of them.
//
//   params()      the parameters of each attempt
//   opened()      an attempt has been answered
//   line(value)   one line
//   lost(error, seconds)  it broke; the next attempt comes in that many seconds
export function stream(path, { params = () => ({}), opened = () => {}, line, lost = () => {} }) {
  const ended = new AbortController();
  run(ended.signal, path, { params, opened, line, lost });
  return () => ended.abort();
}

async function run(ended, path, on) {
  for (let wait = firstWait; !ended.aborted; ) {
    await visible(ended);
    if (ended.aborted) return;
    const attempt = new AbortController();
    const abort = () => attempt.abort();
    const hide = () => document.hidden && abort();
    ended.addEventListener("abort", abort);
    document.addEventListener("visibilitychange", hide);
    let failure = null;
    try {
      const response = await checked(await fetch(address(path, on.params()), { signal: attempt.signal, cache: "no-store" }));
      on.opened();
      await lines(response.body, (value) => { wait = firstWait; on.line(value); });
    } catch (error) {
      failure = error;
    }
    ended.removeEventListener("abort", abort);
    document.removeEventListener("visibilitychange", hide);
    if (ended.aborted) return;
    if (attempt.signal.aborted) continue; // hidden: wait until it is seen again
    on.lost(failure, wait / 1000);
    await pause(wait, ended);
    wait = Math.min(wait * 2, longestWait);
  }
}

async function lines(body, take) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ; ) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const text of parts) if (text !== "") take(JSON.parse(text));
  }
}

function visible(ended) {
  if (!document.hidden) return null;
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden && !ended.aborted) return;
      document.removeEventListener("visibilitychange", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    ended.addEventListener("abort", look);
  });
}

function pause(ms, ended) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    ended.addEventListener("abort", () => { clearTimeout(timer); resolve(); });
  });
}

// every asks at once and then in that many milliseconds after each answer, for as
// long as somebody sees the page. It returns what ends it.
export function every(ms, ask) {
  const ended = new AbortController();
  (async () => {
    while (!ended.signal.aborted) {
      await visible(ended.signal);
      if (ended.signal.aborted) return;
      await ask(ended.signal).catch(() => {}); // that the supervisor has gone is told by the stream
      await pause(ms, ended.signal);
    }
  })();
  return () => ended.abort();
}
