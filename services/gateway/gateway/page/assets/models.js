// Models: all of a library's, side by side, and which one is live.
import { call, get, libraries, path } from "./api.js";
import { cardOf, details, pAt10, promoteButton, reportLink, rollBack, rowOf, watch } from "./card.js";
import { acting, announce, ask, bytes, field, h, number, percent, put, select, setAddress, table, when } from "./dom.js";

export const TITLE = "Models";
const COMPARED_AT_MOST = 4;

export async function render(screen, query, left) {
  const names = await libraries();
  const state = { library: query.get("library") ?? "", compare: new Set(query.getAll("compare")) };
  const list = h("section", { class: "panel stack", "aria-label": "Models", "data-problems": true });
  const news = h("div", {});
  const compared = h("div", {});
  const history = h("div", {});
  const library = select([["", "all libraries"], ...names.map((one) => one.name)], state.library, {
    name: "library", onchange: () => { state.library = library.value; state.compare.clear(); remember(); load().catch(tell); },
  });
  const precision = select([["p_at_1", "P@1"], ["p_at_5", "P@5"], ["p_at_10", "P@10"], ["map", "mAP"]], "p_at_10", { name: "precision", onchange: compare });
  const precisionField = field("Precision", precision);
  put(screen, h("h1", {}, "Models"), h("div", { class: "panels" }, field("Library", library), list, news, compared, history));
  let models = [];
  await load();

  function tell(error) { list.append(h("div", { class: "problem", role: "alert" }, error.detail ?? error.message)); }

  function remember() {
    const text = new URLSearchParams();
    if (state.library) text.set("library", state.library);
    for (const id of state.compare) text.append("compare", id);
    setAddress("models", text);
  }

  async function load() {
    const [found, now] = await Promise.all([get("/models", { library: state.library }, left), libraries()]);
    models = found.models;
    const previous = new Map(now.filter((one) => one.previous_model).map((one) => [one.name, one.previous_model]));
    put(list, h("h2", {}, "Trained models"), models.length ? [
      h("p", { class: "hint" }, "Tick two or more to compare them."),
      table("Models", ["Compare", "Model", !state.library && "Library", "Network, recipe", "Validation", "P@10", "Size", "Made", "Actions"].filter(Boolean),
        models.map((model) => row(model, previous.get(model.library))), { cards: true })]
      : h("p", {}, "No model yet. ", h("a", { href: "#/train" }, "Train one"), "."));
    compare();
    await showHistory();
  }

  function row(model, previous) {
    const box = h("input", { type: "checkbox", "aria-label": `Compare ${model.id}`, checked: state.compare.has(model.id), onchange: () => {
      if (box.checked && state.compare.size >= COMPARED_AT_MOST) { box.checked = false; return; }
      if (box.checked) state.compare.add(model.id);
      else state.compare.delete(model.id);
      remember();
      compare();
    } });
    return h("tr", { "data-model": model.id }, h("td", {}, box),
      h("th", { scope: "row" }, acting(model.id, () => details(model.id, left), "link"), " ",
        model.live && h("span", { class: "tag good" }, "live"), previous === model.id && h("span", { class: "tag" }, "previous")),
      !state.library && h("td", {}, model.library), h("td", {}, `${model.network}, ${model.card.recipe}`),
      h("td", {}, percent(model.card.accuracy.validation)), h("td", {}, pAt10(model.card.evaluation)?.toFixed(3) ?? "–"),
      h("td", {}, bytes(model.card.bytes)), h("td", {}, when(model.created_at)),
      h("td", {}, h("div", { class: "row" }, reportLink(model),
        acting("Evaluate", async () => {
          const job = await call("POST", path("models", model.id, "evaluate"));
          const place = h("section", { class: "panel", "aria-label": "Evaluation" });
          put(news, place);
          watch(job, place, { left, onend: () => load().catch(tell) });
        }),
        model.live ? previous && acting("Roll back", async () => {
          rollBack(model.library, previous, () => load().catch(tell));
        }) : [promoteButton(model, { left, onend: () => load().catch(tell) }),
          acting("Delete", async () => {
            if (!await ask("Delete this model?", `${model.id} is removed for good.`, "Delete")) return;
            await call("DELETE", path("models", model.id));
            announce("Model deleted");
            state.compare.delete(model.id);
            await load();
          }, "danger")])));
  }

  function compare() {
    const chosen = models.filter((model) => state.compare.has(model.id));
    if (chosen.length < 2) { put(compared); return; }
    const pairs = new Map();
    for (const { card } of chosen) for (const r of card.evaluation?.results ?? []) pairs.set(`${r.space}, ${r.routing}`, [r.space, r.routing]);
    const speed = (card) => rowOf(card.evaluation, "auto", "adaptive")?.milliseconds_mean;
    put(compared, h("section", { class: "panel stack", "aria-label": "Comparison" }, h("h2", {}, "Side by side"),
      pairs.size > 0 && precisionField,
      table("Models compared", ["", ...chosen.map((model) => model.id)], [
        line("Validation accuracy", chosen.map(({ card }) => card.accuracy.validation), percent),
        line("Training accuracy", chosen.map(({ card }) => card.accuracy.training), percent),
        ...[...pairs].map(([name, [space, routing]]) => line(`${precision.selectedOptions[0].text}: ${name}`, chosen.map(({ card }) => rowOf(card.evaluation, space, routing)?.[precision.value]), (v) => v?.toFixed(4) ?? "–")),
        line("Search (auto, adaptive)", chosen.map(({ card }) => speed(card)), (v) => v === null || v === undefined ? "–" : `${v.toFixed(2)} ms`, true),
        line("Size", chosen.map(({ card }) => card.bytes), bytes, true),
        line("Seconds of training", chosen.map(({ card }) => card.seconds), (v) => number(v, 1), true),
      ]),
      pairs.size === 0 && h("p", { class: "hint" }, "None of these is evaluated yet; Evaluate measures P@K for every space and routing."),
      h("div", { class: "split" }, chosen.map((model) => h("div", {}, h("h3", {}, model.id), cardOf(model))))));
  }

  function line(name, values, format, lowest = false) {
    const known = values.filter((value) => value !== null && value !== undefined);
    const best = known.length > 1 ? Math[lowest ? "min" : "max"](...known) : null;
    return h("tr", {}, h("th", { scope: "row" }, name), values.map((value) =>
      h("td", { class: value === best ? "best" : "" }, format(value))));
  }

  async function showHistory() {
    if (!state.library) { put(history); return; }
    const { promotions } = await get(path("libraries", state.library, "promotions"), { page_size: 20 }, left);
    put(history, promotions.length ? h("section", { class: "panel", "aria-label": "History" }, h("h2", {}, "What went live"),
      table("Promotions", ["When", "Model", "Outcome", "By", "Why"], promotions.map((one) => h("tr", {},
        h("td", {}, when(one.at)), h("td", {}, one.model), h("td", {}, one.outcome), h("td", {}, one.by ?? "–"),
        h("td", {}, [one.reason, one.gate?.reason].filter(Boolean).join(" · ") || "–"))), { cards: true })) : null);
  }
}
