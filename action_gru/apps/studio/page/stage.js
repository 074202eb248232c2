// The large camera picture of the step Record: one clip with a key, or a hands-free burst.
// Knows when and what it records, not where clips go: `keep(blob, facts)` takes them.

import { cameraControls } from "./dock.js";
import { fill, h, say } from "./dom.js";
import { beep, recordBurst, recordClip, takeName } from "./recorder.js";

const USUAL = { clips: 10, clip_s: 2, pause_s: 1, count: 3, sound: true };
const NUMBERS = [
  ["clips", "Clips", 1, 50, 1], ["clip_s", "Seconds a clip", 1, 10, 0.5],
  ["pause_s", "Seconds between", 0.5, 10, 0.5], ["count", "Countdown", 1, 10, 1],
];
const SAME_TAKE_MS = 60_000; // single clips this close belong to one take

function readSettings() {
  try {
    return { ...USUAL, ...JSON.parse(localStorage.getItem("burst") ?? "{}") };
  } catch {
    return { ...USUAL }; // a private window, or a line that another version wrote
  }
}

function settingsForm(settings) {
  const save = () => {
    try {
      localStorage.setItem("burst", JSON.stringify(settings));
    } catch {
      return; // a private window keeps nothing: the numbers last as long as the page
    }
  };
  const number = ([name, title, min, max, step]) => {
    const field = h("input", {
      type: "number", min, max, step, value: String(settings[name]), inputmode: "decimal",
      onchange: () => {
        const value = Number(field.value) || USUAL[name];
        settings[name] = Math.min(max, Math.max(min, value));
        field.value = String(settings[name]);
        save();
      },
    });
    return h("label", { class: "field" }, h("span", null, title), field);
  };
  const sound = h("input", {
    type: "checkbox", checked: settings.sound,
    onchange: () => {
      settings.sound = sound.checked;
      save();
    },
  });
  return h("details", { class: "settings" }, h("summary", null, "How many, how long, sound"),
    h("div", { class: "numbers" }, NUMBERS.map(number)),
    h("label", { class: "check" }, sound, "Sounds, for standing away from the screen"));
}

/** What is told on the picture: a word, a large number, a bar that fills. */
function makeOverlay() {
  const word = h("p", { class: "overlay-word" });
  const large = h("p", { class: "overlay-number" });
  const bar = h("span", { class: "overlay-fill" });
  const place = h("div", { class: "overlay", hidden: true, "aria-hidden": "true" },
    word, large, h("div", { class: "overlay-bar" }, bar));
  let filling = null;
  place.show = (phase, text, number = "", seconds = 0) => {
    place.hidden = !phase;
    place.dataset.phase = phase ?? "";
    say(word, text);
    say(large, String(number));
    filling?.cancel();
    filling = seconds
      ? bar.animate([{ width: "0%" }, { width: "100%" }], { duration: seconds * 1000, fill: "both" })
      : null;
  };
  return place;
}

/** -> {element, stop(), update(action)}. `keep(blob, {action, take, number})` gets each clip
 * at once. */
