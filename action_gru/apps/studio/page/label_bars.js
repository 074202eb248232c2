// The bars around the track: zoom and undo, the actions, the proposals, what is chosen, the files.
// Each is {element, draw(...)}; `editor` does what they ask for.

import { h, fill, say, count, keyed, swatch } from "./dom.js";
import { clock } from "./segments.js";

const FORMATS = {
  csv: "CSV, for spreadsheets", json: "JSON, for programs", vtt: "WebVTT, for web pages",
  srt: "SubRip, for players", eaf: "ELAN",
};
const USUAL = "The model marks what it sees; you accept, correct or ignore it.";
const HOW = "Press an action, or its key, where it begins, and again where it ends. Choose a segment "
  + "to change it.";
const READ = ".csv,.tsv,.eaf,.xml,.json,.vtt,.srt,.txt,.boris";

function button(text, run, facts = {}) {
  return h("button", { class: "button small", type: "button", onclick: run, ...facts }, text);
}

export function zoomBar(track, editor) {
  const undo = button("Undo", () => editor.segments.undo(), { id: "label-undo" });
  const redo = button("Redo", () => editor.segments.redo());
  const element = h("div", { class: "row" },
    button("−", () => track.zoom(0.5), { "aria-label": "Zoom out" }),
    button("+", () => track.zoom(2), { "aria-label": "Zoom in" }),
    button("Fit", () => track.fit(), { "aria-label": "Fit the whole video" }), undo, redo);
  return {
    element,
    draw({ past, future }) {
      undo.disabled = !past.length;
      redo.disabled = !future.length;
    },
  };
}

/** A button an action: begins a segment, ends it. The first nine have a key. */
export function actionBar(editor) {
  const list = h("div", { class: "row label-actions", role: "group", "aria-label": "Actions" });
  const name = h("input", {
    type: "text", "aria-label": "A new action", placeholder: "New action", maxlength: 60,
    class: "label-new",
  });
  const form = h("form", { class: "row" }, name, h("button", { class: "button small", type: "submit" }, "Add"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = name.value.trim();
    if (text && await editor.app.run(() => editor.app.api.post("/api/actions", { name: text }))) name.value = "";
  });

  function make({ action }) {
    const one = h("button", { class: "button small label-action", type: "button", dataset: { label: action } });
    one.addEventListener("click", (event) => {
      editor.toggle(action);
      if (event.detail) one.blur(); // clicked: the keys are for the track again, Space for the player
    });
    return one;
  }

  function update(one, { action, number, open, colour }) {
    const isOpen = open?.label === action;
    const look = `${number} ${colour} ${isOpen}`;
    if (one.dataset.look === look) return;
    one.dataset.look = look;
    one.setAttribute("aria-pressed", String(isOpen));
    fill(one, number <= 9 && h("kbd", { "aria-hidden": "true" }, number), swatch(colour),
      h("span", { dir: "auto" }, action), isOpen && h("span", { class: "small" }, "· end"));
  }

  return {
    element: h("div", { class: "row spread" }, list, form),
    draw(names, open, colour) {
      const items = names.map((action, index) => ({ action, number: index + 1, open, colour: colour(action) }));
      keyed(list, items, (item) => item.action, make, update);
    },
  };
}

