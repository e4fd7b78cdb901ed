// REST, from the page's side.
import { announce, dialog, field, h, put } from "./dom.js";

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail);
    this.status = status;
    this.title = body.title ?? `Error ${status}`;
    this.detail = body.detail ?? "The server gives no reason.";
    this.code = body.code;
    this.body = body;
  }
}

const AWAY = {
  title: "No answer",
  detail: "The server does not answer. Is it running, and are you connected?",
};

export function address(path, query = {}) {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (Array.isArray(value)) value.forEach((one) => asked.append(name, one));
    else if (value !== null && value !== undefined && value !== "") asked.set(name, value);
  }
  const text = asked.toString();
  return text ? `${path}?${text}` : path;
}

export async function call(method, path, { query, json, body, signal } = {}) {
  const headers = { Accept: "application/json" };
  if (json !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(address(path, query), {
      method, headers, signal, body: json === undefined ? body : JSON.stringify(json),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, AWAY);
  }
  if (response.status === 401) {
    await signIn();
    return call(method, path, { query, json, body, signal });
  }
  const data = response.status === 204 ? null : await response.json().catch(() => null);
  if (!response.ok) throw new Problem(response.status, data ?? { title: response.statusText });
  return data;
}

export const get = (path, query, signal) => call("GET", path, { query, signal });
export const post = (path, options) => call("POST", path, options);
export const path = (...parts) => "/" + parts.map(encodeURIComponent).join("/");

// A large body, with news of how much is sent; fetch tells none.
export function send(where, body, onsent) {
  const request = new XMLHttpRequest();
  const answered = new Promise((resolve, reject) => {
    request.open("POST", where);
    request.responseType = "json";
    request.upload.onprogress = (event) => onsent(event.loaded);
    request.onerror = () => reject(new Problem(0, AWAY));
    request.onabort = () => reject(new DOMException("Stopped.", "AbortError"));
    request.onload = async () => {
      if (request.status === 401) {
        await signIn();
        resolve(send(where, body, onsent).answered);
      } else if (request.status < 300) resolve(request.response);
      else reject(new Problem(request.status, request.response ?? { title: request.statusText }));
    };
    request.send(body);
  });
  return { answered, stop: () => request.abort() };
}

let asking = null;

// One dialog, however many requests wait for it.
function signIn() {
  asking ??= new Promise((resolve) => {
    const key = h("input", { type: "password", required: true, autocomplete: "current-password", name: "key" });
    const said = h("div", {});
    const form = h("form", {
      class: "stack",
      onsubmit: async (event) => {
        event.preventDefault();
        const answer = await fetch("/session", {
          method: "POST", headers: { Authorization: `Bearer ${key.value}` },
        }).catch(() => null);
        if (!answer?.ok) {
          put(said, h("div", { class: "problem", role: "alert" },
            answer ? "The server does not know this key." : AWAY.detail));
          return;
        }
        asking = null;
        signedIn(true);
        made.close();
        resolve();
      },
    }, h("p", {}, "This server needs an API key."), field("API key", key), said,
    h("div", { class: "row" }, h("button", { class: "primary" }, "Sign in")));
    const made = dialog("Sign in", form);
    made.addEventListener("cancel", (event) => event.preventDefault());
    made.addEventListener("close", () => asking && (asking = null));
  });
  return asking;
}

function signedIn(yes) {
  try {
    if (yes) localStorage.setItem("signed-in", "1");
    else localStorage.removeItem("signed-in");
  } catch { /* without storage there is only no button */ }
  showSignOut();
}

export function showSignOut() {
  const out = document.getElementById("sign-out");
  try { out.hidden = !localStorage.getItem("signed-in"); } catch { out.hidden = true; }
  out.onclick = async () => {
    await fetch("/session", { method: "DELETE" });
    signedIn(false);
    location.reload();
  };
}

export const ended = (job) => ["succeeded", "failed", "cancelled"].includes(job.state);

// A browser holds six connections to one server: streams must leave some for everything else.
const STREAMS = 2;
const POLL_MS = 1500;
// A network that went away is told to nobody: a stream that is silent for so long is asked after.
const SILENT_MS = 5000;
let streams = 0;

// Tells of a job until it has ended, through lost connections: onlost(error) when nothing is heard
// any more, onlost(null) when it is again. Returns how to stop.
export function follow(id, onjob, onlost = () => {}) {
  let source = null, timer, stopped = false, lost = null;
  const later = (work, wait) => { clearTimeout(timer); timer = setTimeout(work, wait); };
  const say = (error) => { if (error?.detail !== lost?.detail) onlost(lost = error); };
  const hear = (job) => {
    if (stopped) return;
    say(null);
    onjob(job);
    if (ended(job)) { stop(); announce(`Job ${job.kind}: ${job.state}`); }
  };
  const fail = (error) => {
    if (stopped) return;
    say(error);
    if (error.status === 404) stop();
  };
  const look = async () => {
    close();
    await get(path("jobs", id)).then(hear, fail);
    if (!stopped) later(look, !lost && open() ? SILENT_MS : POLL_MS);
  };
  const close = () => {
    if (source) { source.close(); source = null; streams -= 1; }
  };
  const open = () => {
    if (streams >= STREAMS) return false;
    streams += 1;
    source = new EventSource(`/jobs/${encodeURIComponent(id)}/events`);
    source.addEventListener("job", (event) => {
      later(look, SILENT_MS);
      hear(JSON.parse(event.data)); // which may stop it all
    });
    // A browser connects again by itself, but not after every error, and does not say why.
    source.onerror = () => { close(); later(look, POLL_MS); };
    return true;
  };
  const change = () => later(look, 0);
  const stop = () => {
    stopped = true;
    clearTimeout(timer);
    close();
    for (const kind of ["online", "offline"]) removeEventListener(kind, change);
  };
  for (const kind of ["online", "offline"]) addEventListener(kind, change);
  later(look, open() ? SILENT_MS : POLL_MS);
  return stop;
}

export async function libraries() {
  return (await get("/libraries")).libraries;
}
