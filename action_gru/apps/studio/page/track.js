// The track below the player: time from left to right, segments as blocks, proposals as ghosts.
// Zooms and pans with wheel, fingers and buttons. Draws on a canvas, so that an hour with hundreds
// of segments stays quick; what has to be reached by keyboard and screen reader are the sliders over
// it and the list beside it. Knows no server.

import { h } from "./dom.js";
import { follow } from "./pointers.js";
import { clock, lanesOf } from "./segments.js";
import { colours, drawBlock, drawGhost, drawOverview, drawRuler } from "./track_draw.js";

const RULER_PX = 24;
const LANE_PX = 34;
const GHOST_PX = 30;
const GAP_PX = 4;
const EDGE_PX = { mouse: 7, pen: 12, touch: 18 };
const LEAST_SPAN_S = 0.5;
const WHEEL = 1.0015;

/** makeTrack({seek(s), select(id), ghost(one), accept(one), edge(id, side, s), dragged()}, colour)
 * -> {element, open(duration_s), show(model), time(s, isPlaying), zoom(factor), reveal(s), fit(),
 *  destroy()}. */
export function makeTrack(on, colour) {
  const canvas = h("canvas", { class: "track-canvas", "aria-hidden": "true" });
  const overview = h("canvas", { class: "track-overview", "aria-hidden": "true" });
  const playhead = slider("track-playhead", "Time in the video");
  const edges = { start_s: slider("track-edge start", ""), end_s: slider("track-edge end", "") };
  const stage = h("div", { class: "track-stage" }, canvas, playhead, edges.start_s, edges.end_s);
  const element = h("div", { class: "track" }, overview, stage);
  const track = {
    model: { list: [], ghosts: [], open: null, selected: null, frame_s: 0.04, ghost: null },
    duration_s: 0, view: { start_s: 0, span_s: 1 }, time_s: 0, lanes: lanesOf([]), width: 1,
  };
  let waiting = 0;

  function draw() {
    waiting ||= requestAnimationFrame(() => {
      waiting = 0;
      paint();
    });
  }

  const toX = (time_s) => ((time_s - track.view.start_s) / track.view.span_s) * track.width;
  const toTime = (x) => track.view.start_s + (x / track.width) * track.view.span_s;
  const laneTop = (lane) => RULER_PX + GAP_PX + lane * (LANE_PX + GAP_PX);
  const ghostTop = () => laneTop(track.lanes.count);
  const height = () => ghostTop() + (track.model.ghosts.length ? GHOST_PX + GAP_PX : 0);

  function paint() {
    const { model, view } = track;
    const theme = colours(element);
    const pen = sized(canvas, track.width, height());
    const scale = { toX, width: track.width, ...view };
    pen.fillStyle = theme.surface;
    pen.fillRect(0, 0, track.width, height());
    drawRuler(pen, scale, RULER_PX, height(), theme);
    for (const one of model.list) {
      const box = { top: laneTop(track.lanes.lanes.get(one.id)), height: LANE_PX };
      drawBlock(pen, scale, one, box, colour(one.label), theme, one.id === model.selected);
    }
    for (const one of model.ghosts) {
      const box = { top: ghostTop(), height: GHOST_PX };
      drawGhost(pen, scale, one, box, colour(one.label), theme, one === model.ghost);
    }
    if (model.open) {
      const [start_s, end_s] = [model.open.start_s, track.time_s].sort((one, other) => one - other);
      const box = { top: laneTop(0), height: LANE_PX };
      drawBlock(pen, scale, { ...model.open, start_s, end_s }, box, colour(model.open.label), theme, true);
    }
    drawOverview(sized(overview, track.width, 22), track, colour, theme);
    place();
  }

  /** The sliders stand where what they move is drawn. */
  function place() {
    const { model, time_s } = track;
    put(playhead, toX(time_s), 0, height());
    told(playhead, time_s, clock(time_s));
    const one = model.list.find((own) => own.id === model.selected);
    for (const [side, handle] of Object.entries(edges)) {
      handle.hidden = !one;
      if (!one) continue;
      put(handle, toX(one[side]), laneTop(track.lanes.lanes.get(one.id)), LANE_PX);
      told(handle, one[side], clock(one[side]));
      handle.setAttribute("aria-label", `${side === "start_s" ? "Start" : "End"} of ${one.label}`);
    }
  }

  function put(handle, x, top, tall) {
    const isSeen = x >= -1 && x <= track.width + 1;
    handle.style.visibility = isSeen || handle === document.activeElement ? "" : "hidden";
    handle.style.transform = `translate(${Math.min(Math.max(x, 0), track.width)}px, ${top}px)`;
    handle.style.height = `${tall}px`;
  }

  function told(handle, time_s, text) {
    handle.setAttribute("aria-valuemin", "0");
    handle.setAttribute("aria-valuemax", track.duration_s.toFixed(3));
    handle.setAttribute("aria-valuenow", time_s.toFixed(3));
    handle.setAttribute("aria-valuetext", text);
  }

  function look(start_s, span_s) {
    const span = Math.min(Math.max(span_s, LEAST_SPAN_S), Math.max(track.duration_s, LEAST_SPAN_S));
    const last_s = Math.max(track.duration_s - span, 0);
    track.view = { start_s: Math.min(Math.max(start_s, 0), last_s), span_s: span };
    draw();
  }

  function zoom(factor, about_s = track.time_s) {
    const { start_s, span_s } = track.view;
    const isIn = about_s >= start_s && about_s <= start_s + span_s;
    const centre_s = isIn ? about_s : start_s + span_s / 2;
    look(centre_s - (centre_s - start_s) / factor, span_s / factor);
  }

  /** What lies under a point of the canvas: {kind: "ruler" | "edge" | "segment" | "ghost" | "none"}. */
  function hit(x, y, kind) {
    if (y < RULER_PX) return { kind: "ruler" };
    const { model, lanes } = track;
    const reach = EDGE_PX[kind] ?? EDGE_PX.mouse;
    const isHit = (one, slack) => toX(one.start_s) - slack <= x && x <= toX(one.end_s) + slack;
    if (model.ghosts.length && y >= ghostTop()) {
      const one = model.ghosts.findLast((ghost) => isHit(ghost, 0));
      return one ? { kind: "ghost", one } : { kind: "none" };
    }
    const row = model.list.filter((one) => {
      const top = laneTop(lanes.lanes.get(one.id));
      return y >= top && y < top + LANE_PX;
    });
    const near = row.filter((one) => isHit(one, reach));
    const one = near.find((own) => own.id === model.selected) ?? near.find((own) => isHit(own, 0));
    if (!one) return { kind: "none" };
    const wide = toX(one.end_s) - toX(one.start_s);
    for (const side of ["start_s", "end_s"]) {
      const isSelected = one.id === model.selected;
      if (Math.abs(toX(one[side]) - x) <= reach && (isSelected || wide > 3 * reach)) {
        return { kind: "edge", one, side };
      }
    }
    return isHit(one, 0) ? { kind: "segment", one } : { kind: "none" };
  }

  follow(canvas, {
    press: (x, y, kind) => hit(x, y, kind),
    drag(what, x, was) {
      if (what.kind === "edge") on.edge(what.one.id, what.side, toTime(x));
      else if (what.kind === "ruler") on.seek(toTime(x));
      else look(was.view.start_s - ((x - was.x) / track.width) * was.view.span_s, was.view.span_s);
    },
    end: (what) => what.kind === "edge" && on.dragged(),
    click(what, x) {
      if (what.kind === "ghost") on.ghost(what.one);
      else on.select(what.one?.id ?? null);
      on.seek(what.kind === "ghost" ? what.one.start_s : toTime(x));
    },
    pinch(was, centre, factor) {
      const span_s = was.view.span_s / factor;
      look(was.time_s - (centre / track.width) * span_s, span_s);
    },
    hover(x, y) {
      const { kind } = hit(x, y, "mouse");
      canvas.style.cursor = { edge: "ew-resize", segment: "pointer", ghost: "pointer", ruler: "col-resize" }[kind] ?? "grab";
    },
    state: (x) => ({ x, view: track.view, time_s: toTime(x) }),
  });
  canvas.addEventListener("dblclick", (event) => {
    const { kind, one } = hit(event.offsetX, event.offsetY, "mouse");
    if (kind === "ghost") on.accept(one);
  });
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const { start_s, span_s } = track.view;
    const isSideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    const moved = isSideways ? event.deltaX || event.deltaY : 0;
    if (isSideways) look(start_s + (moved / track.width) * span_s, span_s);
    else zoom(WHEEL ** -event.deltaY, toTime(event.clientX - canvas.getBoundingClientRect().left));
  }, { passive: false });
  overview.addEventListener("pointerdown", (event) => overview.setPointerCapture(event.pointerId));
  for (const kind of ["pointerdown", "pointermove"]) {
    overview.addEventListener(kind, (event) => {
      if (event.buttons !== 1) return;
      const at_s = (event.offsetX / track.width) * track.duration_s;
      look(at_s - track.view.span_s / 2, track.view.span_s);
    });
  }

  /** Arrow keys on a slider: a picture; with Shift, and Page keys, a second. */
  function steps(handle, move) {
    handle.addEventListener("keydown", (event) => {
      const step = {
        ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 2, PageDown: -2,
      }[event.key];
      const isEnd = event.key === "Home" || event.key === "End";
      if (event.ctrlKey || event.altKey || event.metaKey || (!step && !isEnd)) return;
      event.preventDefault();
      event.stopPropagation(); // the page's own arrow keys move the playhead
      if (isEnd) move(event.key === "Home" ? -Infinity : Infinity);
      else move(Math.sign(step) * (event.shiftKey || Math.abs(step) === 2 ? 1 : track.model.frame_s));
    });
  }
  steps(playhead, (by_s) => on.seek(track.time_s + by_s));
  for (const [side, handle] of Object.entries(edges)) {
    steps(handle, (by_s) => {
      const one = track.model.list.find((own) => own.id === track.model.selected);
      on.edge(one.id, side, one[side] + by_s);
      on.dragged();
      reveal(one[side]);
    });
  }

  function reveal(time_s) {
    const { start_s, span_s } = track.view;
    if (time_s >= start_s && time_s <= start_s + span_s) return;
    look(time_s - span_s * 0.1, span_s);
  }

  const resized = new ResizeObserver(() => {
    track.width = Math.max(stage.clientWidth, 1);
    draw();
  });
  resized.observe(stage);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", draw);

  return {
    element,
    /** A new video: the whole of it is seen. */
    open(duration_s) {
      track.duration_s = duration_s;
      look(0, duration_s);
    },
    show(model) {
      Object.assign(track.model, model);
      track.lanes = lanesOf(track.model.list);
      draw();
    },
    time(time_s, isPlaying) {
      track.time_s = time_s;
      if (isPlaying) reveal(time_s);
      draw();
    },
    zoom,
    reveal,
    fit: () => look(0, track.duration_s),
    destroy() {
      resized.disconnect();
      dark.removeEventListener("change", draw);
      cancelAnimationFrame(waiting);
    },
  };
}

function slider(name, label) {
  return h("div", { class: name, role: "slider", tabindex: "0", "aria-label": label });
}

/** The canvas in the screen's own pixels; what is drawn counts in CSS pixels. */
function sized(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [wide, tall] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== tall) {
    Object.assign(canvas, { width: wide, height: tall });
    canvas.style.height = `${height}px`;
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  return pen;
}
