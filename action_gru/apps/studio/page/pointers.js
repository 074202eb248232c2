// Fingers, pens and the mouse on one element: press, drag, click, and a pinch of two fingers.

const CLICK_PX = 4; // of movement that is still a click

/** follow(element, {press, drag, end, click, pinch, hover, state}) with places in CSS pixels.
 * `press(x, y, kind)` says what was pressed; the other calls get it back. `state(x)` is kept from
 * the beginning of a drag or pinch and handed to it. */
export function follow(element, on) {
  const down = new Map(); // pointer id -> {x, y}
  let pressed = null; // {what, x, y, state, isDrag}
  let pinched = null; // {distance, state}

  const at = (event) => {
    const box = element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const spread = () => {
    const [one, other] = [...down.values()];
    return { distance: Math.abs(one.x - other.x), centre: (one.x + other.x) / 2 };
  };

  function finish(isClick) {
    if (!pressed) return;
    if (pressed.isDrag) on.end(pressed.what);
    else if (isClick) on.click(pressed.what, pressed.x, pressed.y);
    pressed = null;
  }

  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    element.setPointerCapture(event.pointerId);
    const place = at(event);
    down.set(event.pointerId, place);
    if (down.size === 1) {
      const what = on.press(place.x, place.y, event.pointerType);
      pressed = { what, ...place, state: on.state(place.x), isDrag: false };
    } else if (down.size === 2) {
      finish(false);
      const { distance, centre } = spread();
      pinched = { distance: Math.max(distance, 1), state: on.state(centre) };
    }
  });

  element.addEventListener("pointermove", (event) => {
    const place = at(event);
    if (!down.has(event.pointerId)) {
      on.hover(place.x, place.y);
      return;
    }
    down.set(event.pointerId, place);
    if (pinched && down.size === 2) {
      const { distance, centre } = spread();
      on.pinch(pinched.state, centre, Math.max(distance, 1) / pinched.distance);
    } else if (pressed) {
      pressed.isDrag ||= Math.abs(place.x - pressed.x) > CLICK_PX;
      if (pressed.isDrag) on.drag(pressed.what, place.x, pressed.state);
    }
  });

  for (const kind of ["pointerup", "pointercancel"]) {
    element.addEventListener(kind, (event) => {
      if (!down.delete(event.pointerId)) return;
      finish(kind === "pointerup");
      if (down.size < 2) pinched = null;
    });
  }
}
