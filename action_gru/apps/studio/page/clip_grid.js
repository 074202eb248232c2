// The clips of one action as small pictures: choose, play, trim, move, delete.

import { fileName } from "./clips.js";
import { count, fill, h, icon, keyed, say } from "./dom.js";
import { playOn, thumb } from "./thumb.js";
import { openTrim } from "./trim.js";

export const DRAGGED = "application/x-studio-clips";
const WARNINGS = {
  dark: "Too dark", still: "Nothing moves", same: "Nearly the same as another",
};
const inOrder = new Intl.Collator("en", { numeric: true }); // take-2 before take-10
const TRIM = ["M6 3v12a3 3 0 0 0 3 3h12", "M18 21V9a3 3 0 0 0-3-3H3"];
const BIN = ["M4 7h16", "M9 7V4h6v3", "M6 7l1 13h10l1-13"];

function chips(clip, reading) {
  if (clip.features === "failed") {
    return [h("span", { class: "chip error" }, clip.problem ?? "This clip cannot be read")];
  }
  const words = clip.warnings.map((warning) => h(
    "span", { class: "chip warn", title: clip.like && warning === "same" ? fileName(clip.like) : null },
    WARNINGS[warning] ?? warning,
  ));
  if (clip.features === "waiting") words.push(h("span", { class: "chip" }, reading));
  return words;
}

function tile(clip, grid) {
  const picture = thumb(grid.app, clip);
  const box = h("input", { type: "checkbox", class: "choose" });
  const trim = h("button", { class: "tile-button", type: "button" }, icon(...TRIM));
  const bin = h("button", { class: "tile-button", type: "button" }, icon(...BIN));
  const notes = h("div", { class: "tile-notes" });
  const person = h("span", { class: "muted small", dir: "auto" });
  const length = h("span", { class: "muted small" });
  const element = h("li", { class: "tile", draggable: "true", dataset: { clip: clip.id } },
    h("div", { class: "tile-picture" }, picture, h("label", { class: "tile-choose" }, box),
      h("div", { class: "tile-tools" }, trim, bin)),
    h("div", { class: "tile-facts row" }, person, length), notes);
  let now = clip;
  box.addEventListener("click", (event) => grid.choose(now.id, box.checked, event.shiftKey));
  trim.addEventListener("click", () => openTrim(now, grid.app));
  bin.addEventListener("click", () => grid.remove([now.id]));
  element.addEventListener("dragstart", (event) => {
    const ids = grid.chosen.has(now.id) ? [...grid.chosen] : [now.id];
    event.dataTransfer.setData(DRAGGED, JSON.stringify(ids));
    event.dataTransfer.effectAllowed = "move";
  });
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Delete") return;
    event.stopPropagation();
    grid.remove(grid.chosen.has(now.id) ? [...grid.chosen] : [now.id]);
  });
  playOn(element, picture);
  element.show = (next, number, reading) => {
    const chosen = grid.chosen.has(next.id);
    box.checked = chosen;
    element.classList.toggle("chosen", chosen);
    const name = `clip ${number} of ${next.action}`;
    const seen = JSON.stringify([next, name, reading]);
    if (element.seen === seen) return; // 200 tiles: most have not changed
    element.seen = seen;
    now = next;
    picture.show(next);
    box.setAttribute("aria-label", `Choose ${name}`);
    trim.setAttribute("aria-label", `Trim ${name}`);
    bin.setAttribute("aria-label", `Delete ${name}`);
    const end_s = next.end_s ?? next.file_s;
    say(length, end_s ? `${(end_s - (next.start_s ?? 0)).toFixed(1)} s` : "");
    say(person, next.person ?? "");
    element.title = fileName(next.id);
    fill(notes, chips(next, reading));
  };
  return element;
}

/** The grid and the bar of what can be done with the chosen clips. */
export class ClipGrid {
  chosen = new Set(); // ids
  #shown = []; // clips as they are drawn
  #last = null; // the clip that was chosen last, where shift begins
  #gone = new Set(); // ids that were deleted or moved and are in the state still

  constructor(app) {
    this.app = app;
    this.list = h("ul", { class: "tiles", "aria-labelledby": "clips-title" });
    this.title = h("h2", { id: "clips-title", dir: "auto" });
    this.target = h("select", {
      "aria-label": "Move the chosen clips to", class: "move",
      onchange: () => {
        if (this.target.value) this.move([...this.chosen], this.target.value);
        this.target.value = "";
      },
    });
    this.all = h("button", {
      class: "button small", type: "button", onclick: () => this.#chooseAll(),
    });
    this.told = h("span", { class: "muted", role: "status" });
    const who = h("input", {
      class: "who", list: "people", maxlength: 80, autocomplete: "off", dir: "auto",
      placeholder: "Who is this?", "aria-label": "Who is in the chosen clips",
      onchange: () => {
        this.setPerson([...this.chosen], who.value.trim() || null);
        who.value = "";
      },
    });
    this.doing = h("div", { class: "row" }, who, this.target,
      h("button", {
        class: "button small danger", type: "button", onclick: () => this.remove([...this.chosen]),
      }, "Delete chosen"));
    this.bar = h("div", { class: "row clips-bar" }, this.title, h("span", { class: "grow" }), this.told,
      this.doing, this.all);
    this.empty = h("p", { class: "empty" }, "No clips of this action yet. Record a burst, or drop "
      + "video files or folders here.");
    this.element = h("section", { class: "stack clips" }, this.bar, this.list, this.empty);
  }

