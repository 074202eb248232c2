// The curve of a training: how many held-out clips are right after each epoch. Draws SVG anew at
// each call, as wide as its place. Knows no server and no model.

import { h } from "./dom.js";

const SPACE = "http://www.w3.org/2000/svg";
const HEIGHT = 220;
const EDGE = { left: 52, right: 16, top: 14, bottom: 42 }; // px: room for labels
const FEWEST_EPOCHS = 5; // the x axis reaches at least so far

function s(tag, facts, text) {
  const element = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(facts)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/** Round steps for an axis of whole numbers from 0 to last: 3 to 7 ticks. 30 -> [0, 5, ... 30]. */
function ticks(last) {
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((one) => last / one <= 6.5) ?? last;
  return Array.from({ length: Math.floor(last / step) + 1 }, (_, at) => at * step);
}

/** What the picture says, for those who do not see it. */
function describe(curve, draft) {
  const known = curve.filter((point) => point.held_out != null);
  if (!known.length) return draft ? `First answer: ${draft.text}` : "No epoch has ended yet.";
  const last = known.at(-1);
  const best = Math.max(...known.map((point) => point.held_out));
  const now = `After epoch ${last.epoch}, ${percent(last.held_out)} of the clips it had never seen are right`;
  return `${now}; the best was ${percent(best)}.`;
}

/** 0.5 -> "50%". */
export const percent = (share) => `${Math.round(100 * share)}%`;

function axes(width, epochs, x, y) {
  const bottom = HEIGHT - EDGE.bottom;
  const lines = [0, 0.25, 0.5, 0.75, 1].flatMap((share) => [
    s("line", { x1: EDGE.left, x2: width - EDGE.right, y1: y(share), y2: y(share), class: "grid" }),
    s("text", { x: EDGE.left - 8, y: y(share) + 4, "text-anchor": "end" }, percent(share)),
  ]);
  const marks = ticks(epochs).map((epoch) =>
    s("text", { x: x(epoch), y: bottom + 18, "text-anchor": "middle" }, epoch),
  );
  const middle = (EDGE.left + width - EDGE.right) / 2;
  const name = { x: middle, y: HEIGHT - 6, "text-anchor": "middle", class: "axis" };
  return [...lines, ...marks, s("text", name, "epochs: times it has looked at every clip")];
}

function path(points, x, y, name) {
  const steps = points.map(([epoch, share], at) => `${at ? "L" : "M"}${x(epoch)} ${y(share)}`);
  return s("path", { d: steps.join(""), class: name });
}

/** {element, draw(curve, draft)}. curve: [{epoch, held_out, train}], draft: {score, text} or null. */
export function curvePlot() {
  const svg = s("svg", { class: "curve", role: "img", height: HEIGHT });
  const title = h("figcaption", { class: "small muted" }, "Clips it had never seen: how many it gets right");
  const element = h("figure", { class: "curve-figure" }, title, svg);
  let shown = [[], null];

  const redraw = () => {
    const [curve, draft] = shown;
    const width = Math.max(260, svg.clientWidth || element.clientWidth || 260);
    const epochs = Math.max(FEWEST_EPOCHS, ...curve.map((point) => point.epoch));
    const x = (epoch) => EDGE.left + (epoch / epochs) * (width - EDGE.left - EDGE.right);
    const y = (share) => EDGE.top + (1 - share) * (HEIGHT - EDGE.top - EDGE.bottom);
    const known = curve.filter((point) => point.held_out != null);
    const parts = axes(width, epochs, x, y);
    const held = known.map((point) => [point.epoch, point.held_out]);
    if (draft?.score != null) {
      const place = { x1: EDGE.left, x2: width - EDGE.right, y1: y(draft.score), y2: y(draft.score) };
      const low = draft.score > 0.85 ? 16 : -6;
      parts.push(s("line", { ...place, class: "draft" }));
      parts.push(s("text", { x: width - EDGE.right, y: y(draft.score) + low, "text-anchor": "end" },
        "first answer"));
    }
    if (held.length) {
      const [epoch, share] = held.at(-1);
      parts.push(path(held, x, y, "held-out"));
      parts.push(s("circle", { cx: x(epoch), cy: y(share), r: 5, class: "newest" }));
    }
    svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    svg.setAttribute("aria-label", describe(curve, draft));
    svg.replaceChildren(...parts);
  };
  new ResizeObserver(redraw).observe(element);
  return {
    element,
    draw(curve, draft) {
      shown = [curve, draft];
      redraw();
    },
  };
}
