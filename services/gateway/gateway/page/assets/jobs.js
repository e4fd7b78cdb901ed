// Jobs as they are shown everywhere: state, progress, rate, time left, what came of it.
import { call, ended, follow, get, path } from "./api.js";
import { acting, announce, duration, h, number, problem, put, table } from "./dom.js";

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

// One ingest with its live progress and ledger. onend(job) once; resend(names) sends files again.
export function ingest(job, { left, title, onend = () => {}, resend } = {}) {
  const item = h("div", { class: "job" });
  const draw = (now) => {
    put(item, h("div", { class: "job-top" }, h("strong", {}, title ?? "Add pictures"),
      h("span", { class: "row" }, stateTag(now), cancelButton(now))), progressBar(now), problemOf(now),
    now.result && outcomes(now, resend));
  };
  draw(job);
  if (!ended(job)) {
    const stop = follow(job.id, (now) => { draw(now); if (ended(now)) onend(now); });
    left.addEventListener("abort", stop);
  }
  return item;
}

function outcomes(job, resend) {
  const { files, indexed = 0, stored = 0, duplicate = 0, rejected = 0 } = job.result;
  const said = [`${number(files)} files`, indexed && `${number(indexed)} searchable`,
    stored && `${number(stored)} stored (searchable once a model is live)`,
    duplicate && `${number(duplicate)} already there`, rejected && `${number(rejected)} rejected`];
  const list = h("div", { "data-problems": true });
  const ledger = h("details", { ontoggle: () => {
    if (ledger.open && !list.childElementCount) showLedger(job, list, rejected ? "rejected" : "", resend);
  } }, h("summary", {}, rejected ? "Why files were rejected" : "What became of each file"), list);
  return [h("p", { class: rejected ? "warn" : "" }, said.filter(Boolean).join(" · ")), ledger];
}

async function showLedger(job, place, outcome, resend) {
  const rows = h("tbody", {});
  const made = table("Ledger", ["File", "Outcome", "Reason"], []);
  made.querySelector("tbody").replaceWith(rows);
  let token = null;
  const more = acting("More", load);
  async function load() {
    const page = await get(path("jobs", job.id, "items"), { outcome, page_size: 100, page_token: token });
    token = page.next_page_token;
    rows.append(...page.items.map((one) => h("tr", {}, h("td", {}, one.name), h("td", {}, one.outcome), h("td", {}, one.reason ?? ""))));
    more.hidden = !token;
  }
  const retry = resend && outcome === "rejected" && acting("Send the rejected again", async () => {
    await resend(await rejectedNames(job.id));
  });
  put(place, made, h("div", { class: "row" }, more, retry));
  await load().catch((error) => place.append(problem(error)));
}

async function rejectedNames(id) {
  const names = [];
  for (let token = null; ;) {
    const page = await get(path("jobs", id, "items"), { outcome: "rejected", page_size: 1000, page_token: token });
    names.push(...page.items.map((one) => one.name));
    if (!(token = page.next_page_token)) return names;
  }
}
