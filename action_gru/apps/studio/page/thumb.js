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

const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) target.seen(isIntersecting);
});

function filmOf(app, clip, preload) {
  const film = h("video", { class: "thumb-film", muted: true, playsInline: true, preload });
  film.src = app.clipVideo(clip.id);
  return film;
}

function drop(film) {
  film?.removeAttribute("src"); // ends its download
  film?.remove();
}

/** -> element with `show(clip)`, `play()` and `rest()`. */
export function thumb(app, clip) {
  const poster = h("img", {
    class: "thumb-poster", alt: "", draggable: "false", loading: "lazy", decoding: "async",
  });
  const place = h("div", { class: "thumb" }, poster);
  let shown = null;
  let film = null; // that plays
  let still = null; // the first picture of a clip that nobody made a poster of yet
  let end = null;
  let inSight = false;

  const drawStill = () => {
    const wanted = inSight && shown.features === "waiting";
    if (wanted && !still) place.prepend(still = filmOf(app, shown, "auto"));
    else if (!wanted && still) still = drop(still);
  };
  place.show = (next) => {
    const mark = `${next.id} ${next.start_s} ${next.end_s} ${next.features}`;
    if (shown?.mark === mark) return;
    const playing = Boolean(film);
    place.rest();
    still = drop(still);
    shown = { ...next, mark };
    // The reader makes posters; a clip that it has not read, or could not, has none.
    poster.hidden = next.features !== "ready";
    const bounds = `&bounds=${next.start_s ?? ""}-${next.end_s ?? ""}`; // others, another picture
    if (!poster.hidden) poster.src = app.poster(next.id) + bounds;
    drawStill();
    if (playing) place.play();
  };
  place.play = () => {
    if (film || !shown || shown.features === "failed") return;
    const mine = film = filmOf(app, shown, "auto");
    film.addEventListener("loadeddata", () => {
      if (film === mine) end = loopWithin(film, shown);
    }, { once: true });
    film.addEventListener("error", () => film === mine && place.rest());
    place.append(film);
  };
  place.rest = () => {
    end?.();
    end = null;
    film = drop(film);
  };
  place.seen = (seen) => {
    inSight = seen;
    drawStill();
  };
  place.show(clip);
  sight.observe(place);
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
