// One clip as a picture that plays: its poster, and the film within its bounds while it is looked
// at. A page of 200 holds 200 small pictures, but no film until one is asked for.

import { h } from "./dom.js";

/** Plays `video` in the loop start_s..end_s (null: the file's own ends). -> a function that ends it. */
export function loopWithin(video, { start_s, end_s }) {
  const first_s = start_s ?? 0;
  const last_s = end_s ?? Infinity;
  let frame = 0;
  const watch = () => {
    if (video.currentTime >= last_s || video.ended) video.currentTime = first_s;
    if (video.currentTime < first_s - 0.05) video.currentTime = first_s;
    if (video.paused && video.readyState >= 2) video.play().catch(() => {}); // it left the page
    frame = requestAnimationFrame(watch);
  };
  video.currentTime = first_s;
  frame = requestAnimationFrame(watch);
  return () => {
    cancelAnimationFrame(frame);
    video.pause();
  };
}

const inView = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) target.play();
    else target.rest();
  }
});

/** -> element with `show(clip)`, `play()` and `rest()`. `always`: plays whenever it is in view;
 * else `playOn` says when. */
export function thumb(app, clip, { always = false } = {}) {
  const poster = h("img", { class: "thumb-poster", alt: "", draggable: "false", loading: "lazy", decoding: "async" });
  const place = h("div", { class: "thumb" }, poster);
  let shown = null;
  let video = null;
  let end = null;
  place.show = (next) => {
    const bounds = `${next.start_s} ${next.end_s}`;
    if (shown?.id === next.id && shown.bounds === bounds && shown.features === next.features) return;
    const playing = Boolean(video);
    place.rest();
    // The reader makes the poster: one that was asked for too early is asked for again.
    if (shown?.id !== next.id || shown?.features !== next.features) {
      place.classList.remove("bare");
      poster.src = app.poster(next.id);
    }
    shown = { ...next, bounds };
    if (playing) place.play();
  };
  place.play = () => {
    if (video || !shown) return;
    video = h("video", { class: "thumb-film", muted: true, playsInline: true, preload: "auto" });
    video.src = app.clipVideo(shown.id);
    video.addEventListener("loadeddata", () => {
      if (video) end = loopWithin(video, shown);
    }, { once: true });
    video.addEventListener("error", () => place.rest());
    place.append(video);
  };
  place.rest = () => {
    end?.();
    end = null;
    video?.removeAttribute("src");
    video?.remove();
    video = null;
  };
  poster.addEventListener("error", () => place.classList.add("bare"));
  place.show(clip);
  if (always) inView.observe(place);
  return place;
}

/** Lets `place` (a thumb) play while the pointer or the focus is on `area`. */
export function playOn(area, place) {
  area.addEventListener("pointerenter", () => place.play());
  area.addEventListener("pointerleave", () => {
    if (!area.contains(document.activeElement)) place.rest();
  });
  area.addEventListener("focusin", () => place.play());
  area.addEventListener("focusout", (event) => {
    if (!area.contains(event.relatedTarget)) place.rest();
  });
}
