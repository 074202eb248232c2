// Saves by itself: soon after an edit, once more after edits that came meanwhile, and never silently.

import { say } from "./dom.js";

const PAUSE_MS = 500;
const AGAIN_MS = 3000;

/** makeSaving(place, {send(version) -> Promise<{version}>, refused(error)}) ->
 * {edited(), flush(), begin(version), isClean(), version}. `place` tells whether all is kept. */
export function makeSaving(place, on) {
  let version = "";
  let dirty = false;
  let sending = null;
  let timer = 0;
  let isLost = false; // another window has changed the same

  async function send() {
    clearTimeout(timer);
    if (sending || !dirty || isLost) return;
    dirty = false;
    say(place, "Saving…");
    sending = on.send(version);
    try {
      ({ version } = await sending);
      place.className = "label-saved";
    } catch (error) {
      failed(error);
      return;
    } finally {
      sending = null;
    }
    if (dirty) await send(); // edited meanwhile
    else say(place, "Saved");
  }

  /** What was refused is sent again after the next edit; what did not arrive, by itself. */
  function failed(error) {
    dirty = true;
    isLost = error.status === 409;
    place.className = "label-saved failed";
    say(place, `Not saved: ${error.message}`);
    if (isLost) on.refused(error);
    else if (!error.status || error.status >= 500) timer = setTimeout(send, AGAIN_MS);
  }

  function leaving(event) {
    if (dirty || sending) event.preventDefault(); // the browser asks whether to leave
  }
  window.addEventListener("beforeunload", leaving);

  return {
    begin(known) {
      version = known;
      dirty = isLost = false;
      place.className = "label-saved";
      say(place, "");
    },
    edited() {
      dirty = true;
      if (!isLost) say(place, "Saving…");
      clearTimeout(timer);
      timer = setTimeout(send, PAUSE_MS);
    },
    async flush() {
      if (sending) await sending.catch(() => {}); // told where it was sent
      await send();
      return !dirty;
    },
    isClean: () => !dirty && !sending,
    version: () => version,
    destroy: () => window.removeEventListener("beforeunload", leaving),
  };
}
