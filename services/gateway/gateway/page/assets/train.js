// Train: step by step to a run, and then the run.
import { get, libraries, post, send } from "./api.js";
import { acting, field, h, number, put, select, table, when } from "./dom.js";
import { stateTag } from "./jobs.js";
import * as run from "./run.js";

export const TITLE = "Train";

const NETWORKS = [
  ["torchvision/mobilenet_v2", "MobileNet v2", "Small and quick to search with. A good first choice with downloaded weights."],
  ["torchvision/resnet50", "ResNet-50", "Finer looks, about six times the work per picture."],
  ["alexnet", "AlexNet", "The papers' network, with a hash layer. Also from scratch on small pictures."],
  ["other", "Another of torchvision", "Any classification network of torchvision, by its name."],
  ["ensemble", "Ensemble", "The mean of models you have: more exact, and as slow as all of them together."],
];
const RECIPES = [
  ["head", "head", "Trains the last layers on a frozen network that has weights. Minutes on two processor cores; nearly as exact as the whole."],
  ["fine-tune", "fine-tune", "Trains the whole network. Best where your pictures look unlike photographs; hours on a processor, minutes on a GPU."],
  ["fast", "fast", "Today's practice for the best accuracy in a given time: from scratch or from weights, whole network."],
  ["paper-2012", "paper-2012", "As AlexNet was trained in 2012. Slow; to compare with the paper."],
];
const WEIGHTS = [["default", "published ones (downloaded once)"], ["none", "none: from scratch"], ["file", "a file of mine"]];
const THEN = [["promote", "go live if the gate lets it"], ["evaluate", "measure it, and leave it beside the live one"], ["nothing", "nothing"]];

export async function render(screen, query, left) {
  const id = query.get("job");
  if (id) {
    const place = h("div", {});
    put(screen, h("p", {}, h("a", { href: "#/train" }, "← All runs")), place);
    return run.show(place, id, left);
  }
  const [all, { jobs }] = await Promise.all([libraries(), get("/jobs", { kind: "train", page_size: 8 }, left)]);
  if (!all.length) {
    put(screen, h("h1", {}, "Train"), h("p", {}, "There is nothing to train on yet. ", h("a", { href: "#/libraries" }, "Make a library and add pictures"), "."));
    return;
  }
  const form = steps(all, query, left);
  put(screen, h("h1", {}, "Train"), runs(jobs), form);
}

function runs(jobs) {
  if (!jobs.length) return null;
  return h("section", { class: "panel", "aria-label": "Runs" }, h("h2", {}, "Runs"),
    table("Training runs", ["Run", "Library", "State", "Model"], jobs.map((job) => h("tr", {},
      h("th", { scope: "row" }, h("a", { href: `#/train?job=${encodeURIComponent(job.id)}` }, when(job.created_at))),
      h("td", {}, job.library), h("td", {}, stateTag(job)), h("td", {}, job.result?.model ?? "–"))), { cards: true }));
}

