// Search: a picture in, what looks like it out.
import { address, call, get, libraries, path } from "./api.js";
import { cropper } from "./crop.js";
import { announce, field, h, number, percent, problem, put, select, setAddress } from "./dom.js";
import * as picture from "./picture.js";

export const TITLE = "Search";
const SPACES = [["auto", "auto: code, then feature"], ["hash", "hash: binary code"],
  ["feature", "feature: last hidden layer"], ["softmax", "softmax: class probabilities"]];
const ROUTINGS = [["adaptive", "adaptive: as many as needed"], ["argmax", "argmax: the likeliest class"],
  ["all", "all: every class"], ["named", "named: those I choose"]];
const AT_ONCE = 60;
const ACCEPT = "image/*,.avif,.tif,.tiff,.bmp,.webp";

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
    image_id: query.get("image_id"), image_url: query.get("image_url"), crop: query.get("crop") ?? "",
  };
  if (state.classes.length) state.routing = "named";
  let file = state.image_id || state.image_url ? null : kept.file;
  let source = null, asked = null, timer = null;

  const preview = h("div", {});
  const results = h("section", { class: "results", "aria-label": "Results" });
  const chooser = h("input", { type: "file", accept: ACCEPT, class: "unseen", id: "choose", onchange: () => give(chooser.files[0]) });
  const camera = h("input", { type: "file", accept: "image/*", capture: "environment", class: "unseen", "aria-label": "Take a photo", id: "photograph", onchange: () => give(camera.files[0]) });
  const web = h("input", { type: "url", name: "image_url", placeholder: "https://…", value: state.image_url ?? "" });
  const drop = h("div", { class: "drop" },
    h("p", {}, "Drop or paste a picture here"),
    h("div", { class: "row" },
      h("label", { class: "button primary", for: "choose" }, "Choose a picture"), chooser,
      h("label", { class: "button only-touch", for: "photograph" }, "Take a photo"), camera));
  const chosenLibrary = select(all.map((library) => [library.name, `${library.name} (${number(library.indexed)} searchable)`]),
    state.library, { name: "library", onchange: () => { state.library = chosenLibrary.value; state.classes = []; showClasses().catch(tell); again(); } });
  const k = h("input", { type: "number", name: "k", min: 1, max: 1000, value: state.k, oninput: () => { state.k = k.value; again(); } });
  const space = select(SPACES, state.space, { name: "space", onchange: () => { state.space = space.value; again(); } });
  const routing = select(ROUTINGS, state.routing, { name: "routing", onchange: () => { state.routing = routing.value; showClasses().catch(tell); again(); } });
  const classes = h("div", {});

  put(screen, h("h1", {}, "Search"), h("div", { class: "columns" },
    h("section", { class: "panel query-panel", "aria-label": "Query" }, drop, preview,
      h("form", { class: "join", onsubmit: (event) => { event.preventDefault(); if (web.reportValidity() && web.value) giveUrl(web.value); } },
        field("Or the address of a picture", web), h("button", {}, "Fetch")),
      h("div", { class: "stack" }, field("Library", chosenLibrary), h("details", { open: matchMedia("(min-width: 60rem)").matches || state.routing === "named" },
        h("summary", {}, "How to search"), h("div", { class: "stack" }, field("How many hits", k), field("Space", space, "What pictures are compared by."),
        field("Routing", routing, "Which class tables are scanned."), classes)))),
    results));

  function tell(error) { if (!left.aborted) put(results, problem(error)); }

  function give(given) {
    if (!given) return;
    file = kept.file = given;
    Object.assign(state, { image_id: null, image_url: null, crop: "" });
    web.value = "";
    show();
  }

  function giveUrl(url) {
    file = kept.file = null;
    Object.assign(state, { image_id: null, image_url: url, crop: "" });
    show();
  }

  function show() {
    if (source?.startsWith("blob:")) URL.revokeObjectURL(source);
    source = file ? URL.createObjectURL(file) : state.image_id ? path("images", state.image_id, "content") : null;
    const cropped = (crop) => { state.crop = crop; again(); };
    if (source) put(preview, cropper(source, state.crop, cropped));
    else if (state.image_url) put(preview, h("p", { class: "hint" }, "Picture at ", h("span", { class: "url" }, state.image_url)));
    else put(preview);
    drop.classList.toggle("small", Boolean(source));
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

  function parameters() {
    const named = state.routing === "named";
    return {
      library: state.library, k: state.k, space: state.space, routing: state.routing,
      classes: named ? state.classes : [], image_id: state.image_id, image_url: state.image_url, crop: state.crop,
    };
  }

  function again(wait = 250) {
    clearTimeout(timer);
    const query = address("", parameters()).slice(1);
    setAddress("search", new URLSearchParams(query));
    if (!file && !state.image_id && !state.image_url) return;
    if (state.routing === "named" && !state.classes.length) {
      put(results, h("p", { class: "hint" }, "Choose the classes to scan."));
      return;
    }
    if (!k.checkValidity()) { k.reportValidity(); return; }
    timer = setTimeout(search, wait);
  }

  async function search() {
    asked?.abort();
    const mine = asked = new AbortController();
    results.setAttribute("aria-busy", "true");
    try {
      const answer = await call("POST", "/search", { query: parameters(), body: file ?? undefined, signal: mine.signal });
      put(results, shown(answer));
      const found = answer.hits.length;
      announce(`${answer.match ? "" : "No match. "}${found} ${found === 1 ? "hit" : "hits"}`);
    } catch (error) {
      if (!mine.signal.aborted) tell(error);
    } finally {
      if (asked === mine) results.removeAttribute("aria-busy");
    }
  }

  function shown(answer) {
    const { routing: scanned, timings_ms: times } = answer;
    return [
      h("p", { class: answer.match ? "verdict" : "verdict none" },
        h("strong", {}, answer.match ? "Match" : "No match"), " ",
        answer.match ? `${answer.hits.length} nearest pictures`
          : "Nothing in this library is as near as a picture of one of its classes should be. The nearest are shown below."),
      h("div", { class: "panel found" },
        h("div", {}, h("h2", {}, "Predicted class"), bars(answer.query.classes.slice(0, 5))),
        h("div", {}, h("h2", {}, "Scanned"),
          h("p", {}, h("strong", {}, scanned.classes.join(", ")), ` (${scanned.mode}, probability ${percent(scanned.probability)})`),
          h("p", {}, `${number(scanned.compared)} of ${number(scanned.library_size)} pictures compared`),
          h("details", {}, h("summary", {}, `${times.total.toFixed(1)} ms on ${answer.device}`),
            h("ul", { class: "times" }, Object.entries(times).filter(([name]) => name !== "total").map(([name, ms]) =>
              h("li", {}, h("span", {}, name), h("span", {}, `${ms.toFixed(1)} ms`)))))),
      ),
      grid(answer.hits),
    ];
  }

  // The first are on the screen at once; the others follow, frame by frame.
  function grid(hits) {
    const made = h("ol", { class: "grid", "aria-label": "Hits, nearest first" }, hits.slice(0, AT_ONCE).map(card));
    let next = AT_ONCE;
    const add = () => {
      made.append(...hits.slice(next, next + AT_ONCE).map(card));
      next += AT_ONCE;
      if (next < hits.length && made.isConnected) requestAnimationFrame(add);
    };
    if (next < hits.length) requestAnimationFrame(add);
    return made;
  }

  function bars(found) {
    return h("ul", { class: "bars" }, found.map((one) => h("li", { "--part": `${one.probability * 100}%` },
      h("span", { class: "name" }, one.class), h("span", {}, percent(one.probability)))));
  }

  function card(hit) {
    const labels = all.find((library) => library.name === state.library)?.labels ?? {};
    const item = h("li", {});
    const draw = (label) => put(item, h("button", {
      type: "button", class: "card", title: hit.filename,
      onclick: () => picture.open(hit.image_id, {
        hit, labels: Object.keys(labels), onchange: (image) => image ? draw(image.label) : item.remove(),
      }).catch(tell),
    }, picture.thumbnail(hit),
    h("span", { class: "similarity" }, h("span", { class: "unseen" }, "Similarity "), hit.similarity.toFixed(3)),
    h("span", { class: "label" }, label ?? h("i", {}, "no label")),
    label === hit.class ? null : h("span", { class: "class" }, `class ${hit.class}`)));
    draw(hit.label);
    return item;
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
