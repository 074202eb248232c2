// Asks the server: the studio's, or the one of the page for visitors. Knows the form of its answers, not what they mean.

/** An answer that is no success: `message` is the server's sentence, `status` 0 if none came. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

const COMMAND = document.documentElement.dataset.command ?? "action-gru studio";
const SILENT = `The server does not answer. Is \`${COMMAND}\` still running?`;

function readAnswer(status, text) {
  let answer = null;
  try {
    answer = text ? JSON.parse(text) : null;
  } catch {
    answer = null; // a proxy's page or a broken line: the status below tells enough
  }
  if (status >= 200 && status < 300) return answer;
  throw new ApiError(answer?.error ?? `The server answered ${status}; try again.`, status);
}

async function ask(method, path, body) {
  const request = { method, headers: {} };
  if (body !== undefined) {
    request.headers["Content-Type"] = "application/json";
    request.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, request);
  } catch {
    throw new ApiError(SILENT, 0);
  }
  return readAnswer(response.status, await response.text());
}

export const get = (path) => ask("GET", path);
export const post = (path, body = {}) => ask("POST", path, body);
export const put = (path, body) => ask("PUT", path, body);
/** Removes something, also while the page is being left. */
export const remove = (path) => fetch(path, { method: "DELETE", keepalive: true }).catch(() => {});

/** Sends a file as it is; `onShare(0..1)` hears how much has gone. -> Promise of the answer. */
export function upload(path, blob, onShare = () => {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch tells no progress of what it sends
    request.open("POST", path);
    request.setRequestHeader("Content-Type", blob.type || "application/octet-stream");
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) onShare(event.loaded / event.total);
    };
    request.onload = () => {
      try {
        resolve(readAnswer(request.status, request.responseText));
      } catch (error) {
        reject(error);
      }
    };
    request.onerror = () => reject(new ApiError(SILENT, 0));
    request.send(blob);
  });
}

/** "/api/clips" and {action: "wave", person: null} -> "/api/clips?action=wave". */
export function withQuery(path, query) {
  const pairs = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  return pairs.length ? `${path}?${new URLSearchParams(pairs)}` : path;
}

/** Calls `onState` with each state that the server pushes, `onLink(bool)` as the line comes and
 * goes. Tries again for as long as the page is open. */
export function follow(onState, onLink) {
  let pause_ms = 500;
  const open = () => {
    const address = new URL("/api/events", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    socket.onopen = () => {
      pause_ms = 500;
      onLink(true); // the server sends the state at once
    };
    socket.onmessage = (event) => onState(JSON.parse(event.data));
    socket.onclose = () => {
      onLink(false);
      setTimeout(open, pause_ms);
      pause_ms = Math.min(pause_ms * 1.6, 4000);
    };
  };
  open();
}
