// Libraries: all of them, and making one.
import { call, libraries } from "./api.js";
import { acting, field, h, number, put, table, when } from "./dom.js";
import { show } from "./library.js";

export const TITLE = "Libraries";

export async function render(screen, query, left) {
  if (query.get("library")) return show(screen, query, left);
  const all = await libraries();
  const name = h("input", { name: "name", required: true, pattern: "[a-z0-9][a-z0-9._\\-]{0,62}", autocomplete: "off", placeholder: "clothing" });
  const floor = h("input", { name: "floor", type: "number", min: 0, max: 1, step: "any", placeholder: "0.80" });
  const make = acting("Make library", async () => {
    if (!form.reportValidity()) return;
    const json = { name: name.value, ...(floor.value && { floor: floor.valueAsNumber }) };
    await call("POST", "/libraries", { json });
    location.hash = `#/libraries?library=${encodeURIComponent(name.value)}`;
  }, "primary", { type: "submit" });
  const form = h("form", { class: "stack", "data-problems": true, onsubmit: (event) => event.preventDefault() },
    h("h2", {}, "New library"),
    field("Name", name, "Small letters, digits, dots and hyphens."),
    field("Floor (optional)", floor, "The P@10 below which no model goes live, from 0 to 1."),
    h("div", { class: "row" }, make));
  put(screen, h("h1", {}, "Libraries"), h("div", { class: "columns" }, h("div", { class: "panel" }, form),
    h("section", { class: "panel" }, all.length ? table("Libraries", ["Name", "Pictures", "Searchable", "Labels", "Live model", "Made"],
      all.map((library) => h("tr", {},
        h("th", { scope: "row" }, h("a", { href: `#/libraries?library=${encodeURIComponent(library.name)}` }, library.name)),
        h("td", {}, number(library.images)), h("td", {}, number(library.indexed)),
        h("td", {}, number(Object.keys(library.labels).length)),
        h("td", {}, library.model ?? h("a", { href: `#/train?library=${encodeURIComponent(library.name)}` }, "none: train one")),
        h("td", {}, when(library.created_at)))), { cards: true })
      : h("p", {}, "There is no library yet. Make one, then drop a folder of pictures into it."))));
}
