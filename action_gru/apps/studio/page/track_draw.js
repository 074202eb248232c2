// How the parts of the track look: ruler, blocks, ghosts, the overview. Knows no pointer.

import { clock } from "./segments.js";

const STEPS_S = [0.04, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
const TICK_PX = 84; // the least room of a time on the ruler
const FONT = "13px system-ui, sans-serif";

/** The colours of the page's theme, as it is now. */
export function colours(element) {
  const style = getComputedStyle(element);
  const get = (name) => style.getPropertyValue(name).trim();
  return {
    surface: get("--surface"), line: get("--line"), text: get("--text"), muted: get("--muted"),
    accent: get("--accent"), strong: get("--line-strong"), soft: get("--surface-2"),
  };
}

/** Black or white, whichever stands out more on a colour such as #4477aa (WCAG 2.2, at least 4.58). */
export function inkOn(colour) {
  const parts = /^#?([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(colour)?.slice(1) ?? ["80", "80", "80"];
  const [red, green, blue] = parts.map((part) => {
    const share = parseInt(part, 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000000" : "#ffffff";
}

export function drawRuler(pen, scale, ruler, height, theme) {
  const { start_s, span_s, width, toX } = scale;
  const step_s = STEPS_S.find((step) => (step / span_s) * width >= TICK_PX) ?? 7200;
  const decimals = step_s < 0.1 ? 2 : step_s < 1 ? 1 : 0;
  pen.font = FONT;
  pen.textBaseline = "middle";
  pen.fillStyle = theme.soft;
  pen.fillRect(0, 0, width, ruler);
  const last = Math.ceil((start_s + span_s) / step_s);
  for (let number = Math.floor(start_s / step_s); number <= last; number += 1) {
    const x = Math.round(toX(number * step_s)) + 0.5;
    pen.fillStyle = theme.line;
    pen.fillRect(x - 0.5, 0, 1, height);
    pen.fillStyle = theme.muted;
    pen.fillText(clock(number * step_s, decimals), x + 5, ruler / 2 + 1);
  }
}

function box(pen, scale, one, { top, height }) {
  const [left, right] = [scale.toX(one.start_s), scale.toX(one.end_s)];
  if (right < 0 || left > scale.width) return null;
  const wide = Math.max(right - left, 2);
  pen.beginPath();
  pen.roundRect(left, top, wide, height, Math.min(6, wide / 2));
  return { left, wide };
}

/** Words in a box, from where the box is seen; cut off at its end. */
function words(pen, text, place, scale, { top, height }, ink) {
  const from = Math.max(place.left, 0) + 7;
  const room = Math.min(place.left + place.wide, scale.width) - from - 4;
  if (room < 14) return;
  pen.save();
  pen.beginPath();
  pen.rect(from, top, room, height);
  pen.clip();
  pen.font = FONT;
  pen.textBaseline = "middle";
  pen.fillStyle = ink;
  pen.fillText(text, from, top + height / 2 + 1);
  pen.restore();
}

export function drawBlock(pen, scale, one, area, colour, theme, isSelected) {
  const place = box(pen, scale, one, area);
  if (!place) return;
  pen.fillStyle = colour;
  pen.fill();
  pen.lineWidth = isSelected ? 3 : 1;
  pen.strokeStyle = isSelected ? theme.text : theme.surface;
  pen.stroke();
  words(pen, one.label, place, scale, area, inkOn(colour));
}

export function drawGhost(pen, scale, one, area, colour, theme, isChosen) {
  const place = box(pen, scale, one, area);
  if (!place) return;
  pen.save();
  pen.globalAlpha = 0.22;
  pen.fillStyle = colour;
  pen.fill();
  pen.globalAlpha = 1;
  pen.setLineDash([5, 4]);
  pen.lineWidth = isChosen ? 3 : 1.5;
  pen.strokeStyle = isChosen ? theme.text : theme.strong;
  pen.stroke();
  pen.restore();
  pen.fillStyle = colour; // the colour is a stripe, so that the words keep their contrast
  pen.fillRect(place.left, area.top + area.height - 4, place.wide, 4);
  const score = one.score === null ? "" : ` ${Math.round(100 * one.score)} %`;
  words(pen, `${one.label}?${score}`, place, scale, { ...area, height: area.height - 4 }, theme.text);
}

/** The whole video in one line, with the part that is seen below it. */
export function drawOverview(pen, track, colour, theme) {
  const { width, duration_s, view, model, time_s } = track;
  const toX = (at_s) => (duration_s ? (at_s / duration_s) * width : 0);
  pen.fillStyle = theme.soft;
  pen.fillRect(0, 0, width, 22);
  for (const one of model.list) {
    pen.fillStyle = colour(one.label);
    pen.fillRect(toX(one.start_s), 4, Math.max(toX(one.end_s) - toX(one.start_s), 1.5), 14);
  }
  const [left, right] = [toX(view.start_s), toX(view.start_s + view.span_s)];
  pen.strokeStyle = theme.text;
  pen.lineWidth = 2;
  pen.strokeRect(left + 1, 1, Math.max(right - left - 2, 4), 20);
  pen.fillStyle = theme.accent;
  pen.fillRect(toX(time_s) - 1, 0, 2, 22);
}
