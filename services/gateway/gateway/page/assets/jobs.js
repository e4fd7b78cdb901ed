// Jobs as they are shown everywhere: state, progress, rate, time left, what came of it.
import { call, ended, follow, path } from "./api.js";
import { acting, announce, duration, h, number, problem, put } from "./dom.js";
import { outcomes } from "./ledger.js";

const WORDS = { ingest: "Add pictures", train: "Train", evaluate: "Evaluate", reindex: "File anew" };
const KINDS = { succeeded: "good", failed: "bad", cancelled: "warn" };

export const stateTag = (job) => h("span", { class: `tag ${KINDS[job.state] ?? ""}` },
  job.cancel_requested && !ended(job) ? "stopping" : job.state);

export const words = (job) => WORDS[job.kind] ?? job.kind;

export function problemOf(job) {
  return job.error && problem({ title: job.error.title, detail: job.error.detail ?? JSON.stringify(job.error) });
}

export function progressBar(job) {
  const { done, total, unit, per_second, eta_seconds, phase } = job.progress;
  if (ended(job)) return null;
  const counted = total ? `${number(done)} of ${number(total)} ${unit}` : `${number(done)} ${unit}`;
  return [
    h("progress", { max: total ?? 1, value: total ? done : undefined, "aria-label": `${words(job)}: progress` }),
    h("small", {}, [phase, counted, per_second && `${number(per_second, per_second < 10 ? 1 : 0)} ${unit}/s`,
      eta_seconds !== null && eta_seconds !== undefined && `${duration(eta_seconds)} left`].filter(Boolean).join(" · ")),
  ];
}

export const cancelButton = (job) => ended(job) ? null : acting("Cancel", async () => {
  await call("POST", path("jobs", job.id, "cancel"));
  announce("Cancelling");
}, "quiet");

// One ingest with its live progress and ledger. onend(job) once; `again` as for the ledger.
export function ingest(job, { left, title, onend = () => {}, again } = {}) {
  const item = h("div", { class: "job", "data-job": job.id });
  const lost = h("div", { "aria-live": "polite" });
  const draw = (now) => {
    put(item, h("div", { class: "job-top" }, h("strong", {}, title ?? words(now)),
      h("span", { class: "row" }, stateTag(now), cancelButton(now))), progressBar(now), problemOf(now),
    now.result && now.kind === "ingest" && outcomes(now, again), now.result && filed(now), lost);
  };
  draw(job);
  if (!ended(job)) {
    const stop = follow(job.id, (now) => { draw(now); if (ended(now)) onend(now); }, lostIn(lost));
    left.addEventListener("abort", stop);
  }
  return item;
}

const filed = (job) => job.kind === "reindex" && job.result.indexed !== undefined
  && h("p", {}, `${number(job.result.indexed)} pictures are searchable`);

// What a live view says while it hears nothing, and why.
export const lostIn = (place) => (error) => put(place, error && (error.status ? problem(error)
  : h("p", { class: "warn" }, "The connection is lost. This goes on by itself when it is back.")));
