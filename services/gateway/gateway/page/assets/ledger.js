// What became of each file of an ingest, with reasons, and sending the rejected again.
import { get, path } from "./api.js";
import { acting, dialog, h, number, problem, put, table } from "./dom.js";

const PAGE = 100;

// again.now(items) sends what this page still holds; again.chosen(pairs) sends files that were
// chosen anew, each under the ledger's name: [{file, path}].
export function outcomes(job, again) {
  const { files, indexed = 0, stored = 0, duplicate = 0, rejected = 0 } = job.result;
  const said = [`${number(files)} ${files === 1 ? "file" : "files"}`, indexed && `${number(indexed)} searchable`,
    stored && `${number(stored)} stored (searchable once a model is live)`,
    duplicate && `${number(duplicate)} already there`, rejected && `${number(rejected)} rejected`];
  const list = h("div", { class: "ledger", "data-problems": true });
  const ledger = h("details", { ontoggle: () => {
    if (ledger.open && !list.childElementCount) show(job, list, rejected ? "rejected" : "", again);
  } }, h("summary", {}, rejected ? "Why files were rejected" : "What became of each file"), list);
  return [h("p", { class: rejected ? "warn" : "" }, said.filter(Boolean).join(" · ")), ledger];
}

async function show(job, place, outcome, again) {
  const rows = h("tbody", {});
  const made = table("Ledger", ["File", "Outcome", "Reason"], []);
  made.querySelector("tbody").replaceWith(rows);
  let token = null;
  const more = acting("More", load);
  async function load() {
    const page = await get(path("jobs", job.id, "items"), { outcome, page_size: PAGE, page_token: token });
    token = page.next_page_token;
    rows.append(...page.items.map((one) =>
      h("tr", {}, h("td", {}, one.name), h("td", {}, one.outcome), h("td", {}, one.reason ?? ""))));
    more.hidden = !token;
  }
  const retry = again && outcome === "rejected" && acting("Send the rejected again", async () => {
    const items = await rejected(job.id);
    if (again.now) await again.now(items);
    else chooseAgain(items, again.chosen);
  });
  put(place, made, h("div", { class: "row" }, more, retry));
  await load().catch((error) => place.append(problem(error)));
}

async function rejected(id) {
  const items = [];
  for (let token = null; ;) {
    const page = await get(path("jobs", id, "items"), { outcome: "rejected", page_size: 1000, page_token: token });
    items.push(...page.items);
    if (!(token = page.next_page_token)) return items;
  }
}

// A page that was loaded anew holds no files any more: the browser gives them only to the hand.
function chooseAgain(items, send) {
  const given = (input) => () => {
    const pairs = matching(items, [...input.files]);
    clear();
    if (!pairs.length) {
      said.append(problem({ title: "None of these", detail: "No file chosen has the name of a rejected one." }));
      return;
    }
    made.close();
    send(pairs);
  };
  const said = h("div", {});
  const clear = () => put(said);
  const files = chooser("again-files", { multiple: true });
  const folder = chooser("again-folder", { webkitdirectory: true });
  function chooser(id, attributes) {
    const input = h("input", { type: "file", class: "unseen", id, name: id, ...attributes });
    input.addEventListener("change", given(input));
    return input;
  }
  const made = dialog("Send the rejected again", h("p", {}, "This page was loaded anew and no longer holds the files. "
    + "Choose them, or the folder they are in: only the rejected ones are sent."),
  h("div", { class: "row" }, h("label", { class: "button primary", for: folder.id }, "Choose the folder"), folder,
    h("label", { class: "button", for: files.id }, "Choose the files"), files), said);
}

// The chosen files that are the ledger's, under its names: equal from the last folder on. A file
// that could be any of several is none of them, since the folder is its label.
function matching(items, files) {
  const names = [...new Set(items.map(({ name }) => name))];
  const found = new Map();
  for (const file of files) {
    const where = file.webkitRelativePath || file.name;
    const same = names.filter((name) => name === where || name.endsWith(`/${where}`) || where.endsWith(`/${name}`));
    if (same.length === 1) found.set(same[0], file);
  }
  return [...found].map(([path, file]) => ({ file, path }));
}
