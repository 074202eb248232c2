// What happened when, as a picture: events in their actions' colours above the scores they come
// from. Draws on a canvas; a strip of a file is also a slider that seeks.

import { h } from "./dom.js";
import { clock } from "./segments.js";
import { inkOn } from "./track_draw.js";

const EVENTS_PX = 34;
const SCORES_PX = 40;
const TICKS_PX = 20;
const HEIGHT_PX = EVENTS_PX + SCORES_PX + TICKS_PX;
const STEP_S = 0.5; // of an arrow key

/** Seconds between marks, so that at most `most` fit into a stretch. */
function markStep(length_s, most) {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];
  return steps.find((one) => length_s / one <= most) ?? 7200;
}

/**
 * {element, draw(view)}. onSeek(time_s): makes it a slider.
 * view = {from_s, to_s, now_s: position or null, events, answers, scores [T][C] as weighed,
 * classes, background, colour(name), said: what is at the position, origin_s: where marks count
 * from, marks(time_s) -> text}
 */
export function strip({ onSeek = null, label = "What was seen" } = {}) {
  const canvas = h("canvas", { class: "strip-canvas", height: HEIGHT_PX });
  const element = h("div", { class: onSeek ? "strip seeks" : "strip" }, canvas);
  let view = null;
  let theme = null;

  const readTheme = () => {
    const style = getComputedStyle(element);
    const value = (name) => style.getPropertyValue(name).trim();
    theme = {
      text: value("--text"), muted: value("--muted"), line: value("--line"),
      ground: value("--surface-2"), quiet: value("--line-strong"), font: `12px ${style.fontFamily}`,
    };
  };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const redraw = () => {
    if (view) paint();
  };
  const turned = () => {
    readTheme();
    redraw();
  };
  dark.addEventListener("change", turned);
  const sizes = new ResizeObserver(redraw);
  sizes.observe(element);

  const paint = () => {
    if (!theme) readTheme();
    const width = element.clientWidth;
    const dense = devicePixelRatio || 1;
    if (!width) return;
    canvas.width = Math.round(width * dense);
    canvas.height = Math.round(HEIGHT_PX * dense);
    const pen = canvas.getContext("2d");
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    pen.font = theme.font;
    const x = (time_s) => (width * (time_s - view.from_s)) / (view.to_s - view.from_s || 1);
    paintScores(pen, view, x, theme);
    paintEvents(pen, view, x, theme, width);
    paintTicks(pen, view, x, theme, width);
    if (view.now_s !== null) paintHead(pen, x(view.now_s), theme);
  };

  if (onSeek) makeSlider(element, label, () => view, onSeek);
  else {
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", label);
  }
  return {
    element,
    draw(next) {
      view = next;
      paint();
      if (onSeek) tellSlider(element, view);
    },
    close() {
      sizes.disconnect();
      dark.removeEventListener("change", turned);
    },
  };
}

function paintEvents(pen, view, x, theme, width) {
  pen.fillStyle = theme.ground;
  pen.fillRect(0, 0, width, EVENTS_PX - 4);
  pen.textBaseline = "middle";
  for (const event of view.events) {
    const left = Math.max(0, x(event.start_s));
    const right = Math.min(width, x(event.end_s));
    if (right <= 0 || left >= width) continue;
    const colour = view.colour(event.label);
    pen.fillStyle = colour;
    pen.beginPath();
    pen.roundRect(left, 0, Math.max(2, right - left - 1), EVENTS_PX - 4, 5);
    pen.fill();
    const room = right - left - 14;
    if (pen.measureText(event.label).width > room) continue;
    pen.fillStyle = inkOn(colour);
    pen.fillText(event.label, left + 7, (EVENTS_PX - 4) / 2 + 1);
  }
}

