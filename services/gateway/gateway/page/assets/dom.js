// Elements without markup: every text becomes a text node, so nothing a user wrote can become
// anything else. The page's policy (trusted types) forbids the other way altogether.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...flat(children));
  return element;
}

function flat(children) {
  return children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false);
}

export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export function put(element, ...children) {
  element.replaceChildren(...flat(children));
  return element;
}

let serial = 0;

// A control with its label above it, and an explanation below.
export function field(label, control, hint) {
  control.id ||= `f${++serial}`;
  const note = hint && h("small", { id: `${control.id}-hint` }, hint);
  if (note) control.setAttribute("aria-describedby", note.id);
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control, note);
}

export function options(choices, chosen) {
  return choices.map((choice) => {
    const [value, text] = Array.isArray(choice) ? choice : [choice, choice];
    return h("option", { value, selected: value === chosen }, text);
  });
}

export function select(choices, chosen, attributes) {
  return h("select", attributes, options(choices, chosen));
}

export function button(text, onclick, kind = "", attributes = {}) {
  return h("button", { type: "button", class: kind, onclick, ...attributes }, text);
}

// Runs a click's work with the button off; a problem is shown beside it.
export function acting(text, work, kind = "", attributes = {}) {
  const made = button(text, async () => {
    const place = made.closest("[data-problems]") ?? made.parentElement;
    clearProblems(place);
    made.disabled = true;
    try {
      await work();
    } catch (error) {
      place.append(problem(error));
    } finally {
      made.disabled = false;
    }
  }, kind, attributes);
  return made;
}

export function problem(error) {
  if (error.name === "AbortError") return document.createDocumentFragment(); // nobody waits any more
  const title = error.title ?? "This page has failed";
  const detail = error.detail ?? String(error.message ?? error);
  return h("div", { class: "problem", role: "alert" }, h("strong", {}, title), " ", detail);
}

export function clearProblems(place) {
  for (const old of place.querySelectorAll(":scope > .problem")) old.remove();
}

export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

export function dialog(title, ...children) {
  const heading = h("h2", { id: `d${++serial}` }, title);
  const made = h("dialog", { "aria-labelledby": heading.id, "data-problems": true },
    h("div", { class: "dialog-top" }, heading,
      button("×", () => made.close(), "quiet close", { "aria-label": "Close" })),
    children);
  made.addEventListener("close", () => made.remove());
  made.addEventListener("click", (event) => event.target === made && made.close());
  document.body.append(made);
  made.showModal();
  return made;
}

// Resolves to whether the person agreed.
export function ask(title, text, verb) {
  return new Promise((resolve) => {
    let agreed = false;
    const opener = document.activeElement;
    const made = dialog(title, h("p", {}, text), h("div", { class: "row" },
      button(verb, () => { agreed = true; made.close(); }, "danger"),
      button("Cancel", () => made.close())));
    made.addEventListener("close", () => {
      resolve(agreed);
      // the button that asked was off, so that the browser could not go back to it
      setTimeout(() => { if (document.activeElement === document.body) opener?.focus(); });
    });
  });
}

export const number = (value, digits = 0) => value === null || value === undefined ? "–"
  : value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits });

export const percent = (value, digits = 1) => value === null || value === undefined ? "–"
  : `${(value * 100).toFixed(digits)} %`;

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// with spaces that do not break
export function bytes(count) {
  if (count < 1024) return `${count}\u00a0B`;
  if (count < 1 << 20) return `${(count / 1024).toFixed(0)}\u00a0kB`;
  if (count < 1 << 30) return `${(count / (1 << 20)).toFixed(1)}\u00a0MB`;
  return `${(count / (1 << 30)).toFixed(2)}\u00a0GB`;
}

export function when(text) {
  if (!text) return "–";
  const date = new Date(text);
  const shown = date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  return h("time", { datetime: text }, shown);
}

export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(Boolean).map(([name, value]) =>
    h("div", {}, h("dt", {}, name), h("dd", {}, value ?? "–"))));
}

// `cards`: on a phone each row is a card, its cells named by their heads, instead of a wide table
// that has to be pushed aside. The roles say again what that takes away.
export function table(caption, heads, rows, { cards = false } = {}) {
  const made = h("table", {}, h("caption", { class: "unseen" }, caption),
    h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, rows));
  if (cards) asCards(made, heads);
  return h("div", { class: cards ? "scroll cards" : "scroll", tabindex: "0", role: "group", "aria-label": caption }, made);
}

const ROLES = { THEAD: "rowgroup", TBODY: "rowgroup", TR: "row", TD: "cell" };

function asCards(made, heads) {
  made.setAttribute("role", "table");
  for (const part of made.querySelectorAll("thead, tbody, tr, td, th")) {
    part.setAttribute("role", ROLES[part.tagName] ?? (part.scope === "row" ? "rowheader" : "columnheader"));
  }
  for (const row of made.tBodies[0].rows) {
    [...row.cells].forEach((cell, i) => cell.setAttribute("data-head", typeof heads[i] === "string" ? heads[i] : ""));
  }
}

// Screens change the address without being drawn again.
export function setAddress(screen, query) {
  const text = query.toString();
  history.replaceState(null, "", `#/${screen}${text ? `?${text}` : ""}`);
}
