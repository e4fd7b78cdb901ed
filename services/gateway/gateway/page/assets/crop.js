// A picture on which a rectangle is drawn: by pointer, or by four numbers. In the picture's pixels.
// Without a source there is nothing to draw on, and the numbers alone are left.
import { button, field, h, put } from "./dom.js";

export function cropper(source, text, onchange) {
  const frame = h("div", { class: "crop-frame", hidden: true });
  const picture = h("img", { src: source ?? undefined, alt: "The query", class: "query", draggable: "false" });
  const stage = h("div", { class: "stage" }, picture, frame);
  const inputs = ["x", "y", "width", "height"].map((name) =>
    h("input", { type: "number", min: name.length > 1 ? 1 : 0, step: 1, name: `crop-${name}`, inputmode: "numeric", oninput: typed }));
  const whole = button("Whole picture", () => set(null), "quiet");
  const note = h("small", {}, "Draw a rectangle on the picture to search with a part of it.");
  const fields = h("details", { class: "crop-fields", open: Boolean(text) },
    h("summary", {}, "Crop by numbers"),
    h("div", { class: "four" }, inputs.map((input, i) => field(["x", "y", "width", "height"][i], input))), whole);
  let crop = text ? text.split(",").map(Number) : null;
  let from = null;

  function size() { return [picture.naturalWidth, picture.naturalHeight]; }

  function show() {
    const [width, height] = size();
    frame.hidden = !crop || !width;
    whole.disabled = !crop;
    if (crop && width) {
      frame.style.setProperty("left", `${(crop[0] / width) * 100}%`);
      frame.style.setProperty("top", `${(crop[1] / height) * 100}%`);
      frame.style.setProperty("width", `${(crop[2] / width) * 100}%`);
      frame.style.setProperty("height", `${(crop[3] / height) * 100}%`);
    }
  }

  function write() { inputs.forEach((input, i) => { input.value = crop ? crop[i] : ""; }); }

  function set(next) {
    crop = next;
    write();
    show();
    onchange(crop ? crop.join(",") : "");
  }

  function typed() {
    const values = inputs.map((input) => input.valueAsNumber);
    if (values.every(Number.isInteger) && values[2] > 0 && values[3] > 0) {
      crop = values;
      show();
      onchange(crop.join(","));
    }
  }

  function place(event) {
    const box = picture.getBoundingClientRect();
    const [width, height] = size();
    const x = ((event.clientX - box.left) / box.width) * width;
    const y = ((event.clientY - box.top) / box.height) * height;
    return [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)];
  }

  function between(a, b) {
    const left = Math.floor(Math.min(a[0], b[0])), top = Math.floor(Math.min(a[1], b[1]));
    const right = Math.ceil(Math.max(a[0], b[0])), bottom = Math.ceil(Math.max(a[1], b[1]));
    return [left, top, right - left, bottom - top];
  }

  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !picture.naturalWidth) return;
    event.preventDefault();
    stage.setPointerCapture(event.pointerId);
    from = place(event);
  });
  stage.addEventListener("pointermove", (event) => {
    if (!from) return;
    crop = between(from, place(event));
    write();
    show();
  });
  stage.addEventListener("pointerup", (event) => {
    if (!from) return;
    const [x, y, width, height] = between(from, place(event));
    from = null;
    // less than a few pixels was a click
    set(width * height >= 9 && width > 1 && height > 1 ? [x, y, width, height] : null);
  });
  stage.addEventListener("pointercancel", () => { from = null; });
  picture.addEventListener("load", () => {
    picture.classList.toggle("tiny", Math.max(...size()) < 200);
    show();
  });
  picture.addEventListener("error", () => {
    put(stage, h("p", { class: "hint" }, "This browser cannot show the picture; the search can still use it."));
    note.hidden = true;
  });
  write();
  show();
  return h("div", { class: "cropper" }, source && [stage, note], fields);
}