export function makeStage(app, { keep, ready }) {
  const { camera } = app;
  const settings = readSettings();
  const overlay = makeOverlay();
  const spoken = h("p", { class: "stage-told muted", "aria-live": "assertive" });
  const words = h("p", { class: "stage-words" });
  const turnOn = h("button", {
    class: "button primary large camera-on", type: "button", onclick: () => camera.open(),
  }, "Turn on the camera");
  const view = camera.view("Camera, large");
  const controls = cameraControls(app);
  const one = h("button", { class: "button large", type: "button", id: "record-one" });
  const many = h("button", { class: "button primary large", type: "button", id: "burst" });
  let control = null; // of what is being recorded
  let held = false;
  let take = { name: null, number: 0, action: null, at_ms: 0 };

  const tone = (hertz, seconds) => settings.sound && beep(hertz, seconds);
  const tell = (report) => {
    const { phase, number, of, seconds, left } = report;
    if (phase === "count") {
      overlay.show("count", "Get ready", left);
      tone(440);
      say(spoken, String(left));
    } else if (phase === "clip") {
      overlay.show("clip", of > 1 ? `Recording ${number} of ${of}` : "Recording", "", seconds);
      tone(880, 0.2);
      say(spoken, of > 1 ? `Clip ${number} of ${of}` : "Recording");
    } else {
      overlay.show("pause", `${number} of ${of} done`, "Pause", seconds);
      tone(330, 0.2);
      say(spoken, "Pause");
    }
  };

  /** Runs one recording at a time; `work(signal)` rejects when it is stopped. */
  const record = async (work) => {
    if (control || !ready()) return;
    if (!camera.stream && !(await camera.open())) return;
    control = new AbortController();
    draw();
    let end = "";
    try {
      end = await work(control.signal);
    } catch (error) {
      if (error.name === "AbortError") end = "Stopped. The clips before are kept.";
      else app.toast(error.message, { level: "error" });
    }
    control = null;
    overlay.show(null, "");
    say(spoken, end);
    draw();
  };
  const recordOne = () => record(async (signal) => {
    const action = app.chosen;
    do {
      const now = Date.now();
      if (take.action !== action || now - take.at_ms > SAME_TAKE_MS) {
        take = { name: takeName(), number: 0, action };
      }
      take.at_ms = now;
      tell({ phase: "clip", number: 1, of: 1, seconds: settings.clip_s });
      const blob = await recordClip(camera.stream, settings.clip_s, signal);
      keep(blob, { action, take: take.name, number: ++take.number });
    } while (held && !signal.aborted);
    tone(330, 0.2);
    return "One clip recorded.";
  });
  const burst = () => record(async (signal) => {
    const [name, action] = [takeName(), app.chosen]; // whatever another tab does to the action
    await recordBurst(camera.stream, settings, {
      signal, tell, keep: (blob, number) => keep(blob, { action, take: name, number }),
    });
    tone(660, 0.4);
    return `Done: ${settings.clips} clips recorded.`;
  });
  const stop = () => control?.abort();
  const hold = (down) => {
    held = down;
    if (down) recordOne();
  };

  one.addEventListener("pointerdown", (event) => event.button === 0 && hold(true));
  const release = new AbortController(); // wherever the pointer is let go
  for (const name of ["pointerup", "pointercancel", "blur"]) {
    window.addEventListener(name, () => hold(false), { signal: release.signal });
  }
  one.addEventListener("click", (event) => event.detail === 0 && recordOne()); // by the keyboard
  many.addEventListener("click", () => (control ? stop() : burst()));
  const unbind = app.keys([
    { key: "r", text: "Record one clip; hold for more", run: (event) => event.repeat || hold(true),
      up: () => hold(false) },
    { key: "b", text: "Start or stop a burst", run: () => (control ? stop() : burst()) },
    { key: "Escape", shown: "Esc", always: true, text: "Stop recording", run: stop },
  ]);

  const draw = () => {
    const usable = camera.state !== "insecure";
    stageBox.dataset.camera = camera.state;
    say(words, camera.problem);
    turnOn.hidden = Boolean(camera.stream) || camera.state === "asking" || !usable;
    one.disabled = !usable; // stays enabled while it records, so that it keeps the focus
    one.setAttribute("aria-disabled", String(Boolean(control)));
    many.disabled = !usable;
    many.classList.toggle("stop", Boolean(control));
    fill(one, "Record a clip ", h("kbd", null, "R"));
    fill(many, control ? "Stop " : `Record ${settings.clips} in a row `, h("kbd", null, control ? "Esc" : "B"));
  };
  const stageBox = h("div", { class: "stage" }, view,
    h("div", { class: "stage-off" }, words, turnOn), overlay);
  const settingsBox = settingsForm(settings);
  settingsBox.addEventListener("change", () => draw());
  const element = h("div", { class: "stack stage-whole" }, stageBox,
    h("div", { class: "row stage-buttons" }, many, one), spoken, controls, settingsBox);
  const forget = camera.on(draw);
  draw();
  camera.resume();
  return {
    element,
    get recording() { return Boolean(control); },
    stop() {
      stop();
      release.abort();
      for (const end of [unbind, forget, view.stop, controls.stop]) end();
    },
  };
}
