// The small camera preview that stays over all steps, and the controls of the camera.

import { fill, h, say } from "./dom.js";

/** On, off, which one, mirrored. -> element; call `.stop()` when its step is unmounted. */
export function cameraControls({ camera }) {
  const power = h("button", {
    class: "button small camera-power", type: "button",
    onclick: () => (camera.stream ? camera.close() : camera.open()),
  });
  const picker = h("select", {
    class: "camera-picker", "aria-label": "Camera", onchange: () => camera.open(picker.value),
  });
  const mirror = h("input", {
    type: "checkbox", class: "camera-mirror", onchange: () => void (camera.mirror = mirror.checked),
  });
  const place = h("div", { class: "camera-controls row" },
    power, h("label", { class: "check small" }, mirror, "Mirror"), picker);
  const draw = async () => {
    say(power, camera.stream ? "Turn off" : "Turn on");
    power.disabled = camera.state === "asking" || camera.state === "insecure";
    mirror.checked = camera.mirror;
    const devices = await camera.devices();
    const signature = JSON.stringify(devices);
    if (picker.dataset.signature !== signature) {
      picker.dataset.signature = signature;
      fill(picker, devices.map(({ id, name }) => h("option", { value: id }, name)));
    }
    picker.hidden = devices.length < 2 || !camera.stream;
    if (camera.deviceId) picker.value = camera.deviceId;
  };
  place.stop = camera.on(draw);
  draw();
  return place;
}

/** Fills the dock. A step that shows the camera large hides it by CSS (body[data-step]). */
export function mountDock(place, app) {
  const { camera } = app;
  const words = h("p", { class: "dock-words small" });
  fill(place,
    h("div", { class: "dock-picture" }, camera.view("Camera preview, small"), words,
      h("button", { // on a phone there is no room for the controls
        class: "dock-off", type: "button", "aria-label": "Turn the camera off",
        onclick: () => camera.close(),
      }, "×")),
    cameraControls(app));
  const draw = () => {
    place.dataset.camera = camera.state;
    say(words, camera.problem);
  };
  camera.on(draw);
  draw();
}
