// A library's pictures, page by page, by label or class; labels of many at once.
import { call, get, path } from "./api.js";
import { acting, announce, ask, field, h, number, options, problem, put, select } from "./dom.js";
import * as picture from "./picture.js";

const PAGE = 60;
const AT_ONCE = 6;

const UNLABELLED = "\u0000";

// The element, and update(library) for when its labels are others.
export function browser(library, classes, { left, query, onchange, onfilter }) {
  let labels = [];
  const grid = h("ul", { class: "grid", "aria-label": "Pictures" });
  const said = h("p", { class: "hint" });
  const chosen = new Map(); // id → the item in the grid, null while it is not shown
  let token = null, round = 0;
  const byLabel = h("select", { name: "by-label", onchange: restart });
  const byClass = select([["", "any class"], ...classes], query.get("class") ?? "", { name: "by-class", onchange: restart });
  const known = h("datalist", { id: "browse-labels" });
  update(library, query.get("unlabelled") ? UNLABELLED : query.get("label") ?? "");
  const label = h("input", { name: "new-label", list: known.id, autocomplete: "off" });
  const many = h("div", { class: "join many", hidden: true, "data-problems": true },
    field("Label for the chosen", label), known,
    acting("Set label", () => each("labelled", (id) => call("PATCH", path("images", id), { json: { label: label.value.trim() || null } })), "primary"),
    acting("Delete", async () => {
      if (await ask("Delete these pictures?", `${number(chosen.size)} pictures are removed for good.`, "Delete")) {
        await each("deleted", (id) => call("DELETE", path("images", id)));
      }
    }, "danger"),
    acting("Choose none", async () => unchoose(), "quiet"));
  const more = acting("Show more", load);
  const whole = acting("Choose all", async () => {
    for (const [id, item] of await everyone()) chosen.set(id, item);
    for (const box of grid.querySelectorAll(".pick input")) box.checked = true;
    choose();
  }, "quiet");
  const count = h("span", { class: "hint", "aria-live": "polite" });

  function update(now, chosenLabel = byLabel.value) {
    labels = Object.keys(now.labels).sort();
    const counted = labels.map((one) => [one, `${one} (${number(now.labels[one])})`]);
    if (chosenLabel && chosenLabel !== UNLABELLED && !labels.includes(chosenLabel)) counted.push([chosenLabel, `${chosenLabel} (0)`]);
    put(byLabel, options([["", "any label"], [UNLABELLED, "without a label"], ...counted], chosenLabel));
    put(known, labels.map((one) => h("option", { value: one })));
  }

  function filters() {
    const nothing = byLabel.value === UNLABELLED;
    return { label: nothing ? null : byLabel.value, unlabelled: nothing ? "true" : null, class: byClass.value };
  }

  function restart() {
    onfilter(filters());
    token = null;
    put(grid);
    unchoose();
    return load().catch((error) => put(said, problem(error)));
  }

  // All that the filters let through, those of the pages not shown too.
  async function everyone() {
    const found = new Map([...grid.children].map((item) => [item.dataset.image, item]));
    for (let next = token; next;) {
      const page = await get(path("libraries", library.name, "images"), { ...filters(), page_size: 1000, page_token: next }, left);
      for (const image of page.images) found.set(image.id, null);
      next = page.next_page_token;
    }
    return found;
  }

  function unchoose() {
    for (const item of chosen.values()) if (item) item.querySelector("input").checked = false;
    chosen.clear();
    choose();
  }

  function choose() {
    many.hidden = chosen.size === 0;
    count.textContent = chosen.size ? `${number(chosen.size)} chosen` : "";
  }

  async function load() {
    const mine = ++round;
    const page = await get(path("libraries", library.name, "images"), { ...filters(), page_size: PAGE, page_token: token }, left);
    if (mine !== round) return; // another filter was chosen meanwhile
    token = page.next_page_token;
    grid.append(...page.images.map(item));
    more.hidden = !token;
    put(said, grid.childElementCount ? null : "No picture here.");
  }

  function item(image) {
    const made = h("li", { "data-image": image.id });
    if (chosen.has(image.id)) chosen.set(image.id, made);
    const draw = (now) => put(made, h("label", { class: "pick" }, h("input", {
      type: "checkbox", "aria-label": `Choose ${now.filename}`, checked: chosen.has(now.id),
      onchange: (event) => {
        if (event.target.checked) chosen.set(now.id, made);
        else chosen.delete(now.id);
        choose();
      },
    })), h("button", {
      type: "button", class: "card", title: now.filename,
      onclick: () => picture.open(now.id, { labels, onchange: (changed) => { if (changed) draw(changed); else { chosen.delete(now.id); made.remove(); choose(); } onchange(); } }).catch((error) => put(said, problem(error))),
    }, picture.thumbnail(now), h("span", { class: "label" }, now.label ?? h("i", {}, "no label")),
    now.class && now.class !== now.label ? h("span", { class: "class" }, `class ${now.class}`) : null));
    draw(image);
    return made;
  }

  // A few at a time; what fails is told and stays chosen, and what is done stays done.
  async function each(verb, work) {
    const ids = [...chosen.keys()];
    const all = ids.length;
    const failed = new Map();
    let done = 0;
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      for (let id = ids.pop(); id; id = ids.pop()) {
        await work(id).then(() => { done += 1; }, (error) => failed.set(id, error));
        count.textContent = `${number(done)} of ${number(all)} ${verb}`;
      }
    }));
    announce(`${number(done)} of ${number(all)} pictures ${verb}`);
    await restart();
    onchange();
    if (!failed.size) return;
    for (const id of failed.keys()) {
      const item = [...grid.children].find((one) => one.dataset.image === id) ?? null;
      if (item) item.querySelector("input").checked = true;
      chosen.set(id, item);
    }
    choose();
    const [{ title, detail }] = failed.values();
    throw { title, detail: `${number(failed.size)} of ${number(all)} failed. ${detail}` };
  }

  restart();
  const element = h("section", { class: "panel stack", "aria-label": "Browse" }, h("h2", {}, "Pictures"),
    h("div", { class: "join" }, field("Label", byLabel), field("Class", byClass)),
    h("div", { class: "row" }, whole, count), many, grid, said, h("div", { class: "row" }, more));
  return { element, update };
}
