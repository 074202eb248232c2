// Try with a file: the server reads it once and gives its scores over time; the video plays from
// this computer beside the strip, and the label follows the position.

import { WAITING, answerAt, readAll, weigh, words } from "./answers.js";
import { withQuery } from "./api.js";
import { percent } from "./curve.js";
import { h, fill, keyed, say, sentence, swatch } from "./dom.js";
import { clock } from "./segments.js";
import { settings } from "./settings.js";
import { strip } from "./strip.js";
import { fileQueue, filePlace } from "./try_many.js";

const ASK_MS = 300;
const FILE_NAMES = { vtt: "WebVTT", eaf: "ELAN", png: "Picture", mp4: "Copy of the video" };
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What the server found in a file as a model for answers.js. */
function modelOf(found) {
  const [first_s, second_s] = found.times_s;
  const step_s = second_s === undefined ? 0 : second_s - first_s; // a long file has few samples
  return { ...found, background: found.background ?? [], lag_s: 0, gap_s: Math.max(1, 3 * step_s) };
}

/** The answer to all of a video that is too short to have one for a moment. */
function wholeAnswer({ answer, labels, times_s, background }) {
  if (times_s.length || !answer) return WAITING;
  const { score, unsure } = answer;
  const label = severalWords(labels) ?? answer.label;
  const kind = unsure ? "unsure" : background.includes(label) ? "background" : "action";
  return { kind, label, score, rivals: [label] };
}

/** Those that are shown at once, in words; null for a model that gives one answer. */
const severalWords = (labels) => labels && (labels.join(" + ") || "nothing");

/** {element, recompute(), correct(action), open(file), take(files), update(state), seekTo(s), close()}. why, bars:
 * the cards that explain an answer and show its best scores, if there are any. */
