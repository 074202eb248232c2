// The small camera preview that stays over all steps: on, off, which one, mirrored.
// It opens a camera only when asked, or when it was open in this session before.

import { fill, h, say } from "./dom.js";

/** Fills the dock; a step that shows the camera large hides it by CSS (body[data-step]). */
export function mountDock(place, app) {
  const { camera } = app;
  const view = camera.view();
  const words = h("p", { class: "dock-words small" });
  const power = h("button", {
    class: "button small", type: "button", id: "camera-power",
    onclick: () => (camera.stream ? camera.close() : camera.open()),
  });
  const picker = h("select", {
    id: "camera-picker", "aria-label": "Camera",
    onchange: () => camera.open(picker.value),
  });
  const mirror = h("input", {
    type: "checkbox", id: "camera-mirror",
    onchange: () => void (camera.mirror = mirror.checked),
  });
  const draw = async () => {
    place.dataset.camera = camera.state;
    say(power, camera.stream ? "Turn off" : "Turn on");
    power.disabled = camera.state === "asking" || camera.state === "insecure";
    mirror.checked = camera.mirror;
    say(words, camera.problem);
    const devices = await camera.devices();
    const signature = JSON.stringify(devices);
    if (picker.dataset.signature !== signature) {
      picker.dataset.signature = signature;
      fill(picker, devices.map(({ id, name }) => h("option", { value: id }, name)));
    }
    picker.hidden = devices.length < 2 || !camera.stream;
    if (camera.deviceId) picker.value = camera.deviceId;
  };
  fill(place,
    h("div", { class: "dock-picture" }, view, words),
    h("div", { class: "dock-controls" },
      power, h("label", { class: "check small" }, mirror, "Mirror"), picker));
  camera.on(draw);
  draw();
}
