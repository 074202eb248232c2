// The line to the server's live answers: the camera's pictures go one at a time, scores come back.
// Connects anew by itself. Knows nothing of labels and of what is drawn.

const LARGEST_PX = 480;
const LEAST_MS = 50; // between two pictures: at most 20 a second
const NEW_MODEL = 4000; // the code a line is closed with when another model is in use

/**
 * hears = {hello(facts), answer({time_s, scores, ms}), saved(id), problem(text)}; problem("") once
 * there is none. -> {start(), stop(), correct(action, person), now_s}
 */
export function liveLine(camera, hears) {
  let socket = null;
  let isWanted = false;
  let isReady = false; // the server has said hello
  let timer = 0;
  let pause_ms = 500;
  const line = { now_s: null, start, stop, correct };

  function start() {
    if (isWanted) return;
    isWanted = true;
    connect();
  }

  function stop() {
    isWanted = false;
    clearTimeout(timer);
    socket?.close();
    socket = null;
    isReady = false;
  }

  function connect() {
    const address = new URL("/api/live", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const mine = (socket = new WebSocket(address));
    isReady = false;
    mine.onmessage = (event) => mine === socket && heard(JSON.parse(event.data));
    mine.onclose = ({ code }) => {
      if (mine !== socket || !isWanted) return;
      const wait_ms = code === NEW_MODEL ? 0 : pause_ms;
      pause_ms = Math.min(pause_ms * 1.6, 4000);
      clearTimeout(timer);
      timer = setTimeout(connect, wait_ms);
    };
  }

  function heard(message) {
    if (message.error !== undefined) {
      hears.problem(message.error);
      if (isReady) later(1000); // it was about one picture or one correction
    } else if (message.classes) {
      isReady = true;
      pause_ms = 500;
      hears.problem("");
      hears.hello(message);
      later(0);
    } else if (message.saved) {
      hears.saved(message.saved);
    } else if (message.time_s !== undefined) {
      hears.answer(message);
      later(Math.max(0, LEAST_MS - (performance.now() - 1000 * line.now_s)));
    }
  }

  function later(wait_ms) {
    clearTimeout(timer);
    timer = setTimeout(send, wait_ms);
  }

  async function send() {
    const mine = socket;
    const time_s = performance.now() / 1000;
    const picture = await camera.jpeg(LARGEST_PX);
    if (mine !== socket || !isReady) return;
    if (!picture) return later(200); // the camera is starting, or off
    const data = await picture.arrayBuffer();
    if (mine !== socket || mine.readyState !== WebSocket.OPEN) return;
    const message = new Uint8Array(8 + data.byteLength);
    new DataView(message.buffer).setFloat64(0, time_s, true);
    message.set(new Uint8Array(data), 8);
    line.now_s = time_s;
    mine.send(message);
  }

  function correct(action, person = null) {
    if (!isReady || line.now_s === null) return false;
    socket.send(JSON.stringify({ correct: action, time_s: line.now_s, person }));
    return true;
  }

  return line;
}
