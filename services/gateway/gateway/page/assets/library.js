// One library: add pictures, see what is in it, label it, clear it, delete it.
import { call, get, path } from "./api.js";
import { browser } from "./browse.js";
import { acting, announce, ask, button, dialog, facts, field, h, number, problem, put, select, setAddress } from "./dom.js";
import { ingest } from "./jobs.js";
import { sources } from "./sources.js";
import * as uploads from "./uploads.js";

export async function show(screen, query, left) {
  const name = query.get("library");
  let library = await get(path("libraries", name), {}, left);
  const classes = library.model ? (await get(path("models", library.model), {}, left)).card.classes : [];
  const head = h("div", {});
  const pictures = h("div", {});
  const jobs = h("div", {});
  const labels = select([["folders", "the folder a picture is in"], ["none", "nothing: leave them unlabelled"]], "folders", { name: "labels" });
  const files = h("input", { type: "file", multiple: true, class: "unseen", id: "files", name: "files", onchange: () => take(uploads.chosen(files.files), files) });
  const folder = h("input", { type: "file", webkitdirectory: true, class: "unseen", id: "folder", name: "folder", onchange: () => take(uploads.chosen(folder.files), folder) });
  const drop = h("div", { class: "drop", id: "drop-pictures" }, h("p", {}, "Drop a folder, a zip or pictures here"),
    h("div", { class: "row" }, h("label", { class: "button primary", for: "folder" }, "Choose a folder"), folder,
      h("label", { class: "button", for: "files" }, "Choose files or a zip"), files));
  let shown = null;
  const more = button("Show the new pictures", () => { more.hidden = true; showPictures(); });
  more.hidden = true;

  put(screen, h("p", {}, h("a", { href: "#/libraries" }, "← All libraries")), h("h1", {}, name),
    h("div", { class: "panels" }, head,
      h("section", { class: "panel stack", "aria-label": "Add pictures" }, h("h2", {}, "Add pictures"),
        drop, field("Labels come from", labels), sources(name, labels, { left, add: (job) => jobs.prepend(job), onend: changed }), jobs),
      h("div", { class: "row" }, more), pictures));
  showHead();
  showPictures();

  listen();
  uploads.showIn(jobs, name);
  const running = await get("/jobs", { kind: "ingest", library: name, page_size: 5 }, left);
  for (const job of running.jobs) {
    if (jobs.querySelector(`[data-job="${CSS.escape(job.id)}"]`)) continue; // shown as an upload
    jobs.append(ingest(job, { left, title: `Added ${new Date(job.created_at).toLocaleString()}`, onend: changed, again: { chosen: take } }));
  }

  function listen() {
    for (const kind of ["dragover", "dragleave", "drop"]) {
      addEventListener(kind, (event) => {
        drop.classList.toggle("over", kind === "dragover");
        if (kind === "drop") uploads.dropped(event.dataTransfer).then(take, tell);
      }, { signal: left });
    }
    addEventListener(uploads.CHANGED, ({ detail }) => detail === name && changed(), { signal: left });
  }

  function tell(error) { jobs.prepend(problem(error)); }

  async function take(given, input) {
    await uploads.upload(given, { library: name, labels: labels.value }).catch(tell);
    if (input) input.value = "";
  }

  async function changed() {
    await refresh();
    if (pictures.querySelector(".grid li")) more.hidden = false;
    else showPictures();
  }

  function showPictures() {
    shown = browser(library, classes, {
      left, query, onchange: refresh,
      onfilter: (filters) => {
        query = new URLSearchParams({ library: name });
        for (const [key, value] of Object.entries(filters)) if (value) query.set(key, value);
        setAddress("libraries", query);
      },
    });
    put(pictures, shown.element);
  }

  async function refresh() {
    library = await get(path("libraries", name), {}, left).catch(() => library);
    showHead();
    shown.update(library);
  }

  function setFloor() {
    const floor = h("input", { type: "number", name: "floor", min: 0, max: 1, step: "any", placeholder: "0.80",
      value: library.floor_is_default ? "" : String(library.floor) });
    const made = dialog("Floor", h("form", { class: "stack", "data-problems": true, onsubmit: (event) => event.preventDefault() },
      field("P@10 below which no model goes live", floor, "From 0 to 1; empty: the default again. The live model stays live."),
      h("div", { class: "row" }, acting("Save", async () => {
        if (!floor.reportValidity()) return;
        library = await call("PATCH", path("libraries", name), { json: { floor: floor.value ? floor.valueAsNumber : null } });
        made.close();
        showHead();
      }, "primary", { type: "submit" }))));
  }

  function showHead() {
    const quoted = encodeURIComponent(name);
    put(head, h("section", { class: "panel stack", "aria-label": "Summary" }, facts([
      ["Pictures", number(library.images)], ["Searchable", number(library.indexed)],
      ["Labels", number(Object.keys(library.labels).length)],
      ["Live model", library.model ?? "none yet"],
      ["Floor", `P@10 ${library.floor.toFixed(2)}${library.floor_is_default ? " (default)" : ""}`],
    ]), h("div", { class: "row", "data-problems": true },
      library.model && h("a", { class: "button primary", href: `#/search?library=${quoted}` }, "Search"),
      h("a", { class: library.model ? "button" : "button primary", href: `#/train?library=${quoted}` }, "Train"),
      library.model && acting("Rebuild", async () => {
        const job = await call("POST", `/admin${path("libraries", name, "rebuild")}`);
        jobs.prepend(ingest(job, { left, title: "File every picture anew", onend: changed }));
      }),
      library.model && acting("Clear", async () => {
        if (!await ask("Clear this library's class tables?", "Nothing can be found until it is rebuilt. The pictures and their labels stay.", "Clear")) return;
        const { removed } = await call("POST", `/admin${path("libraries", name, "clear")}`);
        announce(`${removed} rows removed`);
        await refresh();
      }, "danger"),
      acting("Set floor", async () => setFloor(), ""),
      acting("Delete library", async () => {
        if (!await ask(`Delete library ${name}?`, `Its ${number(library.images)} pictures and their labels are removed for good. Its models stay.`, "Delete")) return;
        await call("DELETE", path("libraries", name));
        location.hash = "#/libraries";
      }, "danger"))));
  }
}
