// The one camera of the page: opens it, says in words why it cannot, and shows it in any number
// of views. Knows nothing of actions or clips.

import { h } from "./dom.js";

const WORDS = {
  off: "The camera is off.",
  asking: "Waiting for the camera. Your browser may ask you to allow it.",
  on: "",
  denied: "The browser does not let this page use the camera. Allow it in the address bar, then "
    + "press Turn on. You can also drop video files here.",
  none: "No camera was found. Connect one and press Turn on. You can also drop video files here.",
  busy: "The camera does not start; another program may be using it. Close that program and press "
    + "Turn on. You can also drop video files here.",
  lost: "The camera was disconnected. Connect it again, or choose another one. You can also drop "
    + "video files here.",
  insecure: "Browsers give a camera only to pages from this computer or over https. Open "
    + "this page as http://127.0.0.1 on the computer with the camera. You can also drop video files "
    + "here.",
};
const REASONS = {
  NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "none",
  OverconstrainedError: "none",
};
const listeners = new Set();
const sketch = document.createElement("canvas");

function remember(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    return; // a private window may keep nothing: the choice then lasts as long as the page
  }
}

function recall(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function constraints(deviceId) {
  const size = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };
  return { audio: false, video: deviceId ? { ...size, deviceId: { exact: deviceId } } : size };
}

class Camera {
  stream = null;
  state = "off"; // a key of WORDS
  deviceId = recall("camera");
  #mirror = recall("mirror") !== "no";
  #source = h("video", { muted: true, playsInline: true }); // what jpeg() reads
  #closed = false; // by the user
  #opening = 0; // the newest call of open() wins

  constructor() {
    if (!navigator.mediaDevices?.getUserMedia) this.state = "insecure";
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.#tell());
  }

  /** Why there is no picture, and what to do; "" while there is one. */
  get problem() {
    return WORDS[this.state];
  }

  get mirror() {
    return this.#mirror;
  }

  set mirror(value) {
    this.#mirror = Boolean(value);
    remember("mirror", value ? "yes" : "no");
    this.#tell();
  }

  /** `heard()` runs after each change; -> a function that ends this. */
  on(heard) {
    listeners.add(heard);
    return () => listeners.delete(heard);
  }

  #tell() {
    for (const heard of [...listeners]) heard(this);
  }

  #become(state, stream = null) {
    if (this.stream && this.stream !== stream) {
      for (const track of this.stream.getTracks()) track.stop();
    }
    this.stream = stream;
    this.state = state;
    this.#source.srcObject = stream;
    if (stream) this.#source.play().catch(() => {}); // a page in the background plays later
    this.#tell();
  }

  /** Opens this camera, or the one that was open last. -> whether there is a picture. */
  async open(deviceId = this.deviceId) {
    if (this.state === "insecure") return false;
    const turn = ++this.#opening;
    this.#closed = false;
    this.#become("asking");
    try {
      let stream;
      try {
        stream = await navigator.mediaDevices.getUserMedia(constraints(deviceId));
      } catch (error) {
        if (!deviceId || REASONS[error.name] === "denied") throw error;
        stream = await navigator.mediaDevices.getUserMedia(constraints(null)); // it is gone
      }
      if (turn !== this.#opening) {
        for (const track of stream.getTracks()) track.stop();
        return Boolean(this.stream);
      }
      const track = stream.getVideoTracks()[0];
      track.addEventListener("ended", () => {
        if (this.stream === stream) this.#become("lost");
      });
      this.deviceId = track.getSettings().deviceId ?? null;
      if (this.deviceId) remember("camera", this.deviceId);
      this.#become("on", stream);
      return true;
    } catch (error) {
      if (turn === this.#opening) this.#become(REASONS[error.name] ?? "busy");
      return false;
    }
  }

  /** Opens the camera if the user allowed it before and did not turn it off here. */
  async resume() {
    if (this.state !== "off" || this.#closed) return;
    const allowed = await navigator.permissions?.query({ name: "camera" }).catch(() => null);
    if (allowed?.state === "granted" && this.state === "off") await this.open();
  }

  close() {
    this.#closed = true;
    this.#opening += 1;
    if (this.state !== "insecure") this.#become("off");
  }

  /** -> [{id, name}]; names are known once a camera was allowed. */
  async devices() {
    if (!navigator.mediaDevices?.enumerateDevices) return [];
    const all = await navigator.mediaDevices.enumerateDevices();
    return all
      .filter((device) => device.kind === "videoinput")
      .map((device, at) => ({ id: device.deviceId, name: device.label || `Camera ${at + 1}` }));
  }

  /** A <video> that always shows the camera, mirrored when asked for. Call `.stop()` on it when
   * its step is unmounted. */
  view(label = "Camera preview") {
    const video = h("video", { class: "view", muted: true, playsInline: true, "aria-label": label });
    const draw = () => {
      video.classList.toggle("mirrored", this.#mirror);
      if (video.srcObject === this.stream) return;
      video.srcObject = this.stream;
      if (this.stream) video.play().catch(() => {}); // not in the document yet: autoplay below
    };
    video.autoplay = true;
    video.stop = this.on(draw);
    draw();
    return video;
  }

  /** What the camera sees now, never mirrored, at most `maxSide` pixels. -> Blob (image/jpeg),
   * or null without a picture. */
  async jpeg(maxSide = 320) {
    const { videoWidth: width, videoHeight: height } = this.#source;
    if (!this.stream || !width) return null;
    const scale = Math.min(1, maxSide / Math.max(width, height));
    sketch.width = Math.round(width * scale);
    sketch.height = Math.round(height * scale);
    sketch.getContext("2d").drawImage(this.#source, 0, 0, sketch.width, sketch.height);
    return new Promise((resolve) => sketch.toBlob(resolve, "image/jpeg", 0.85));
  }
}

export const camera = new Camera();
