// One stored picture: large, with what is known of it and what can be done with it.
import { address, call, get, path } from "./api.js";
import { acting, announce, ask, bytes, dialog, facts, field, h, put, when } from "./dom.js";

export function thumbnail(image, size = 256) {
  return h("img", {
    src: `${image.thumbnail_url}?size=${size}`, alt: "", loading: "lazy", decoding: "async",
  });
}

// onchange(image) after a correction, onchange(null) after deletion.
// settings: of the search that found it, kept when it becomes the next query.
export async function open(id, { hit, labels = [], settings = {}, onchange = () => {} } = {}) {
  const body = h("div", { class: "picture" });
  const made = dialog("Picture", body);
  try {
    show(await get(path("images", id)));
  } catch (error) {
    made.close();
    throw error;
  }

  function show(image) {
    const names = h("datalist", { id: "known-labels" }, labels.map((label) => h("option", { value: label })));
    const label = h("input", { name: "label", value: image.label ?? "", list: names.id, autocomplete: "off", placeholder: "no label" });
    const save = acting("Save label", async () => {
      const text = label.value.trim();
      const changed = await call("PATCH", path("images", id), { json: { label: text || null } });
      announce(`Label saved: ${changed.label ?? "none"}`);
      onchange(changed);
      show(changed);
    }, "primary");
    label.addEventListener("keydown", (event) => event.key === "Enter" && save.click());
    made.querySelector("h2").textContent = image.filename;
    put(body,
      h("img", { class: "large", src: image.content_url, alt: `${image.filename}, labelled ${image.label ?? "nothing"}` }),
      h("div", { class: "stack" },
        facts([
          hit && ["Similarity", hit.similarity.toFixed(4)],
          hit && ["Distance", hit.distance.toFixed(4)],
          ["Label", image.label ?? "none"],
          ["Class (predicted)", image.class ?? "not searchable"],
          ["Size", `${image.width} × ${image.height}, ${bytes(image.bytes)}, ${image.format}`],
          ["Added", when(image.created_at)],
        ]),
        h("div", { class: "join", "data-problems": true }, field("Correct the label", label, "The next training learns from it."), names, save),
        h("div", { class: "row", "data-problems": true },
          h("a", { class: "button", href: address("#/search", { ...settings, library: image.library, image_id: id, image_url: null, crop: null }), onclick: () => made.close() }, "Search with this"),
          h("a", { class: "button", href: image.content_url, download: image.filename.split("/").at(-1) }, "Download"),
          acting("Delete", async () => {
            if (!await ask("Delete this picture?", `${image.filename} is removed from library ${image.library} for good.`, "Delete")) return;
            await call("DELETE", path("images", id));
            announce("Picture deleted");
            onchange(null);
            made.close();
          }, "danger"))));
  }
}
