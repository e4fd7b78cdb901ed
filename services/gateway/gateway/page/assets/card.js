// A model's card, its figures, and how it goes live.
import { call, ended, follow, get, path } from "./api.js";
import { acting, announce, bytes, dialog, facts, field, h, number, percent, put, table, when } from "./dom.js";
import { lostIn, problemOf, progressBar, stateTag } from "./jobs.js";

// gate: its word on this model, which measured P@10 where no evaluation has.
export function cardOf({ card }, gate) {
  const measured = pAt10(card.evaluation) ?? gate?.p_at_10;
  return facts([
    ["Network", card.network], ["Recipe", card.recipe],
    ["Trained by", card.trained_by ?? "not said"], ["When", when(card.started_at)],
    ["Seconds", number(card.seconds, 1)], ["Iterations", number(card.iterations)],
    ["Training accuracy", percent(card.accuracy.training)], ["Validation accuracy", percent(card.accuracy.validation)],
    ["P@10 (auto, adaptive)", measured?.toFixed(4) ?? "not evaluated"],
    ["Pictures", `${number(card.training_images)} trained, ${number(card.validation_images)} held out`],
    ["Classes", number(card.classes.length)],
    ["Code", `${card.code_bits} bits (${card.code_kind === "hash-layer" ? "hash layer" : "projection"})`],
    ["Parameters", `${number(card.parameters)}, ${bytes(card.bytes)}`],
    ["Device", `${card.device}, ${card.machine}`], ["Started from", h("span", { title: card.weights }, String(card.weights).replace(/^(sha256:.{12}).+/, "$1…"))], ["Seed", String(card.seed)],
  ]);
}

export function pAt10(evaluation) {
  return rowOf(evaluation, "auto", "adaptive")?.p_at_10;
}

export function rowOf(evaluation, space, routing) {
  return evaluation?.results?.find((row) => row.space === space && row.routing === routing);
}

export function figures(evaluation) {
  if (!evaluation?.results) return h("p", { class: "hint" }, "Not evaluated yet.");
  return table("Precision per space and routing", ["Space", "Routing", "P@1", "P@5", "P@10", "mAP", "Compared", "Search"],
    evaluation.results.map((row) => h("tr", {}, h("td", {}, row.space), h("td", {}, row.routing),
      [row.p_at_1, row.p_at_5, row.p_at_10, row.map].map((value) => h("td", {}, value.toFixed(3))),
      h("td", {}, number(row.compared_mean)),
      h("td", {}, row.milliseconds_mean === null ? "–" : `${row.milliseconds_mean.toFixed(2)} ms`))));
}

export function gateWord(result) {
  const { gate } = result ?? {};
  if (!gate) return null;
  return h("p", { class: gate.promoted ? "good" : "warn" },
    h("strong", {}, gate.promoted ? "Live: " : "Not live: "), gate.reason);
}

// Who changes what is live, and why: kept in its history.
function signature() {
  const by = h("input", { name: "by", maxlength: 200, autocomplete: "name" });
  const reason = h("input", { name: "reason", maxlength: 1000 });
  return {
    fields: [field("Who (optional)", by), field("Why (optional)", reason)],
    values: () => ({ by: by.value || null, reason: reason.value || null }),
  };
}

export function rollBack(library, previous, onend) {
  const signed = signature();
  const made = dialog("Roll back?", h("div", { class: "stack" },
    h("p", {}, `Library ${library} goes back to ${previous} at once.`), signed.fields,
    h("div", { class: "row" }, acting("Roll back", async () => {
      const after = await call("POST", path("libraries", library, "rollback"), { query: signed.values() });
      announce(`Live: ${after.model}`);
      made.close();
      onend();
    }, "primary"))));
}

// Asks how, and follows the promotion to the gate's word.
export function promote(model, { override = false, left, onend = () => {} } = {}) {
  const signed = signature();
  const over = h("input", { type: "checkbox", name: "override", checked: override });
  const news = h("div", { "aria-live": "polite" });
  const start = acting("Promote", async () => {
    const json = { override: over.checked, ...signed.values() };
    const job = await call("POST", path("models", model.id, "promote"), { json });
    start.hidden = true;
    watch(job, news, { left, onend: (now) => { start.hidden = now.result?.promoted ?? false; onend(now); } });
  }, "primary");
  const made = dialog("Promote this model?", h("div", { class: "stack" },
    h("p", {}, `${model.id} is filed beside the live index of ${model.library}, measured on held-out pictures, and goes live if it is not worse.`),
    h("label", { class: "row" }, over, "Go live whatever the gate says"),
    signed.fields, h("div", { class: "row" }, start), news));
  return made;
}

// Follows a job in a place of its own.
export function watch(job, place, { left, onend = () => {} } = {}) {
  const draw = (now) => put(place, h("div", { class: "job" },
    h("div", { class: "job-top" }, h("span", {}, "Progress"), stateTag(now)), progressBar(now), problemOf(now), gateWord(now.result)));
  const lost = h("div", {});
  draw(job);
  const stop = follow(job.id, (now) => { draw(now); if (ended(now)) onend(now); }, lostIn(lost));
  left?.addEventListener("abort", stop);
}

export function promoteButton(model, options = {}) {
  return acting(options.override ? "Promote anyway" : "Promote", async () => { promote(model, options); }, options.override ? "" : "primary");
}

export function reportLink(model) {
  return h("a", { class: "button", href: path("models", model.id, "report"), target: "_blank", rel: "noopener" }, "Report");
}

export async function details(id, left) {
  const model = await get(path("models", id), {}, left);
  return dialog(model.id, h("div", { class: "stack wide" }, cardOf(model), h("h3", {}, "Figures"), figures(model.card.evaluation),
    h("details", {}, h("summary", {}, "Options and versions"), h("pre", {}, JSON.stringify({
      network_options: model.card.network_options, recipe_options: model.card.recipe_options,
      retrieval: model.card.retrieval, versions: model.card.versions }, null, 2))),
    h("div", { class: "row" }, reportLink(model))));
}

