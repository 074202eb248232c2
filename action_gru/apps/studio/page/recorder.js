// Records clips from a camera's stream: one file a clip, one recorder a file.
// Knows nothing of actions, pages or servers.

const LOST = "The camera stopped while it recorded; the clips before are kept.";
const FORMS = ["video/webm;codecs=vp8", "video/webm", "video/mp4"];

/** The first form that this browser can record; null if it records nothing. */
function recordedForm() {
  return FORMS.find((form) => window.MediaRecorder?.isTypeSupported(form)) ?? null;
}

/** Waits; rejects with an AbortError once `signal` is aborted. */
export function wait(seconds, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Records `seconds` of the stream. -> Blob. Rejects when the camera ends or `signal` aborts. */
export function recordClip(stream, seconds, signal) {
  return new Promise((resolve, reject) => {
    const form = recordedForm();
    if (!form) return reject(new Error("This browser cannot record video; drop video files instead."));
    const isLost = () => stream.getTracks().every((track) => track.readyState === "ended");
    if (isLost()) return reject(new Error(LOST));
    const recorder = new MediaRecorder(stream, { mimeType: form, videoBitsPerSecond: 2_500_000 });
    const parts = [];
    let reason = null;
    const stop = (why) => {
      reason ??= why;
      if (recorder.state !== "inactive") recorder.stop();
    };
    const abort = () => stop(signal.reason);
    recorder.ondataavailable = (event) => parts.push(event.data);
    recorder.onerror = () => stop(new Error("The browser stopped recording; try again."));
    // The clock starts with the first picture that is written, not with the call.
    recorder.onstart = () => setTimeout(() => stop(null), seconds * 1000);
    recorder.onstop = () => {
      signal?.removeEventListener("abort", abort);
      if (reason) reject(reason);
      else if (isLost()) reject(new Error(LOST));
      else resolve(new Blob(parts, { type: form.split(";")[0] }));
    };
    signal?.addEventListener("abort", abort, { once: true });
    recorder.start();
  });
}

/** Counts down, then records clip after clip with pauses. `tell({phase, ...})` hears each phase:
 * "count" {left}, "clip" {number, of, seconds}, "pause" {number, of, seconds}.
 * `keep(blob, number)` gets each clip at once. Rejects as `recordClip` does. */
export async function recordBurst(stream, { clips, clip_s, pause_s, count }, { signal, tell, keep }) {
  for (let left = count; left > 0; left--) {
    tell({ phase: "count", left });
    await wait(1, signal);
  }
  for (let number = 1; number <= clips; number++) {
    tell({ phase: "clip", number, of: clips, seconds: clip_s });
    keep(await recordClip(stream, clip_s, signal), number);
    if (number === clips) return;
    tell({ phase: "pause", number, of: clips, seconds: pause_s });
    await wait(pause_s, signal);
  }
}

/** 2026-11-29 10:15:00 here -> "20261129-101500", the name of a take. */
export function takeName(now = new Date()) {
  const two = (value) => String(value).padStart(2, "0");
  const day = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  return `${day}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
}

let speaker = null;

/** A short tone, for somebody who stands away from the screen. */
export function beep(hertz, seconds = 0.12) {
  speaker ??= new AudioContext();
  const tone = speaker.createOscillator();
  const volume = speaker.createGain();
  tone.frequency.value = hertz;
  volume.gain.setValueAtTime(0.15, speaker.currentTime);
  volume.gain.exponentialRampToValueAtTime(0.001, speaker.currentTime + seconds);
  tone.connect(volume).connect(speaker.destination);
  tone.start();
  tone.stop(speaker.currentTime + seconds);
}
