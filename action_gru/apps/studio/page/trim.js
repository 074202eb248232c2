// The dialog that cuts a clip's ends: two handles on a bar, and the film between them in a loop.

import { h, say } from "./dom.js";
import { loopWithin } from "./thumb.js";

const STEP_S = 0.05;
const SHORTEST_S = 0.3;

function seconds(value) {
  return `${value.toFixed(2)} s`;
}

/** Asks for new bounds of this clip and saves them. */
export function openTrim(clip, app) {
  const video = h("video", {
    class: "trim-film", muted: true, playsInline: true, "aria-label": "The clip between the handles",
  });
  const told = h("p", { class: "muted", role: "status" }, "Opening the clip …");
  const span = h("div", { class: "trim-span" });
  const handle = (name) => h("input", {
    type: "range", min: "0", step: String(STEP_S), "aria-label": name, disabled: true,
    oninput: () => move(name),
  });
  const start = handle("Start");
  const end = handle("End");
  const save = h("button", { class: "button primary", type: "button", disabled: true }, "Save");
  const whole = h("button", { class: "button", type: "button", disabled: true }, "Whole clip");
  let file_s = 0;
  let stopLoop = () => {};
  const bounds = () => ({ start_s: Number(start.value), end_s: Number(end.value) });

  const draw = () => {
    const { start_s, end_s } = bounds();
    span.style.left = `${(100 * start_s) / file_s}%`;
    span.style.right = `${100 - (100 * end_s) / file_s}%`;
    start.setAttribute("aria-valuetext", seconds(start_s));
    end.setAttribute("aria-valuetext", seconds(end_s));
    say(told, `From ${seconds(start_s)} to ${seconds(end_s)}, ${seconds(end_s - start_s)} long`);
    stopLoop();
    stopLoop = loopWithin(video, bounds());
  };
  const move = (name) => {
    const { start_s, end_s } = bounds();
    if (end_s - start_s < SHORTEST_S) {
      if (name === "Start") start.value = String(end_s - SHORTEST_S);
      else end.value = String(start_s + SHORTEST_S);
    }
    draw();
  };
  const open = () => {
    if (!clip.file_s && video.duration === Infinity) { // a recording names no duration
      video.addEventListener("durationchange", open, { once: true });
      video.currentTime = 1e7; // past its end: the browser then knows where that is
      return;
    }
    file_s = clip.file_s ?? video.duration;
    for (const input of [start, end]) {
      input.max = String(file_s);
      input.disabled = false;
    }
    start.value = String(clip.start_s ?? 0);
    end.value = String(clip.end_s ?? file_s);
    save.disabled = whole.disabled = false;
    start.focus();
    draw();
  };
  const dialog = h("dialog", { class: "trim", "aria-labelledby": "trim-title" },
    h("h2", { id: "trim-title" }, "Trim"), video,
    h("div", { class: "trim-bar" }, span, start, end), told,
    h("p", { class: "muted small" }, "Arrow keys move a handle. The file keeps all of it."),
    h("div", { class: "row" }, save, whole,
      h("button", { class: "button quiet", type: "button", onclick: () => dialog.close() }, "Cancel")));
  const store = async (change) => {
    dialog.close();
    const answer = await app.run(() => app.api.post("/api/clips/change", { ids: [clip.id], ...change }));
    if (answer) app.toast("Trimmed one clip", { undo: true });
  };
  save.addEventListener("click", () => {
    const { start_s, end_s } = bounds();
    store({ // null: the file's own end
      start_s: start_s < STEP_S ? null : start_s,
      end_s: end_s > file_s - STEP_S ? null : end_s,
    });
  });
  whole.addEventListener("click", () => store({ start_s: null, end_s: null }));
  dialog.addEventListener("close", () => {
    stopLoop();
    dialog.remove();
  });
  video.addEventListener("loadeddata", open, { once: true });
  video.addEventListener("error", () => {
    say(told, `This browser cannot play the clip${clip.problem ? `: ${clip.problem}` : "."}`);
  });
  video.src = app.clipVideo(clip.id);
  document.body.append(dialog);
  dialog.showModal();
}
