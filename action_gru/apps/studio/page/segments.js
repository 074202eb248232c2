// The segments of one video while they are edited: begin and end, edges, proposals, undo.
// Times are seconds, kept to the millisecond. Knows no element and no server.

const LEAST_S = 0.05; // a shorter one is a slip of the finger
const MOST_UNDO = 200;

const toMs = (time_s) => Math.round(time_s * 1000) / 1000;
const inOrder = (one, other) => one.start_s - other.start_s || one.end_s - other.end_s;

/** Edits one list; `changed(why)` is called after each edit. Lists are never changed in place, so
 * an undo is the list before. */
export class Segments {
  constructor(changed) {
    this.changed = changed;
    this.counter = 0;
    this.load([]);
  }

  /** Shows what is on disk; nothing of it can be undone. */
  load(list) {
    this.list = list.map((one) => this.made(one)).sort(inOrder);
    this.open = null; // {label, start_s}: begun, not ended
    this.ghosts = [];
    this.past = [];
    this.future = [];
  }

  made({ start_s, end_s, label }) {
    return { id: `s${++this.counter}`, start_s: toMs(start_s), end_s: toMs(end_s), label };
  }

  find(id) {
    return this.list.find((one) => one.id === id) ?? null;
  }

  /** One step that can be undone. ghosts: the proposals that are left. */
  set(list, why, ghosts = this.ghosts) {
    this.past.push(this.now());
    if (this.past.length > MOST_UNDO) this.past.shift();
    this.future = [];
    this.list = list.sort(inOrder);
    this.ghosts = ghosts;
    this.changed(why);
  }

  now() {
    return { list: this.list, ghosts: this.ghosts };
  }

  undo() {
    return this.travel(this.past, this.future);
  }

  redo() {
    return this.travel(this.future, this.past);
  }

  travel(from, to) {
    if (!from.length) return false;
    to.push(this.now());
    Object.assign(this, from.pop());
    this.changed("undo");
    return true;
  }

  /** A key of an action: begins a segment, ends the one that it began, or ends another's first.
   * -> the segment that ended, or null. */
  toggle(label, time_s) {
    const { open } = this;
    const ended = open ? this.end(time_s) : null;
    if (!open || open.label !== label) {
      this.open = { label, start_s: toMs(time_s) };
      this.changed("open");
    }
    return ended;
  }

  /** Ends what was begun; sought back meanwhile, the two times change places. */
  end(time_s) {
    const { label, start_s } = this.open;
    this.open = null;
    const [from_s, to_s] = [start_s, toMs(time_s)].sort((one, other) => one - other);
    if (to_s - from_s < LEAST_S) {
      this.changed("open");
      return null;
    }
    return this.add({ start_s: from_s, end_s: to_s, label });
  }

  drop() {
    this.open = null;
    this.changed("open");
  }

  add(one) {
    const made = this.made(one);
    this.set([...this.list, made], "add");
    return made;
  }

  addAll(many) {
    const added = many.map((one) => this.made(one)).filter((one) => !this.has(one));
    if (added.length) this.set([...this.list, ...added], "add");
    return added.length;
  }

  has({ label, start_s, end_s }) {
    return this.list.some((own) => (
      own.label === label && own.start_s === start_s && own.end_s === end_s
    ));
  }

  /** A segment with an edge or a label of its own. `isGoing`: of a drag, whose steps are one. */
  change(id, fields, isGoing = false) {
    const next = this.list.map((one) => (one.id === id ? { ...one, ...fields } : one));
    if (isGoing) {
      this.list = next;
      this.changed("drag");
    } else {
      this.set(next, "change");
    }
  }

  /** Where an edge may go: its segment keeps a length, within the video. */
  edge(one, side, time_s, duration_s) {
    const low = side === "start_s" ? 0 : one.start_s + LEAST_S;
    const high = side === "start_s" ? one.end_s - LEAST_S : duration_s;
    return toMs(Math.min(Math.max(time_s, low), high));
  }

  /** A drag begins: where it ends is one step. -> call it at the end. */
  beginDrag() {
    const before = this.list;
    return () => {
      const after = this.list;
      this.list = before;
      if (after !== before) this.set([...after], "change");
    };
  }

  remove(id) {
    this.set(this.list.filter((one) => one.id !== id), "remove");
  }

  /** The model's proposals; those that a segment already covers are left out. */
  propose(ghosts) {
    this.ghosts = ghosts.map((one) => ({ ...this.made(one), score: one.score ?? null }))
      .filter((ghost) => !this.list.some((own) => covers(own, ghost)));
    this.changed("ghosts");
  }

  /** The proposal at a time, of several the one that begins last. */
  ghostAt(time_s) {
    return this.ghosts.findLast((one) => one.start_s <= time_s && time_s <= one.end_s) ?? null;
  }

  accept(ghost) {
    const made = this.made(ghost);
    this.set([...this.list, made], "add", this.ghosts.filter((one) => one !== ghost));
    return made;
  }

  acceptAll() {
    const all = this.ghosts.map((one) => this.made(one));
    if (all.length) this.set([...this.list, ...all], "add", []);
    return all.length;
  }

  dismiss(ghost) {
    this.set([...this.list], "dismiss", this.ghosts.filter((one) => one !== ghost));
  }

  /** As the server takes them. */
  document() {
    return this.list.map(({ start_s, end_s, label }) => ({ start_s, end_s, label }));
  }
}

/** Of the same label, and at least half of what both span is shared. */
function covers(own, ghost) {
  const shared_s = Math.min(own.end_s, ghost.end_s) - Math.max(own.start_s, ghost.start_s);
  const both_s = Math.max(own.end_s, ghost.end_s) - Math.min(own.start_s, ghost.start_s);
  return own.label === ghost.label && shared_s >= both_s / 2;
}

/** Which row each segment of a sorted list is drawn in, so that none hides another: id -> 0, 1, ... */
export function lanesOf(list) {
  const ends = [];
  const lanes = new Map();
  for (const one of list) {
    let lane = ends.findIndex((end_s) => end_s <= one.start_s);
    if (lane < 0) lane = ends.length;
    ends[lane] = one.end_s;
    lanes.set(one.id, lane);
  }
  return { lanes, count: Math.max(ends.length, 1) };
}

/** 63.25 -> "1:03.250", 3723 -> "1:02:03.000". */
export function clock(time_s, decimals = 3) {
  const units = Math.round(Math.max(time_s, 0) * 10 ** decimals);
  const whole = Math.floor(units / 10 ** decimals);
  const [hours, minutes, seconds] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const rest = decimals ? `.${String(units % 10 ** decimals).padStart(decimals, "0")}` : "";
  const two = (number) => String(number).padStart(2, "0");
  return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(seconds)}${rest}`;
}

/** "1:03.25", "63,25" or "1:02:03" -> seconds; null for another text. */
export function seconds(text) {
  const parts = text.trim().replace(",", ".").split(":");
  const fits = parts.length <= 3 && parts.every((part) => /^\d+(\.\d*)?$/.test(part));
  if (!fits || parts.slice(0, -1).some((part) => part.includes("."))) return null;
  return toMs(parts.reduce((sum, part) => sum * 60 + Number(part), 0));
}
