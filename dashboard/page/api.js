// Requests to silo's API, and streams of JSON Lines that reconnect. The API is under the
// page's own address, which includes the token.

const base = new URL("v1/", document.baseURI);

// address returns the URL of a path under /v1/, with the parameters that have a value.
export function address(path, params = {}) {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== null && value !== "" && value !== false) url.searchParams.append(name, value === true ? "1" : value);
  }
  return url;
}

// ApiError is a response with an error status and the supervisor's message.
export class ApiError extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

async function checked(response) {
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  throw new ApiError(response.status, body?.error ?? `silo answered ${response.status}`);
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

const firstDelay = 500, maxDelay = 8000; // milliseconds

// stream reads JSON Lines while the page is visible, and returns a function that ends
// it. A browser has only six connections to a host, so a hidden tab keeps none.
//
//   params()      returns the parameters of each attempt
//   opened()      an attempt got a response
//   line(value)   one line
//   lost(error, seconds)  the stream ended; the next attempt starts in that many seconds
export function stream(path, { params = () => ({}), opened = () => {}, line, lost = () => {} }) {
  const ended = new AbortController();
  run(ended.signal, path, { params, opened, line, lost });
  return () => ended.abort();
}

async function run(ended, path, on) {
  for (let delay = firstDelay; !ended.aborted; ) {
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
      await readLines(response.body, (value) => { delay = firstDelay; on.line(value); });
    } catch (error) {
      failure = error;
    }
    ended.removeEventListener("abort", abort);
    document.removeEventListener("visibilitychange", hide);
    if (ended.aborted) return;
    if (attempt.signal.aborted) continue; // hidden: wait until the page is visible
    on.lost(failure, delay / 1000);
    await sleep(delay, ended);
    delay = Math.min(delay * 2, maxDelay);
  }
}

async function readLines(body, handle) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ; ) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const text of parts) if (text !== "") handle(JSON.parse(text));
  }
}

function visible(ended) {
  if (!document.hidden) return null;
  return new Promise((resolve) => {
    const check = () => {
      if (document.hidden && !ended.aborted) return;
      document.removeEventListener("visibilitychange", check);
      resolve();
    };
    document.addEventListener("visibilitychange", check);
    ended.addEventListener("abort", check);
  });
}

function sleep(ms, ended) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    ended.addEventListener("abort", () => { clearTimeout(timer); resolve(); });
  });
}

// poll calls request now and then ms milliseconds after each response, while the page is
// visible. It returns a function that stops it.
export function poll(ms, request) {
  const ended = new AbortController();
  (async () => {
    while (!ended.signal.aborted) {
      await visible(ended.signal);
      if (ended.signal.aborted) return;
      await request(ended.signal).catch(() => {}); // the stream reports the lost connection
      await sleep(ms, ended.signal);
    }
  })();
  return () => ended.abort();
}
