// One training run: live figures and curves, and at the end the card and the gate's word.
import { ended, follow, get, path } from "./api.js";
import { cardOf, figures, gateWord, promoteButton, reportLink } from "./card.js";
import { chart } from "./chart.js";
import { duration, facts, h, number, percent, problem, put } from "./dom.js";
import { cancelButton, lostIn, problemOf, progressBar, stateTag } from "./jobs.js";

const LOOK_MS = 2000;

export async function show(place, id, left) {
  const first = await get(path("jobs", id), {}, left);
  const head = h("div", { class: "stack" });
  const lost = h("div", { "aria-live": "polite" });
  const curves = h("div", { class: "split" });
  const end = h("div", { class: "stack" });
  put(place, h("section", { class: "panel stack", "aria-label": "Training run" }, head, lost, curves, end));
  let timer = null, latest = first;

  function draw(job) {
    const p = job.progress;
    put(head, h("div", { class: "job-top" }, h("h1", {}, `Training on ${job.library}`), h("span", { class: "row" }, stateTag(job), cancelButton(job))),
      progressBar(job),
      ended(job) ? null : facts([
        ["Epoch", p.epoch === null || p.epoch === undefined ? "–" : `${number(p.epoch, Number.isInteger(p.epoch) ? 0 : 1)} of ${number(p.epochs)}`],
        ["Iteration", p.iteration ? `${number(p.iteration)} of ${number(p.iterations)}` : "–"],
        ["Loss", p.loss?.toFixed(4)], ["Validation accuracy", percent(p.validation_accuracy)],
        ["Pictures per second", number(p.images_per_second)],
        ["Time left", duration(p.eta_seconds)], ["Device", p.device],
      ]), problemOf(job));
  }

  async function drawCurves() {
    const { runs } = await get("/admin/training-curves", { job: id }, left);
    const points = runs[0]?.points ?? [];
    const of = (key) => points.map((point) => [point.iteration, point[key] ?? NaN]);
    put(curves, h("h2", { class: "unseen" }, "Curves"), chart("Loss", [{ name: "training loss", points: of("loss") }], { x: "iteration" }),
      chart("Accuracy", [{ name: "validation", points: of("validation_accuracy") },
        { name: "training, as it went", points: of("training_accuracy") }],
      { x: "iteration", from: 0, to: 1, format: (v) => `${Math.round(v * 1000) / 10} %` }));
  }

  // What is drawn stays; the next look draws it anew.
  function undrawn(error) {
    if (!left.aborted && !curves.querySelector("svg")) put(curves, problem(error));
  }

  async function look() {
    await drawCurves().catch(undrawn);
    if (!ended(latest) && !left.aborted) timer = setTimeout(look, LOOK_MS);
  }

  async function finish(job) {
    clearTimeout(timer);
    await drawCurves().catch(undrawn);
    if (!job.result?.model) {
      put(end, h("div", { class: "row" }, h("a", { class: "button", href: `#/train?library=${encodeURIComponent(job.library)}` }, "Train again")));
      return;
    }
    try {
      const model = await get(path("models", job.result.model), {}, left);
      put(end, h("h2", {}, "The model"), gateWord(job.result), cardOf(model, job.result.gate),
        model.card.evaluation && [h("h3", {}, "Figures"), figures(model.card.evaluation)],
        h("div", { class: "row", "data-problems": true },
          model.live ? h("a", { class: "button primary", href: `#/search?library=${encodeURIComponent(job.library)}` }, "Search with it")
            : promoteButton(model, { left, override: job.result.gate?.promoted === false, onend: () => finish(job) }),
          reportLink(model), h("a", { class: "button", href: `#/models?library=${encodeURIComponent(job.library)}` }, "Compare models")));
    } catch (error) {
      if (!left.aborted) put(end, problem(error));
    }
  }

  draw(first);
  if (ended(first)) return finish(first);
  look();
  const stop = follow(id, (job) => {
    latest = job;
    draw(job);
    if (ended(job)) finish(job);
  }, lostIn(lost));
  left.addEventListener("abort", () => { stop(); clearTimeout(timer); });
}