function steps(all, query, left) {
  const wanted = query.get("library");
  const library = select(all.map((one) => [one.name, `${one.name} (${number(one.images)} pictures)`]), wanted ?? all[0].name, { name: "library", onchange: showCounts });
  const counts = h("div", {});
  const least = h("input", { type: "number", name: "min_images_per_class", min: 2, value: 100, oninput: showCounts });
  const network = choices("network", NETWORKS, "torchvision/mobilenet_v2", showFor);
  const recipe = choices("recipe", RECIPES, "head", showFor);
  const other = h("input", { name: "network_name", value: "torchvision/", autocomplete: "off" });
  const otherField = field("Its name", other, "Such as torchvision/efficientnet_b0.");
  const members = h("div", {});
  const weights = select(WEIGHTS, "default", { name: "weights", onchange: showFor });
  const weightsField = field("Weights to start from", weights);
  const file = h("input", { type: "file", name: "weights_file", accept: ".safetensors,.pt,.pth,.bin" });
  const fileField = field("Weights file", file, "A safetensors file or a state dict.");
  const advice = h("p", { class: "warn", role: "status" });
  const options = json("network_options", '{"hash_bits": 48}');
  const recipeOptions = json("recipe_options", '{"epochs": 20}');
  const seed = h("input", { type: "number", name: "seed", value: 0, step: 1 });
  const split = h("input", { type: "number", name: "split_seed", value: 0, step: 1 });
  const crops = select(["1", "10"], "1", { name: "crops" });
  const by = h("input", { name: "trained_by", maxlength: 200, autocomplete: "name" });
  const then = select(THEN, "promote", { name: "then" });
  const said = h("small", {});
  const recipePanel = h("section", { class: "panel stack" }, h("h2", {}, "Recipe"), recipe.box, weightsField, fileField, advice);
  const start = acting("Start training", begin, "primary", { type: "submit", id: "start" });

  const chosen = () => all.find((one) => one.name === library.value) ?? all[0];

  function showCounts() {
    const labels = Object.entries(chosen().labels).sort((a, b) => b[1] - a[1]);
    const bound = least.valueAsNumber || 100;
    const most = Math.max(1, ...labels.map(([, count]) => count));
    const few = labels.filter(([, count]) => count < bound);
    put(counts, labels.length < 2 && h("p", { class: "warn" }, "Training needs at least two labels. ",
      h("a", { href: `#/libraries?library=${encodeURIComponent(library.value)}` }, "Add labelled pictures"), "."),
    few.length ? h("p", { class: "warn" }, `${few.length} of ${labels.length} classes have fewer than ${bound} pictures: `
      + "add pictures, or lower the number below; small classes are learned less surely.")
      : labels.length > 1 && h("p", { class: "good" }, `All ${labels.length} classes have at least ${bound} pictures.`),
    labels.length ? h("details", { open: labels.length <= 20 }, h("summary", {}, "Pictures per class"), h("div", { class: "counts" },
      table("Pictures per class", ["Class", "Pictures", h("span", { class: "unseen" }, "Share")], labels.map(([name, count]) => h("tr", {},
        h("th", { scope: "row" }, name), h("td", {}, number(count), count < bound && h("span", { class: "warn" }, " too few")),
        h("td", {}, h("span", { class: count < bound ? "meter few" : "meter", "--part": `${(count / most) * 100}%` }))))))) : null);
  }

  async function showMembers() {
    const { models } = await get("/models", { library: library.value }, left);
    put(members, h("fieldset", {}, h("legend", {}, "Its members"), models.length < 2
      ? h("p", { class: "hint" }, "An ensemble needs at least two models of this library.")
      : h("div", { class: "chips" }, models.map((model) => h("label", { class: "chip" },
        h("input", { type: "checkbox", name: "member", value: model.id }), model.id)))));
  }

  function showFor() {
    const ensemble = network.value() === "ensemble";
    otherField.hidden = network.value() !== "other";
    members.hidden = !ensemble;
    recipePanel.hidden = ensemble;
    if (ensemble) showMembers().catch((error) => put(members, error.detail));
    fileField.hidden = weights.value !== "file";
    put(advice, weights.value === "none" && recipe.value() === "head"
      ? "Without weights the frozen network knows nothing; take fine-tune or fast, or start from weights." : "");
  }

  async function begin() {
    if (!form.reportValidity()) return;
    const ensemble = network.value() === "ensemble";
    let from = weights.value;
    if (ensemble) from = "none";
    else if (from === "file") {
      if (!file.files[0]) throw { title: "No file", detail: "Choose a weights file, or other weights." };
      const total = file.files[0].size;
      from = (await send("/weights", file.files[0], (now) => { said.textContent = `Sending weights: ${Math.round((now / total) * 100)} %`; }).answered).weights;
    }
    const networkOptions = parse(options, "Network options");
    if (ensemble) networkOptions.models = [...members.querySelectorAll("input:checked")].map((box) => box.value);
    const job = await post("/train", { json: {
      library: library.value, network: network.value() === "other" ? other.value.trim() : network.value(),
      network_options: networkOptions, recipe: ensemble ? "average" : recipe.value(),
      recipe_options: parse(recipeOptions, "Recipe options"), weights: from,
      trained_by: by.value.trim() || null, min_images_per_class: least.valueAsNumber,
      seed: seed.valueAsNumber, split_seed: split.valueAsNumber, crops: Number(crops.value), then: then.value,
    } });
    location.hash = `#/train?job=${encodeURIComponent(job.id)}`;
  }

  const form = h("form", { class: "steps", onsubmit: (event) => event.preventDefault() },
    h("section", { class: "panel stack" }, h("h2", {}, "Library"), field("Train on", library)),
    h("section", { class: "panel stack" }, h("h2", {}, "Classes"), counts, field("Least pictures per class", least)),
    h("section", { class: "panel stack" }, h("h2", {}, "Network"), network.box, otherField, members),
    recipePanel,
    h("section", { class: "panel stack", "data-problems": true }, h("h2", {}, "Start"), h("div", { class: "split" },
      field("Your name (kept with the model)", by), field("When it is trained", then)),
    h("details", {}, h("summary", {}, "More options"), h("div", { class: "split" },
      field("Network options (JSON)", options, h("span", {}, "Every option is described in ", h("a", { href: "/docs" }, "the REST page"), "; a wrong one is answered with those there are.")),
      field("Recipe options (JSON)", recipeOptions), field("Seed", seed, "The same seed gives the same run."),
      field("Split seed", split, "Which pictures are held out; models of one split are compared on the same."),
      field("Crops per picture in the index", crops, "10 is slower to file, and finds a little more."))),
    h("div", { class: "row" }, start, said)));
  showCounts();
  showFor();
  library.addEventListener("change", showFor);
  return form;
}

function choices(name, all, first, onchange) {
  const box = h("fieldset", {}, h("legend", { class: "unseen" }, name), h("div", { class: "choices" }, all.map(([value, title, text]) =>
    h("label", { class: "choice" }, h("input", { type: "radio", name, value, checked: value === first, onchange }),
      h("span", {}, h("strong", {}, title), h("span", {}, text))))));
  return { box, value: () => box.querySelector("input:checked").value };
}

const json = (name, example) => h("textarea", { name, placeholder: example, spellcheck: "false" });

function parse(area, name) {
  if (!area.value.trim()) return {};
  let parsed = null;
  try { parsed = JSON.parse(area.value); } catch { /* told below */ }
  if (parsed === null || typeof parsed !== "object" || Array.isArray(parsed)) {
    throw { title: name, detail: `Write a JSON object, such as ${area.placeholder}` };
  }
  return parsed;
}
