// The player of a long video: seeks that never pile up, steps of one picture, the speed.

import { h, icon, say } from "./dom.js";
import { clock } from "./segments.js";

const SPEEDS = [0.25, 0.5, 1, 1.5, 2, 4];
const PLAY = ["M7 4l13 8-13 8z"];
const PAUSE = ["M8 5v14", "M16 5v14"];

/** makePlayer({time(s, isPlaying), ready(duration_s), failed()}) -> a player; `frame_s` is set from
 * what the server knows of the video. */
export function makePlayer(on) {
  const video = h("video", {
    class: "label-video", playsInline: true, preload: "auto", tabindex: "-1",
    "aria-label": "The video", disablepictureinpicture: true,
  });
  const play = h("button", { class: "button round", type: "button", id: "label-play" });
  const time = h("span", { class: "label-time", role: "timer", "aria-label": "Time" });
  const speed = h("select", { "aria-label": "Speed" }, SPEEDS.map((rate) => (
    h("option", { value: rate, selected: rate === 1 }, `${rate}×`)
  )));
  const mute = h("button", { class: "button quiet small", type: "button", "aria-pressed": "false" }, "Sound off");
  const back = h("button", { class: "button quiet small", type: "button", "aria-label": "One picture back" }, "‹");
  const on1 = h("button", { class: "button quiet small", type: "button", "aria-label": "One picture on" }, "›");
  const element = h("div", { class: "label-player" }, video,
    h("div", { class: "row label-controls" }, back, play, on1, time, h("span", { class: "grow" }), speed, mute));
  const player = { element, video, frame_s: 0.04, duration_s: 0, time_s: 0 };
  let wanted_s = null; // where to seek once the seek under way has ended
  let ticking = 0;

  const isPlaying = () => !video.paused && !video.ended;

  function tell() {
    say(time, `${clock(player.time_s)} / ${clock(player.duration_s)}`);
    on.time(player.time_s, isPlaying());
  }

  function drawPlay() {
    const playing = isPlaying();
    play.setAttribute("aria-label", playing ? "Pause" : "Play");
    play.replaceChildren(icon(...(playing ? PAUSE : PLAY)));
  }

  function tick() {
    ticking = 0;
    if (wanted_s === null && !video.seeking) player.time_s = video.currentTime;
    tell();
    if (isPlaying()) ticking = requestAnimationFrame(tick);
  }

  player.seek = (time_s) => {
    const last_s = Math.max(player.duration_s - 0.001, 0);
    player.time_s = Math.min(Math.max(time_s, 0), last_s);
    wanted_s = player.time_s;
    if (!video.seeking) settle();
    tell();
  };

  function settle() {
    if (wanted_s === null) return;
    const to_s = wanted_s;
    wanted_s = null;
    if (video.readyState > 0) video.currentTime = to_s;
  }

  /** Pictures have no equal distance: half a step further lands in the middle of the next one. */
  player.step = (pictures) => {
    video.pause();
    player.seek(player.time_s + pictures * player.frame_s);
  };
  player.toggle = async () => {
    if (isPlaying()) {
      video.pause();
      return;
    }
    try {
      await video.play();
    } catch (error) {
      if (error.name !== "AbortError") throw error; // paused before it began
    }
  };
  player.load = (url, duration_s) => {
    player.time_s = 0;
    player.duration_s = duration_s ?? 0;
    wanted_s = null;
    if (url) video.src = url;
    else video.removeAttribute("src");
    video.load();
    tell();
  };
  player.plays = () => video.readyState > 0 && !video.error;
  player.destroy = () => {
    cancelAnimationFrame(ticking);
    player.load(null);
  };

  play.addEventListener("click", player.toggle);
  video.addEventListener("click", player.toggle);
  back.addEventListener("click", () => player.step(-1));
  on1.addEventListener("click", () => player.step(1));
  speed.addEventListener("change", () => (video.playbackRate = Number(speed.value)));
  mute.addEventListener("click", () => {
    video.muted = !video.muted;
    mute.setAttribute("aria-pressed", String(video.muted));
  });
  video.addEventListener("seeked", () => {
    settle();
    if (video.seeking || isPlaying()) return;
    player.time_s = video.currentTime; // it may have been sought by another hand
    tell();
  });
  video.addEventListener("loadedmetadata", () => {
    video.playbackRate = Number(speed.value);
    if (Number.isFinite(video.duration) && !player.duration_s) player.duration_s = video.duration;
    on.ready(player.duration_s);
    tell();
  });
  video.addEventListener("error", () => video.getAttribute("src") && on.failed());
  for (const kind of ["play", "pause", "ended"]) {
    video.addEventListener(kind, () => {
      drawPlay();
      ticking ||= requestAnimationFrame(tick);
    });
  }
  drawPlay();
  tell();
  return player;
}
