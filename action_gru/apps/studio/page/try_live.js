// Try with the camera: pictures go to the server one at a time, scores come back and are kept, and
// the label, the strip and the events follow from them.

import { Tracker, WAITING, weigh } from "./answers.js";
import { h, fill, keyed, say, swatch } from "./dom.js";
import { liveLine } from "./live.js";
import { settings } from "./settings.js";
import { strip } from "./strip.js";

const SHOWN_S = 30;
const KEPT_S = 120;
const CALM_MS = 1000; // between two pictures of the strip where less motion is wanted
const EVENTS_LISTED = 6;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Where the camera has no picture: why, and the button that opens it. */
function cameraNotice(app) {
  const text = h("p");
  const button = h("button", {
    class: "button primary", type: "button", id: "try-camera", onclick: () => app.camera.open(),
  }, "Turn on the camera");
  const element = h("div", { class: "empty stack" }, text, h("div", null, button));
  element.show = () => {
    element.hidden = !!app.camera.stream;
    say(text, app.camera.problem);
    button.disabled = ["asking", "insecure"].includes(app.camera.state);
  };
  return element;
}

/** {element, recompute(), correct(action), update(state), close()}. label: the card that shows it. */
export function liveMode(app, label, onModel) {
  let model = null; // what the server said of it, see answers.js
  let tracker = null;
  let kept = { times_s: [], scores: [], weighed: [], answers: [] };
  let drawn_ms = 0;
  let waiting = null; // the correction that is being saved: its promise's ends
  const view = app.camera.view("What the camera sees");
  const notice = cameraNotice(app);
  const problem = h("p", { class: "notice warn", role: "status", hidden: true });
  const past = strip({ label: "The last 30 seconds: see the list below it" });
  const list = h("ol", { class: "events" });
  const facts = h("p", { class: "small muted" });
  const seen = h("div", { class: "stack", hidden: true },
    past.element, h("h3", null, "Just seen"), list, facts);
  const element = h("div", { class: "stack" },
    h("div", { class: "try-picture" }, view), notice, problem, seen);

  const forget = () => {
    kept = { times_s: [], scores: [], weighed: [], answers: [] };
    tracker = model && new Tracker(model, settings);
  };
  const take = (time_s, scores) => {
    kept.times_s.push(time_s);
    kept.scores.push(scores);
    kept.weighed.push(scores && weigh(scores, model, settings));
    kept.answers.push(tracker.push(time_s, scores));
  };
  const trim = () => {
    const old = kept.times_s.findIndex((time_s) => time_s >= kept.times_s.at(-1) - KEPT_S);
    if (old < 200) return; // now and then, not at every picture
    for (const name of Object.keys(kept)) kept[name] = kept[name].slice(old);
    const first_s = kept.times_s[0];
    tracker.events = tracker.events.filter((event) => event.end_s >= first_s);
  };
  const draw = () => {
    label.show(kept.answers.at(-1) ?? WAITING);
    seen.hidden = !kept.times_s.length;
    const now_ms = performance.now();
    if (!kept.times_s.length || (calm.matches && now_ms - drawn_ms < CALM_MS)) return;
    drawn_ms = now_ms;
    const now_s = kept.times_s.at(-1);
    const going = tracker.current;
    const events = going ? [...tracker.events, going] : tracker.events;
    past.draw({
      from_s: now_s - SHOWN_S, to_s: now_s, now_s: null, origin_s: now_s, events,
      answers: kept.answers, scores: kept.weighed, classes: model.classes,
      background: model.background, colour: app.colour,
      marks: (time_s) => (time_s > -0.5 ? "now" : `${Math.round(-time_s)} s ago`),
    });
    listEvents(list, events.slice(-EVENTS_LISTED).reverse(), now_s, going, app);
  };
  const line = liveLine(app.camera, {
    hello(found) {
      // Live scores are means over smoothing_s when they come.
      const lag_s = ((found.window_s ?? 0) + (found.smoothing_s ?? 0)) / 2;
      model = { ...found, background: found.background ?? [], lag_s, smoothing_s: 0 };
      forget();
      onModel(model);
    },
    answer({ time_s, scores, ms, slow }) {
      take(time_s, scores);
      trim();
      draw();
      const taken = `An answer takes ${Math.max(1, Math.round((ms ?? 0) / 10) * 10)} ms.`;
      if (slow || ms !== undefined) say(facts, slow ? `The camera ${slow}.` : taken);
    },
    saved(id) {
      waiting?.(id);
      waiting = null;
    },
    problem(text) {
      if (waiting && text) {
        app.toast(text, { level: "error" });
        waiting(null);
        waiting = null;
        return;
      }
      problem.hidden = !text;
      say(problem, text);
    },
  });
  const follow = () => {
    notice.show();
    view.parentElement.hidden = !app.camera.stream;
    if (app.camera.stream && !document.hidden) line.start();
    else line.stop();
    if (!app.camera.stream) {
      forget();
      seen.hidden = true;
      label.show(WAITING, "no picture yet");
    }
  };
  const endCamera = app.camera.on(follow);
  document.addEventListener("visibilitychange", follow);
  follow();

  return {
    element,
    recompute() {
      if (!model) return;
      const { times_s, scores } = kept;
      forget();
      times_s.forEach((time_s, at) => take(time_s, scores[at]));
      drawn_ms = 0;
      draw();
    },
    /** Saves the last two seconds; the clip's id, or null. */
    correct(action) {
      const saved = new Promise((resolve) => {
        waiting?.(null);
        waiting = resolve;
      });
      if (!line.correct(action, sessionStorage.getItem("person") || null)) { // as in Record
        waiting(null);
        waiting = null;
        app.toast("Nothing was seen yet that could be corrected: turn on the camera first.");
      }
      return saved;
    },
    update: () => {},
    close() {
      endCamera();
      document.removeEventListener("visibilitychange", follow);
      line.stop();
      waiting?.(null);
      past.close();
      view.stop();
    },
  };
}

function listEvents(list, events, now_s, going, app) {
  keyed(list, events, (event) => `${event.label} ${event.start_s.toFixed(1)}`, () => h("li", { class: "row" }),
    (row, event) => {
      const ago_s = Math.round(now_s - event.end_s);
      const lasted = `${(event.end_s - event.start_s).toFixed(1)} s`;
      const text = event === going ? `now, for ${lasted}` : `${ago_s} s ago, for ${lasted}`;
      if (row.dataset.text === text) return;
      row.dataset.text = text;
      fill(row, swatch(app.colour(event.label)), h("span", { dir: "auto" }, event.label),
        h("span", { class: "muted small" }, text));
    });
}
