// Pictures that the server gets itself: from addresses, or from a folder of its own.
import { post } from "./api.js";
import { acting, field, h, number } from "./dom.js";
import { ingest } from "./jobs.js";

// add(element) shows a job; `labels` is the control that says where labels come from.
export function sources(library, labels, { left, add, onend }) {
  const urls = h("textarea", { name: "urls", placeholder: "https://…", spellcheck: "false", required: true });
  const folder = h("input", { name: "server_folder", placeholder: "/srv/pictures/clothing", autocomplete: "off", spellcheck: "false", required: true });

  async function send(json, title, again) {
    const job = await post("/index/batch", { query: { library, labels: labels.value }, json });
    add(ingest(job, { left, title, onend, again: { now: again } }));
  }

  const fetchAll = (list) => send({ urls: list }, list.length === 1 ? list[0] : `${number(list.length)} addresses`,
    (items) => fetchAll(items.map((item) => list[item.number])));
  const read = (name) => send({ folder: name }, name, () => read(name));

  const form = (text, control, hint, work) => h("form", { class: "stack", "data-problems": true, onsubmit: (event) => event.preventDefault() },
    field(text, control, hint), h("div", { class: "row" }, acting(work.verb, async () => {
      if (control.reportValidity()) await work.start();
    }, "", { type: "submit" })));
  return h("details", {}, h("summary", {}, "From addresses, or a folder of the server"), h("div", { class: "split" },
    form("Addresses of pictures", urls, "One a line. The server fetches them; they have no label yet.", {
      verb: "Fetch these", start: () => fetchAll(urls.value.split(/\s+/).filter(Boolean)),
    }),
    form("Folder of the server", folder, "Only inside the folders that the operator allows.", {
      verb: "Read this folder", start: () => read(folder.value.trim()),
    })));
}
