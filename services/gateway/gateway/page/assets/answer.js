// A search's answer: the predicted classes, what was scanned, and the hits.
import { h, number, percent } from "./dom.js";
import * as picture from "./picture.js";

const AT_ONCE = 60;

// onproblem(error) where a picture cannot be opened; settings() are the search's own, for the
// next query.
export function shown(answer, { labels, settings, onproblem }) {
  return [verdict(answer), found(answer), grid(answer.hits, { labels, settings, onproblem })];
}

function verdict({ match, hits }) {
  const nearest = hits.length === 1 ? "1 nearest picture" : `${number(hits.length)} nearest pictures`;
  let said = nearest;
  if (!match) {
    said = "Nothing in this library is as near as a picture of one of its classes should be."
      + (hits.length ? " The nearest are shown below." : "");
  } else if (!hits.length) said = "but no picture is as similar as asked for.";
  return h("p", { class: match ? "verdict" : "verdict none" },
    h("strong", {}, match ? "Match" : "No match"), " ", said);
}

function found({ query, routing, timings_ms: times, device }) {
  const parts = Object.entries(times).filter(([name]) => name !== "total");
  return h("div", { class: "panel found" },
    h("div", {}, h("h2", {}, "Predicted class"), bars(query.classes.slice(0, 5))),
    h("div", {}, h("h2", {}, "Scanned"),
      h("p", {}, h("strong", {}, routing.classes.join(", ")),
        ` (${routing.mode}, probability ${percent(routing.probability)})`),
      h("p", {}, `${number(routing.compared)} of ${number(routing.library_size)} pictures compared`),
      h("details", {}, h("summary", {}, `${times.total.toFixed(1)} ms on ${device}`),
        h("ul", { class: "times" }, parts.map(([name, ms]) =>
          h("li", {}, h("span", {}, name), h("span", {}, `${ms.toFixed(1)} ms`)))))));
}

function bars(classes) {
  return h("ul", { class: "bars" }, classes.map((one) => h("li", { "--part": `${one.probability * 100}%` },
    h("span", { class: "name" }, one.class), h("span", {}, percent(one.probability)))));
}

// The first are on the screen at once; the others follow, frame by frame.
function grid(hits, options) {
  const made = h("ol", { class: "grid", "aria-label": "Hits, nearest first" },
    hits.slice(0, AT_ONCE).map((hit) => card(hit, options)));
  let next = AT_ONCE;
  const add = () => {
    made.append(...hits.slice(next, next + AT_ONCE).map((hit) => card(hit, options)));
    next += AT_ONCE;
    if (next < hits.length && made.isConnected) requestAnimationFrame(add);
  };
  if (next < hits.length) requestAnimationFrame(add);
  return made;
}

function card(hit, { labels, settings, onproblem }) {
  const item = h("li", {});
  const draw = (label) => {
    const open = () => picture.open(hit.image_id, {
      hit, labels, settings: settings(),
      onchange: (image) => image ? draw(image.label) : item.remove(),
    }).catch(onproblem);
    item.replaceChildren(h("button", { type: "button", class: "card", title: hit.filename, onclick: open },
      picture.thumbnail(hit),
      h("span", { class: "similarity" }, h("span", { class: "unseen" }, "Similarity "), hit.similarity.toFixed(3)),
      h("span", { class: "label" }, label ?? h("i", {}, "no label")),
      label === hit.class ? "" : h("span", { class: "class" }, `class ${hit.class}`)));
  };
  draw(hit.label);
  return item;
}
