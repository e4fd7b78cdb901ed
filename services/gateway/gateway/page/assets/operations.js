// Operations: promises kept or not, speed of training, the doctor, jobs, clear and rebuild.
import { call, ended, get, libraries, path } from "./api.js";
import { watch } from "./card.js";
import { chart, legend } from "./chart.js";
import { acting, announce, ask, h, number, problem, put, select, table, when } from "./dom.js";
import { cancelButton, problemOf, progressBar, stateTag, words } from "./jobs.js";

export const TITLE = "Operations";
const LOOK_MS = 5000;
const RUNS = 6;

export async function render(screen, query, left) {
  const sla = panel("The requirements", "Requirements");
  const curves = panel("Speed of training", "Speed of training");
  const doctor = panel("Doctor", "Doctor");
  const jobs = panel("Jobs", "Jobs");
  const upkeep = panel("Clear and rebuild", "Clear and rebuild");
  put(screen, h("h1", {}, "Operations"), h("div", { class: "panels" }, sla.panel,
    h("div", { class: "split" }, jobs.panel, upkeep.panel), curves.panel, doctor.panel));

  const parts = [[sla, showSla], [curves, showCurves], [jobs, showJobs], [upkeep, showUpkeep], [doctor, showDoctor]];
  const ill = new Set(); // what could not be shown is tried again
  const look = ([place, work]) => work(place.body).then(() => ill.delete(place), (error) => failed(place, error));
  await Promise.all(parts.map(look));
  const timer = setInterval(() => {
    for (const part of parts) if (part[0] === sla || part[0] === jobs || ill.has(part[0])) look(part);
  }, LOOK_MS);
  left.addEventListener("abort", () => clearInterval(timer));

  function failed(place, error) {
    ill.add(place);
    if (!left.aborted) put(place.body, problem(error));
  }

  async function showSla(place) {
    const report = await get("/admin/sla", {}, left);
    if (place.contains(document.activeElement) && place.childElementCount) return;
    put(place, table("Requirements", ["Requirement", "Kept", "Promised", "Measured", "Measurements"], report.requirements.map((one) => h("tr", {},
      h("th", { scope: "row" }, one.name), h("td", {}, verdict(one.ok), one.advice && h("small", { class: "hint" }, one.advice)),
      h("td", {}, one.target),
      h("td", {}, one.value === null ? "–" : `${number(one.value, one.value < 10 ? 3 : 1)} ${one.unit}`),
      h("td", {}, h("small", {}, `${number(one.measurements)} in ${number(report.window_hours)} h`)))), { cards: true }));
  }

  async function showCurves(place) {
    const { runs } = await get("/admin/training-curves", {}, left);
    const last = [...runs].sort((a, b) => b.started_at.localeCompare(a.started_at));
    const picked = new Set(last.slice(0, RUNS).map((run) => run.job));
    const names = h("div", {});
    const drawn = h("div", { class: "split" });
    const clock = (run) => new Date(run.started_at).toLocaleString(undefined, { dateStyle: "short", timeStyle: "short" });
    const name = (run) => `${run.library}: ${run.network}, ${run.recipe}, ${run.machine}, ${clock(run)}`;
    const draw = () => {
      const shown = last.filter((run) => picked.has(run.job));
      const of = (f) => shown.map((run) => ({ name: name(run), colour: last.indexOf(run), points: f(run) }));
      put(names, legend(of(() => [])));
      put(drawn, chart("Iterations over time", of((run) => [[0, 0], ...run.points.map((p) => [p.seconds, p.iteration])]), { x: "seconds", named: false }),
        chart("Validation accuracy over time", of((run) => run.points.map((p) => [p.seconds, p.validation_accuracy ?? NaN])),
          { x: "seconds", named: false, from: 0, to: 1, format: (v) => `${Math.round(v * 1000) / 10} %` }));
    };
    put(place, last.length ? [h("details", {}, h("summary", {}, "Choose runs"), h("div", { class: "chips" }, last.map((run) =>
      h("label", { class: "chip" }, h("input", { type: "checkbox", checked: picked.has(run.job), onchange: (event) => {
        if (event.target.checked) picked.add(run.job);
        else picked.delete(run.job);
        draw();
      } }), `${name(run)}: ${number(run.iterations_per_second, 1)} iterations/s on ${run.device}`)))), names, drawn]
      : h("p", { class: "hint" }, "No run yet."));
    if (last.length) draw();
  }

  async function showDoctor(place) {
    const report = await get("/admin/doctor", {}, left);
    put(place, h("p", { class: report.ok ? "good" : "bad" }, h("strong", {}, report.ok ? "Everything works." : "Something does not work.")),
      table("Checks", ["Check", "State", "Found"], report.checks.map((one) => h("tr", {}, h("th", { scope: "row" }, one.check),
        h("td", {}, verdict(one.ok, "well", "ill")), h("td", {}, one.detail, one.advice && h("p", { class: "warn" }, one.advice)))), { cards: true }),
      h("div", { class: "row", "data-problems": true }, acting("Look again", () => showDoctor(place))));
  }

  async function showJobs(place) {
    const page = await get("/jobs", { page_size: 15 }, left);
    // what is being used is not drawn anew under the hand
    if (place.contains(document.activeElement) && place.childElementCount) return;
    put(place, page.jobs.length ? page.jobs.map((job) => h("div", { class: "job" },
      h("div", { class: "job-top" }, h("span", {}, h("strong", {}, words(job)), ` ${job.library ?? ""} `, h("small", {}, when(job.created_at))),
        h("span", { class: "row" }, job.kind === "train" && h("a", { href: `#/train?job=${encodeURIComponent(job.id)}` }, "Open"), stateTag(job), cancelButton(job))),
      ended(job) ? null : progressBar(job), problemOf(job))) : h("p", { class: "hint" }, "No job yet."));
  }

  async function showUpkeep(place) {
    const all = (await libraries()).filter((one) => one.model);
    if (!all.length) { put(place, h("p", { class: "hint" }, "No library has a live model yet.")); return; }
    const library = select(all.map((one) => [one.name, `${one.name}: ${number(one.indexed)} of ${number(one.images)} searchable`]), all[0].name, { name: "library", "aria-label": "Library" });
    const news = h("div", { "aria-live": "polite" });
    put(place, h("div", { class: "stack", "data-problems": true }, h("p", {}, "Clear empties a library's class tables; rebuild files every picture anew, beside the live index. Pictures and labels stay."),
      library, h("div", { class: "row" },
        acting("Clear", async () => {
          const name = library.value;
          if (!await ask(`Clear ${name}?`, "Nothing can be found in it until it is rebuilt.", "Clear")) return;
          const { removed } = await call("POST", `/admin${path("libraries", name, "clear")}`);
          announce(`${removed} rows removed`);
          await showUpkeep(place);
          place.querySelector("select").value = name;
          place.append(h("p", {}, `${number(removed)} rows were removed from ${name}.`));
        }, "danger"),
        acting("Rebuild", async () => {
          const job = await call("POST", `/admin${path("libraries", library.value, "rebuild")}`);
          watch(job, news, { left, onend: (done) => done.state === "succeeded" && showUpkeep(place).then(() => {
            place.append(h("p", {}, `${number(done.result.indexed)} pictures of ${done.library} are searchable.`));
          }) });
        })), news));
  }
}

function panel(title, name) {
  const body = h("div", {}, h("p", { class: "hint" }, "Looking…"));
  return { body, panel: h("section", { class: "panel stack", "aria-label": name }, h("h2", {}, title), body) };
}

function verdict(ok, yes = "kept", no = "missed") {
  if (ok === null) return h("span", { class: "tag" }, "not measured");
  return ok ? h("span", { class: "tag good" }, `✓ ${yes}`) : h("span", { class: "tag bad" }, `✗ ${no}`);
}