/** What the model proposes: asked for, looked at, accepted. */
export function suggestBar(editor) {
  const words = h("p", { class: "muted small", role: "status" });
  const bar = h("progress", { max: 1, "aria-label": "The model looks at the video", hidden: true });
  const ask = h("button", { class: "button", type: "button", id: "label-propose" }, "Propose segments");
  const all = h("button", { class: "button", type: "button", id: "label-accept-all", hidden: true });
  ask.addEventListener("click", () => editor.propose());
  all.addEventListener("click", () => editor.acceptAll());
  const known = { ghosts: 0, text: "", video: null };
  const element = h("section", { class: "card stack label-suggest", "aria-label": "Proposals" },
    h("h2", null, "Let the model begin"), words, bar, h("div", { class: "row" }, ask, all));

  function write() {
    const many = count(known.ghosts, "proposal");
    say(words, known.ghosts
      ? `${many} below the track. Enter accepts the one at this time.` : known.text);
    all.hidden = !known.ghosts;
    say(all, known.ghosts === 1 ? "Accept it" : `Accept all ${known.ghosts}`);
  }

  return {
    element,
    draw(video, state) {
      const { state: now, share } = video.proposals;
      const hasModel = Boolean(state.model);
      if (known.video !== video.id) Object.assign(known, { video: video.id, text: "" });
      ask.disabled = !hasModel || Boolean(video.problem);
      say(ask, now === "reading" ? "Begin again" : "Propose segments");
      bar.hidden = now !== "reading";
      if (share === null) bar.removeAttribute("value");
      else bar.value = share;
      if (!hasModel) known.text = "Once a model is trained, it marks what it sees and you only correct it.";
      else if (now === "reading") known.text = "The model looks at the video…";
      else if (known.text === "" || now === "none") known.text = USUAL;
      write();
    },
    ghosts(number) {
      known.ghosts = number;
      write();
    },
    arrived(number) {
      known.text = number ? "All proposals are dealt with." : "The model found nothing that is not marked already.";
      write();
    },
  };
}

/** The chosen segment or proposal, for fingers and for words. */
export function selectionBar(editor) {
  const element = h("div", { class: "row label-chosen", role: "group", "aria-label": "Chosen" });
  return {
    element,
    draw(one, ghost, names) {
      const shown = one ?? ghost;
      const look = shown ? JSON.stringify([shown, names, Boolean(ghost)]) : "";
      if (element.dataset.look === look) return;
      element.dataset.look = look;
      if (!shown) {
        fill(element, h("span", { class: "muted small" }, HOW));
        return;
      }
      const times = h("span", { class: "label-span" }, `${clock(shown.start_s)} to ${clock(shown.end_s)}`);
      if (ghost) {
        fill(element, swatch(editor.app.colour(ghost.label)), h("strong", { dir: "auto" }, `${ghost.label}?`), times,
          button("Accept", () => editor.accept(ghost)), button("Dismiss", () => editor.segments.dismiss(ghost)));
        return;
      }
      const held = element.contains(document.activeElement) ? document.activeElement.dataset.part : null;
      const label = h("select", { "aria-label": "Action of the chosen segment", dataset: { part: "label" } },
        (names.includes(one.label) ? names : [...names, one.label]).map((name) => (
          h("option", { value: name, selected: name === one.label }, name)
        )));
      label.addEventListener("change", () => editor.segments.change(one.id, { label: label.value }));
      fill(element, swatch(editor.app.colour(one.label)), label, times,
        button("Delete", () => editor.remove(one.id), { dataset: { part: "delete" } }));
      if (held) element.querySelector(`[data-part="${held}"]`)?.focus();
    },
  };
}

/** Annotation files in and out, and what is done with the video itself. */
export function fileMenu(editor) {
  const choose = h("input", { type: "file", id: "label-import", accept: READ, class: "visually-hidden" });
  choose.addEventListener("change", () => {
    const [file] = choose.files;
    choose.value = "";
    if (file) editor.import(file);
  });
  const form = h("select", { id: "label-export", "aria-label": "Export segments as" },
    h("option", { value: "" }, "Export as …"),
    Object.entries(FORMATS).map(([key, text]) => h("option", { value: key }, text)));
  form.addEventListener("change", async () => {
    const format = form.value;
    form.value = "";
    if (!format || !(await editor.saving.flush())) return;
    const link = h("a", { href: editor.path("export", { format }), download: "" });
    document.body.append(link);
    link.click();
    link.remove();
  });
  const again = h("button", { class: "button small", type: "button", hidden: true }, "Load them again");
  const element = h("div", { class: "row label-files" }, again,
    h("div", { class: "file-choice" }, choose, h("label", { class: "button", for: "label-import" }, "Import segments")), form,
    h("button", {
      class: "button danger", type: "button", id: "label-remove",
      onclick: () => editor.on.removed(editor.loaded),
    }, "Delete video"));
  return {
    element,
    offerReload(run) {
      again.hidden = false;
      again.onclick = () => {
        again.hidden = true;
        run();
      };
    },
  };
}
