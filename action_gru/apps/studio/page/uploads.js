// Brings recorded clips and dropped files to the server, one after another, and keeps each until
// the server has it. Recorded clips wait in the browser's database, so they outlive a reload, a
// killed server and a full disk. Dropped files wait in memory: they are on the user's disk anyway.

import { ApiError, upload, withQuery } from "./api.js";

const LONGEST_MS = 8000;
const FULL_MS = 5000;
const STORE = "clips";

function openDatabase() {
  return new Promise((resolve) => {
    const request = window.indexedDB?.open("studio-uploads", 1);
    if (!request) return resolve(null);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => resolve(null); // a private window: clips then wait in memory
  });
}

const database = openDatabase();

/** Runs one request in the store. -> what it found, null for nothing; undefined where there is no
 * store or it has no room. Waits for the end: what a request wrote may still be taken back. */
async function inStore(mode, work) {
  const base = await database;
  if (!base) return undefined;
  return new Promise((resolve) => {
    const transaction = base.transaction(STORE, mode);
    const request = work(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(request.result ?? null);
    transaction.onabort = () => resolve(undefined);
  });
}

/** Only one tab sends a clip: `work` runs unless another tab has it in hand. */
function alone(id, work) {
  if (!navigator.locks) return work(); // a page over plain http has no locks, and no camera
  return navigator.locks.request(`clip-${id}`, { ifAvailable: true }, (lock) => (
    lock ? work() : "again"
  ));
}

class Uploads {
  state = "idle"; // idle | sending | offline | full
  text = "";
  share = 0; // of the file that is on its way
  #waiting = [];
  #listeners = new Set();
  #busy = false;
  #pause_ms = 500;
  #wake = () => {};
  #dropped = () => {};

  /** Sends what an earlier page of this project left; `dropped(text)` hears what was refused. */
  async start(project, dropped) {
    this.#dropped = dropped;
    document.addEventListener("studio-link", (event) => event.detail && this.wake());
    window.addEventListener("beforeunload", (event) => {
      if (this.#waiting.some((item) => !item.kept)) event.preventDefault();
    });
    const left = (await inStore("readonly", (store) => store.getAll())) ?? [];
    const here = new Set(this.#waiting.map((item) => item.id));
    const mine = left.filter((item) => item.project === project && !here.has(item.id));
    this.#waiting.unshift(...mine.map((item) => ({ ...item, kept: true })));
    this.#work();
  }

  get waiting() {
    return this.#waiting.length;
  }

  on(heard) {
    this.#listeners.add(heard);
    return () => this.#listeners.delete(heard);
  }

  #become(state, text = "") {
    this.state = state;
    this.text = text;
    for (const heard of [...this.#listeners]) heard(this);
  }

  /** query: {action, person, take, number} of a recorded clip, {action, person, name} of a file. */
  async add(blob, query, project) {
    const item = { id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, project, blob, query };
    if (!query.name) item.kept = (await inStore("readwrite", (store) => store.put(item))) !== undefined;
    this.#waiting.push(item); // not before it is kept: sent first, it would be kept for good
    this.#become(this.state, this.text);
    this.#work();
  }

  /** Clips that wait for an action go to it under its new name. */
  rename(old, name) {
    for (const item of this.#waiting) {
      if (item.query.action !== old) continue;
      item.query.action = name;
      if (item.kept) inStore("readwrite", (store) => store.put(item));
    }
  }

  /** Tries again now. */
  wake() {
    this.#pause_ms = 500;
    this.#wake();
  }

  async #work() {
    if (this.#busy) return;
    this.#busy = true;
    while (this.#waiting.length) {
      const item = this.#waiting[0];
      const outcome = await alone(item.id, () => this.#send(item));
      if (outcome === "again") await this.#rest();
      else this.#waiting.splice(this.#waiting.indexOf(item), 1);
    }
    this.#busy = false;
    this.#become("idle");
  }

  async #send(item) {
    // Another tab may have sent it since this page read the database.
    const left = item.kept ? await inStore("readonly", (store) => store.getKey(item.id)) : item.id;
    if (left === null) return "done";
    if (this.state === "idle") this.#become("sending");
    try {
      await upload(withQuery("/api/clips", item.query), item.blob, (share) => {
        this.share = share;
        this.#become("sending");
      });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (this.#waitsFor(error)) return "again";
      this.#dropped(`${item.query.name ?? "A clip"} was not taken: ${error.message}`);
    }
    this.#pause_ms = 500;
    this.#become("sending");
    if (item.kept) await inStore("readwrite", (store) => store.delete(item.id));
    return "done";
  }

  /** Whether the fault may pass; a refusal (4xx) does not. */
  #waitsFor({ status, message }) {
    if (status === 507) {
      this.#pause_ms = FULL_MS;
      this.#become("full", message);
    } else if (status === 0 || status >= 500 || status === 429) {
      this.#become("offline", message);
    } else return false;
    return true;
  }

  #rest() {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#pause_ms);
      this.#pause_ms = Math.min(this.#pause_ms * 2, LONGEST_MS);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

export const uploads = new Uploads();
