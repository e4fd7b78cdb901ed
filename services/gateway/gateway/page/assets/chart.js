// Lines over two axes, drawn as SVG.
import { h, s } from "./dom.js";

// drawn for the place there is, so that the letters stay readable
const WIDTH = innerWidth < 640 ? 320 : 560, HEIGHT = 240, LEFT = 48, BOTTOM = 30, TOP = 8, RIGHT = 10;

const coloured = (series) => series.map((one, i) => ({ ...one, colour: `c${(one.colour ?? i) % 6}` }));

export function legend(series) {
  return h("ul", { class: "legend" }, coloured(series).map((one) => h("li", { class: one.colour }, one.name)));
}

// series: [{name, points: [[x, y], …]}]; format: of the y axis' numbers; named: false where one
// legend stands over several charts.
export function chart(title, series, { x, format = (v) => String(+v.toPrecision(4)), from, to, named = true } = {}) {
  const shown = coloured(series).map((one) => ({ ...one, points: one.points.filter(([, y]) => Number.isFinite(y)) }))
    .filter((one) => one.points.length);
  if (!shown.length) return h("figure", { class: "plain" }, h("h3", {}, title), h("p", { class: "hint" }, "Nothing measured yet."));
  const all = shown.flatMap((one) => one.points);
  const xs = scale(0, Math.max(...all.map((p) => p[0]), 1e-9));
  const ys = scale(from ?? Math.min(0, ...all.map((p) => p[1])), to ?? Math.max(...all.map((p) => p[1]), 1e-9), to);
  const px = (v) => LEFT + ((v - xs.low) / (xs.high - xs.low)) * (WIDTH - LEFT - RIGHT);
  const py = (v) => HEIGHT - BOTTOM - ((v - ys.low) / (ys.high - ys.low)) * (HEIGHT - BOTTOM - TOP);
  const last = shown.map((one) => `${one.name}: ${format(one.points.at(-1)[1])}`).join("; ");
  return h("figure", { class: "plain" }, h("h3", {}, title),
    named && h("ul", { class: "legend" }, shown.map((one) => h("li", { class: one.colour }, one.name))),
    s("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}, last values: ${last}` },
      ys.ticks.map((v) => [s("line", { class: "rule", x1: LEFT, x2: WIDTH - RIGHT, y1: py(v), y2: py(v) }),
        s("text", { x: LEFT - 6, y: py(v) + 4, "text-anchor": "end" }, format(v))]),
      xs.ticks.map((v) => s("text", { x: px(v), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, String(+v.toPrecision(6)))),
      s("text", { x: WIDTH - RIGHT, y: HEIGHT - 1, "text-anchor": "end" }, x),
      shown.map((one) => [
        s("path", { class: `line ${one.colour}`, d: one.points.map(([a, b], i) => `${i ? "L" : "M"}${px(a).toFixed(1)} ${py(b).toFixed(1)}`).join("") },
          s("title", {}, one.name)),
        one.points.length === 1 && s("circle", { class: one.colour, cx: px(one.points[0][0]), cy: py(one.points[0][1]), r: 2 }),
      ])));
}

// Round numbers between two values.
function scale(low, high, fixed) {
  const step = nice((high - low) / 4);
  const top = fixed ?? Math.ceil(high / step - 1e-9) * step;
  const ticks = [];
  for (let v = Math.ceil(low / step) * step; v <= top + step / 1e6; v += step) ticks.push(+v.toPrecision(12));
  return { low, high: top, ticks };
}

function nice(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 2.5, 5, 10].map((m) => m * power).find((m) => m >= rough - 1e-12);
}