  update(state, action) {
    const here = new Set((state.clips ?? []).map((clip) => clip.id));
    for (const id of this.#gone) if (!here.has(id)) this.#gone.delete(id);
    const clips = (state.clips ?? []).filter(
      (clip) => clip.action === action && !this.#gone.has(clip.id));
    this.#shown = clips.sort((one, two) => inOrder.compare(two.id, one.id)); // the newest first
    const ids = new Set(this.#shown.map((clip) => clip.id));
    for (const id of this.chosen) if (!ids.has(id)) this.chosen.delete(id);
    this.action = action;
    this.#drawTargets(state.actions);
    this.reading = state.engines?.reader?.state === "ready" ? "Being read" : "Waits to be read";
    this.draw();
  }

  #drawTargets(actions) {
    const names = actions.map((action) => action.name).filter((name) => name !== this.action);
    const signature = names.join("\n");
    if (this.target.dataset.signature === signature) return;
    this.target.dataset.signature = signature;
    fill(this.target, h("option", { value: "" }, "Move to …"),
      names.map((name) => h("option", { value: name }, name)));
  }

  draw() {
    const clips = this.#shown;
    say(this.title, this.action ? `${this.action}: ${count(clips.length, "clip")}` : "");
    keyed(this.list, clips, (clip) => clip.id, (clip) => tile(clip, this), (row, clip) => {
      row.show(clip, clips.length - clips.indexOf(clip), this.reading);
    });
    const number = this.chosen.size;
    this.doing.hidden = number === 0;
    say(this.told, number ? `${number} chosen` : "");
    say(this.all, number ? "Choose none" : "Choose all");
    this.all.hidden = clips.length === 0;
    this.empty.hidden = clips.length > 0 || !this.action;
  }

  choose(id, wanted, through) {
    const ids = this.#shown.map((clip) => clip.id);
    const from = through && ids.includes(this.#last) ? ids.indexOf(this.#last) : ids.indexOf(id);
    const [low, high] = [from, ids.indexOf(id)].sort((one, two) => one - two);
    for (const each of ids.slice(low, high + 1)) {
      if (wanted) this.chosen.add(each);
      else this.chosen.delete(each);
    }
    this.#last = id;
    this.draw();
  }

  #chooseAll() {
    if (this.chosen.size) this.chosen.clear();
    else for (const clip of this.#shown) this.chosen.add(clip.id);
    this.draw();
  }

  /** Takes the clips off the grid at once; they come back if the server refuses. */
  async #take(ids, work, text) {
    if (!ids.length) return;
    const focus = this.#neighbour(ids);
    for (const id of ids) {
      this.#gone.add(id);
      this.chosen.delete(id);
    }
    this.#shown = this.#shown.filter((clip) => !this.#gone.has(clip.id));
    this.draw();
    focus?.focus();
    const answer = await this.app.run(work);
    if (answer) return this.app.toast(text, { undo: true });
    for (const id of ids) this.#gone.delete(id);
    this.update(this.app.state, this.action);
  }

  /** The box of the clip that takes the place of the one with the focus. */
  #neighbour(ids) {
    const gone = new Set(ids);
    const place = document.activeElement?.closest(".tile")?.dataset.clip;
    if (!gone.has(place)) return null;
    const at = this.#shown.findIndex((clip) => clip.id === place);
    const left = (clip) => !gone.has(clip.id);
    const next = this.#shown.slice(at).find(left) ?? this.#shown.slice(0, at).findLast(left);
    return next ? this.list.querySelector(`[data-clip="${CSS.escape(next.id)}"] .choose`) : this.all;
  }

  async setPerson(ids, person) {
    const answer = await this.app.run(
      () => this.app.api.post("/api/clips/change", { ids, person }));
    if (!answer) return;
    this.chosen.clear();
    this.draw();
    this.app.toast(`${count(ids.length, "clip")}: ${person ?? "nobody named"}`, { undo: true });
  }

  remove(ids) {
    return this.#take(ids, () => this.app.api.post("/api/clips/delete", { ids }),
      `Deleted ${count(ids.length, "clip")}`);
  }

  move(ids, action) {
    return this.#take(ids, () => this.app.api.post("/api/clips/change", { ids, action }),
      `Moved ${count(ids.length, "clip")} to ${action}`);
  }
}
