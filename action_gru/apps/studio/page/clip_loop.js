// A small video of one clip that loops while it is seen. Whoever asked for less motion gets it
// still, with the player's own buttons.

import { h } from "./dom.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const seen = new WeakSet();
let areHeld = false;

const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) seen.add(target);
    else seen.delete(target);
    turn(target);
  }
});

function turn(video) {
  if (calm.matches || areHeld || !seen.has(video)) video.pause();
  else video.play().catch(() => {}); // not loaded yet or no longer in the page: it stays still
}

/** Holds all loops of the page, or lets them go on. */
export function holdLoops(held) {
  areHeld = held;
  document.querySelectorAll("video.loop").forEach(turn);
}

/** Whether loops begin by themselves here. */
export const loopsMove = () => !calm.matches;

/** A muted <video> of the clip `id`; start_s and end_s, if given, are the part that loops. */
export function clipLoop(app, id, { start_s = null, end_s = null } = {}, label = "") {
  const begin_s = start_s ?? 0;
  const video = h("video", {
    class: "loop", muted: true, loop: true, playsInline: true, preload: "metadata",
    poster: app.poster(id), src: app.clipVideo(id), "aria-label": label, controls: calm.matches,
    onloadedmetadata: () => {
      if (begin_s) video.currentTime = begin_s;
    },
    ontimeupdate: () => {
      const isOver = end_s !== null && video.currentTime >= end_s;
      if (isOver || video.currentTime < begin_s - 0.1) video.currentTime = begin_s;
    },
    onerror: () => video.classList.add("missing"),
  });
  watcher.observe(video);
  return video;
}