/** Each class's share of the score, one on another; the background in grey and lowest. */
function paintScores(pen, view, x, theme) {
  const { scores, answers, classes, background } = view;
  const order = classes.map((_, at) => at)
    .sort((one, other) => background.includes(classes[other]) - background.includes(classes[one]));
  const bottom = EVENTS_PX + SCORES_PX;
  const shown = stretch(answers, view.from_s, view.to_s);
  if (shown.length < 2) return;
  // Of several actions at once they sum to more than 1.
  const most = Math.max(1, ...shown.map((at) => (scores[at] ?? []).reduce((sum, one) => sum + one, 0)));
  let below = shown.map(() => 0);
  for (const at of order) {
    const above = shown.map((index, place) => below[place] + (scores[index]?.[at] ?? 0) / most);
    pen.beginPath();
    shown.forEach((index, place) => pen.lineTo(x(answers[index].centre_s), bottom - SCORES_PX * above[place]));
    for (let place = shown.length - 1; place >= 0; place -= 1)
      pen.lineTo(x(answers[shown[place]].centre_s), bottom - SCORES_PX * below[place]);
    pen.closePath();
    pen.fillStyle = background.includes(classes[at]) ? theme.line : view.colour(classes[at]);
    pen.fill();
    below = above;
  }
}

/** The places of the answers within a stretch, thinned to about a thousand. */
function stretch(answers, from_s, to_s) {
  const inside = [];
  answers.forEach(({ centre_s }, at) => {
    if (centre_s >= from_s - 1 && centre_s <= to_s + 1) inside.push(at);
  });
  const stride = Math.max(1, Math.floor(inside.length / 1000));
  return inside.filter((_, at) => at % stride === 0);
}

function paintTicks(pen, view, x, theme, width) {
  const step_s = markStep(view.to_s - view.from_s, Math.max(2, width / 90));
  pen.fillStyle = theme.muted;
  pen.textBaseline = "alphabetic";
  const first_s = Math.ceil((view.from_s - view.origin_s) / step_s - 1e-6) * step_s + view.origin_s;
  for (let at_s = first_s; at_s <= view.to_s + 1e-6; at_s += step_s) {
    const words = view.marks(at_s - view.origin_s);
    const wide = pen.measureText(words).width;
    const left = Math.min(Math.max(0, x(at_s) - wide / 2), width - wide);
    pen.fillText(words, left, HEIGHT_PX - 4);
  }
}

function paintHead(pen, place, theme) {
  pen.fillStyle = theme.text;
  pen.fillRect(place - 1, 0, 2, EVENTS_PX + SCORES_PX);
}

function makeSlider(element, label, view, onSeek) {
  Object.assign(element, { tabIndex: 0 });
  for (const [name, value] of [["role", "slider"], ["aria-label", label], ["aria-valuemin", 0]])
    element.setAttribute(name, value);
  const seekTo = (event) => {
    const box = element.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    onSeek(view().from_s + share * (view().to_s - view().from_s));
  };
  element.addEventListener("pointerdown", (event) => {
    if (!view()) return;
    element.setPointerCapture(event.pointerId);
    seekTo(event);
  });
  element.addEventListener("pointermove", (event) => {
    if (view() && element.hasPointerCapture(event.pointerId)) seekTo(event);
  });
  element.addEventListener("keydown", (event) => {
    if (!view()) return;
    const { now_s, from_s, to_s } = view();
    const steps = {
      ArrowLeft: now_s - STEP_S, ArrowDown: now_s - STEP_S, ArrowRight: now_s + STEP_S,
      ArrowUp: now_s + STEP_S, PageDown: now_s - 10 * STEP_S, PageUp: now_s + 10 * STEP_S,
      Home: from_s, End: to_s,
    };
    if (!(event.key in steps)) return;
    event.preventDefault();
    event.stopPropagation(); // the page has a meaning of its own for some of these keys
    onSeek(Math.min(to_s, Math.max(from_s, steps[event.key])));
  });
}

function tellSlider(element, view) {
  element.setAttribute("aria-valuemax", view.to_s.toFixed(1));
  element.setAttribute("aria-valuenow", (view.now_s ?? 0).toFixed(1));
  element.setAttribute("aria-valuetext", `${clock(view.now_s ?? 0, 1)}, ${view.said}`);
}
