// Search: a picture in, what looks like it out.
import { address, call, get, libraries, path } from "./api.js";
import { shown } from "./answer.js";
import { cropper } from "./crop.js";
import { announce, field, h, number, problem, put, select, setAddress } from "./dom.js";

export const TITLE = "Search";
const SPACES = [["auto", "auto: code, then feature"], ["hash", "hash: binary code"],
  ["feature", "feature: last hidden layer"], ["softmax", "softmax: class probabilities"]];
const ROUTINGS = [["adaptive", "adaptive: as many as needed"], ["argmax", "argmax: the likeliest class"],
  ["all", "all: every class"], ["named", "named: those I choose"]];
const CROPS = [["1", "1: the picture as it is"], ["10", "10: corners, centre, mirrors"]];
const ACCEPT = "image/*,.avif,.tif,.tiff,.bmp,.webp";
const TYPING_MS = 250;

// The last picture given stays while other screens are looked at.
const kept = { file: null };

export async function render(screen, query, left) {
  const all = await libraries();
  if (!all.length) {
    put(screen, h("h1", {}, "Search"), h("p", {}, "There is no library yet. ",
      h("a", { href: "#/libraries" }, "Make one and add pictures"), ", then train a model."));
    return;
  }
  const searchable = all.filter((library) => library.model);
  const state = {
    library: query.get("library") ?? (searchable[0] ?? all[0]).name,
    k: query.get("k") ?? "24", space: query.get("space") ?? "auto",
    routing: query.get("routing") ?? "adaptive", classes: query.getAll("classes"),
    min_similarity: query.get("min_similarity") ?? "", crops: query.get("crops") ?? "1",
    image_id: query.get("image_id"), image_url: query.get("image_url"), crop: query.get("crop") ?? "",
  };
  if (state.classes.length) state.routing = "named";
  let file = state.image_id || state.image_url ? null : kept.file;
  let source = null, asked = null, timer = null, fresh = false;

  const preview = h("div", { class: "preview" });
  const results = h("section", { class: "results", "aria-label": "Results" });
  const chooser = h("input", { type: "file", accept: ACCEPT, class: "unseen", id: "choose", onchange: () => give(chooser.files[0]) });
  const camera = h("input", { type: "file", accept: "image/*", capture: "environment", class: "unseen", id: "photograph", onchange: () => give(camera.files[0]) });
  const web = h("input", { type: "url", name: "image_url", placeholder: "https://…", value: state.image_url ?? "" });
  const drop = h("div", { class: "drop" },
    h("p", {}, "Drop or paste a picture here"),
    h("div", { class: "row" },
      h("label", { class: "button primary", for: "choose" }, "Choose a picture"), chooser,
      h("label", { class: "button only-touch", for: "photograph" }, "Take a photo"), camera));
  const chosenLibrary = select(all.map((library) => [library.name, `${library.name} (${number(library.indexed)} searchable)`]),
    state.library, { name: "library", onchange: () => { state.library = chosenLibrary.value; state.classes = []; showClasses().catch(tell); again(); } });
  const k = amount("k", { min: 1, max: 1000, required: true });
  const least = amount("min_similarity", { min: 0, max: 1, step: "any", placeholder: "any" });
  const space = chosen("space", SPACES);
  const routing = chosen("routing", ROUTINGS, () => showClasses().catch(tell));
  const crops = chosen("crops", CROPS);
  const classes = h("div", {});
  const unusual = state.routing !== "adaptive" || state.space !== "auto" || state.min_similarity || state.crops !== "1";

  put(screen, h("h1", {}, "Search"), h("div", { class: "columns" },
    h("section", { class: "panel query-panel", "aria-label": "Query" }, drop, preview,
      h("form", { class: "join", onsubmit: (event) => { event.preventDefault(); if (web.reportValidity() && web.value) giveUrl(web.value); } },
        field("Or the address of a picture", web), h("button", {}, "Fetch")),
      field("Library", chosenLibrary),
      h("details", { open: matchMedia("(min-width: 60rem)").matches || unusual },
        h("summary", {}, "How to search"), h("div", { class: "stack" },
          h("div", { class: "pair" }, field("Hits", k), field("Least similarity", least)),
          field("Space", space, "What pictures are compared by."),
          field("Routing", routing, "Which class tables are scanned."), classes,
          field("Crops of the query", crops, "10 is slower, and finds a little more.")))),
    results));

  // A control whose value is a part of the query.
  function chosen(name, choices, then = () => {}) {
    const made = select(choices, state[name], { name, onchange: () => { state[name] = made.value; then(); again(); } });
    return made;
  }

  function amount(name, attributes) {
    const made = h("input", { type: "number", name, value: state[name], ...attributes,
      oninput: () => { state[name] = made.value; again(); } });
    return made;
  }

  function tell(error) { if (!left.aborted) put(results, problem(error)); }

  function give(given) {
    if (!given) return;
    file = kept.file = given;
    fresh = true;
    Object.assign(state, { image_id: null, image_url: null, crop: "" });
    web.value = "";
    show();
  }

  function giveUrl(url) {
    file = kept.file = null;
    fresh = true;
    Object.assign(state, { image_id: null, image_url: url, crop: "" });
    show();
  }

  function show() {
    if (source?.startsWith("blob:")) URL.revokeObjectURL(source);
    source = file ? URL.createObjectURL(file) : state.image_id ? path("images", state.image_id, "content") : null;
    const cropped = (crop) => { state.crop = crop; again(); };
    if (source) {
      put(preview, cropper(source, state.crop, cropped),
        file && h("small", {}, "The address of this page keeps the search's settings, but not a picture of your own."));
    } else if (state.image_url) {
      put(preview, h("p", { class: "hint" }, "Picture at ", h("span", { class: "url" }, state.image_url)),
        cropper(null, state.crop, cropped));
    } else put(preview);
    drop.classList.toggle("small", Boolean(source ?? state.image_url));
    again(0);
  }

  async function showClasses() {
    put(classes);
    if (state.routing !== "named") { state.classes = []; return; }
    const { model } = await get(path("libraries", state.library), {}, left);
    if (!model) return;
    const { card } = await get(path("models", model), {}, left);
    put(classes, h("fieldset", {}, h("legend", {}, "Classes to scan"), h("div", { class: "chips" },
      card.classes.map((name) => h("label", { class: "chip" }, h("input", {
        type: "checkbox", name: "classes", value: name, checked: state.classes.includes(name),
        onchange: () => {
          state.classes = [...classes.querySelectorAll("input:checked")].map((box) => box.value);
          again();
        },
      }), name)))));
  }

  const parameters = () => ({ ...state, classes: state.routing === "named" ? state.classes : [] });

  function again(wait = TYPING_MS) {
    clearTimeout(timer);
    setAddress("search", new URLSearchParams(address("", parameters()).slice(1)));
    if (!file && !state.image_id && !state.image_url) return;
    if (state.routing === "named" && !state.classes.length) {
      put(results, h("p", { class: "hint" }, "Choose the classes to scan."));
      return;
    }
    if (![k, least].every((input) => input.reportValidity())) return;
    timer = setTimeout(search, wait);
  }

  async function search() {
    asked?.abort();
    const mine = asked = new AbortController();
    results.setAttribute("aria-busy", "true");
    try {
      const answer = await call("POST", "/search", { query: parameters(), body: file ?? undefined, signal: mine.signal });
      const labels = Object.keys(all.find((library) => library.name === state.library)?.labels ?? {});
      put(results, shown(answer, { labels, settings: parameters, onproblem: tell }));
      if (fresh && matchMedia("(max-width: 60rem)").matches) results.scrollIntoView(); // it is below the query
      fresh = false;
      const found = answer.hits.length;
      announce(`${answer.match ? "" : "No match. "}${found} ${found === 1 ? "hit" : "hits"}`);
    } catch (error) {
      if (!mine.signal.aborted) tell(error);
    } finally {
      if (asked === mine) results.removeAttribute("aria-busy");
    }
  }

  addEventListener("paste", (event) => {
    const [given] = event.clipboardData.files;
    if (given) return give(given);
    const text = event.clipboardData.getData("text").trim();
    if (/^https?:\/\/\S+$/.test(text) && !event.target.closest?.("input, textarea")) {
      web.value = text;
      giveUrl(text);
    }
  }, { signal: left });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    addEventListener(kind, (event) => {
      drop.classList.toggle("over", kind === "dragover");
      if (kind === "drop") give(event.dataTransfer.files[0]);
    }, { signal: left });
  }
  left.addEventListener("abort", () => { clearTimeout(timer); asked?.abort(); });

  put(results, h("p", { class: "hint" }, searchable.length
    ? "Give a picture, and what looks like it appears here."
    : ["No library has a model yet. ", h("a", { href: "#/train" }, "Train one"), " first."]));
  show();
  await showClasses();
}