export function fileMode(app, label, onModel, why = null, bars = null) {
  let found = null; // the answer of GET /api/tries/ID, once it is ready
  let opened = null; // {id, file, run}
  let read = { answers: [], events: [] };
  let weighed = [];
  let turn = 0;
  let now_s = 0;
  const video = h("video", {
    playsInline: true, controls: true, muted: true, preload: "auto", class: "try-video",
    "aria-label": "The video",
  });
  const cannotPlay = h("p", { class: "notice", hidden: true },
    "This browser cannot play the file. The strip and the list still tell what was seen.");
  const captions = h("track", { kind: "captions", label: "What was seen", default: true });
  const files = h("p", { class: "row files", hidden: true });
  const warnings = h("div", { class: "stack", role: "status" });
  const progress = h("progress", { max: "1", "aria-label": "Reading the video" });
  const doing = h("p", { role: "status" });
  const reading = h("div", { class: "stack", hidden: true }, doing, progress);
  const problem = h("p", { class: "notice error", role: "alert", hidden: true });
  const stale = h("div", { class: "notice row spread", hidden: true },
    h("span", null, "Another model is in use now."),
    h("button", { class: "button small", type: "button", onclick: () => open(opened.file) }, "Read it again"));
  const whole = h("p", { class: "whole" });
  const past = strip({ onSeek: seekTo, label: "Position in the video" });
  const list = h("ol", { class: "events" });
  const whyButton = h("button", {
    class: "button small", type: "button", id: "why", hidden: !why, onclick: ask,
  }, "Why?");
  const result = h("div", { class: "stack", hidden: true },
    h("div", { class: "try-picture" }, video), cannotPlay, past.element,
    h("div", { class: "row spread" }, whole, whyButton), warnings,
    h("h3", null, "What was seen when"), list, files);
  const queue = fileQueue(open);
  const drop = filePlace(queue.take, app.whereFilesGo);
  const element = h("div", { class: "stack" }, drop, queue.element, reading, problem, stale, result);

  function ask() {
    if (found) why?.show(opened.id, now_s);
  }
  function seekTo(time_s) {
    now_s = time_s;
    if (cannotPlay.hidden) video.currentTime = time_s;
    draw();
  }
  const tell = (text, share = null) => {
    reading.hidden = !text;
    say(doing, text);
    if (share === null) progress.removeAttribute("value");
    else progress.value = share;
  };

  /** -> what `fileQueue` asks for. */
  async function open(file) {
    const mine = ++turn;
    leave();
    found = null;
    now_s = 0;
    drop.classList.add("small-place");
    opened = { id: null, file, run: app.state.model?.run };
    problem.hidden = result.hidden = stale.hidden = cannotPlay.hidden = files.hidden = true;
    why?.clear();
    label.show(WAITING, "reading…");
    tell(`Sending ${file.name}…`, 0);
    URL.revokeObjectURL(video.src);
    video.replaceChildren();
    video.src = URL.createObjectURL(file);
    try {
      const refusal = app.refuses?.(file);
      if (refusal) throw new Error(refusal);
      const address = withQuery("/api/tries", { name: file.name });
      opened.id = (await app.api.upload(address, file, (share) => mine === turn && tell(`Sending ${file.name}…`, share))).id;
      const answer = await wait(opened.id, mine, file.name);
      if (mine !== turn) return null;
      show(answer);
      tell("");
      return { text: whole.textContent.replace("The whole video: ", "") };
    } catch (error) {
      if (mine !== turn) return null;
      problem.hidden = false;
      say(problem, error.message);
      label.show(WAITING, "no video yet");
      tell("");
      return { error: error.message, status: error.status };
    }
  }

  async function wait(id, mine, name) {
    for (;;) {
      const answer = await app.api.get(`/api/tries/${encodeURIComponent(id)}`);
      if (mine !== turn || answer.state === "ready") return answer;
      if (answer.state === "failed") throw new Error(answer.error);
      tell(`Reading ${name}…`, answer.share ?? null);
      await pause(ASK_MS);
    }
  }

  function show(answer) {
    found = { ...answer, background: answer.background ?? [], model: modelOf(answer) };
    result.hidden = false;
    const { label: name, score, unsure } = answer.answer ?? {};
    const doubt = unsure ? "not sure, perhaps " : "";
    say(whole, name ? `The whole video: ${severalWords(answer.labels) ?? `${doubt}${name}, ${percent(score)}`}` : "");
    fill(warnings, (answer.warnings ?? []).map((text) => h("p", { class: "notice warn" }, sentence(text))));
    warnings.hidden = !answer.warnings?.length;
    bars?.draw(answer.top, answer.thresholds);
    if (answer.files) offer(answer.files);
    onModel(found.model);
    recompute();
  }

  /** What the server made of the video: files to keep, words over the picture, and where no browser
   * plays the video, a copy that all do. */
  function offer(names) {
    const address = (name) => `/api/tries/${encodeURIComponent(opened.id)}/files/${encodeURIComponent(name)}`;
    const ending = (name) => name.slice(name.lastIndexOf(".") + 1);
    const copy = names.find((name) => ending(name) === "mp4");
    if (copy) video.src = address(copy);
    captions.src = address(names.find((name) => ending(name) === "vtt"));
    video.replaceChildren(captions);
    captions.track.mode = "showing";
    fill(files, h("span", { class: "muted" }, "The events as files:"), names.map((name) => h("a", {
      class: "button small", href: address(name), download: name,
    }, FILE_NAMES[ending(name)] ?? ending(name).toUpperCase())));
    files.hidden = false;
  }

  /** Tells a server that keeps nothing longer than it must that nobody waits for the file now. */
  function leave() {
    if (app.isVisit && opened?.id) app.api.remove(`/api/tries/${encodeURIComponent(opened.id)}`);
    if (opened) opened.id = null;
  }

  function recompute() {
    if (!found) return;
    read = readAll(found.model, settings, found.times_s, found.scores, false);
    if (found.events) read.events = found.events; // as in the files
    weighed = found.scores.map((row) => row && weigh(row, found.model, settings));
    keyed(list, read.events, (event) => `${event.label} ${event.start_s.toFixed(2)}`, eventRow,
      (row, event) => row.show(event));
    list.classList.toggle("none", !read.events.length);
    draw();
  }

  function eventRow() {
    let shown = null;
    const button = h("button", {
      class: "button quiet small event", type: "button", onclick: () => seekTo(shown.start_s),
    });
    const row = h("li", null, button);
    row.show = (event) => {
      shown = event;
      const text = `${clock(event.start_s, 1)} to ${clock(event.end_s, 1)}, ${percent(event.score)}`;
      if (row.dataset.text === text) return;
      row.dataset.text = text;
      fill(button, swatch(app.colour(event.label)), h("span", { dir: "auto" }, event.label),
        h("span", { class: "muted" }, text));
    };
    return row;
  }

  function draw() {
    if (!found) return;
    const answer = answerAt(read.answers, now_s, found.model.gap_s) ?? wholeAnswer(found);
    const said = answer.kind === "waiting" ? "too close to the edge to tell" : words(answer);
    label.show(answer, said);
    past.draw({
      from_s: 0, to_s: found.duration_s || video.duration || 1, now_s, origin_s: 0, said,
      events: read.events, answers: read.answers, scores: weighed, classes: found.classes,
      background: found.model.background, colour: app.colour, marks: (time_s) => clock(time_s, 0),
    });
  }

  let frame = 0;
  const follow = () => {
    if (cannotPlay.hidden && found && Math.abs(video.currentTime - now_s) > 1e-3) {
      now_s = video.currentTime;
      draw();
    }
    frame = requestAnimationFrame(follow);
  };
  follow();
  video.addEventListener("error", () => {
    if (!video.getAttribute("src")) return;
    cannotPlay.hidden = false;
    video.parentElement.hidden = true;
  });
  video.addEventListener("loadeddata", () => {
    cannotPlay.hidden = true;
    video.parentElement.hidden = false;
  });
  label.show(WAITING, "no video yet");

  return {
    element, recompute, open, take: queue.take, seekTo, ask,
    /** Saves two seconds around the position; the clip's id, or null. */
    async correct(action) {
      if (!found) {
        app.toast("Choose a video first.");
        return null;
      }
      video.pause();
      const address = `/api/tries/${encodeURIComponent(opened.id)}/correct`;
      const answer = await app.run(() => app.api.post(address, { time_s: now_s, action }));
      return answer?.id ?? null;
    },
    step: (by_s) => found && seekTo(Math.min(Math.max(0, now_s + by_s), found.duration_s)),
    toggle: () => found && (video.paused ? video.play() : video.pause()),
    update(state) {
      stale.hidden = !found || !state.model || state.model.run === opened.run;
    },
    close() {
      queue.close();
      turn += 1;
      leave();
      cancelAnimationFrame(frame);
      URL.revokeObjectURL(video.src);
      video.removeAttribute("src");
      past.close();
    },
  };
}
