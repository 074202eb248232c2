// Says at once what the server would refuse; Gradio itself shows "Error" and no reason.
() => {
  const { megabytes, suffixes } = LIMITS;
  const refusal = (file) => {
    const suffix = file.name.slice(file.name.lastIndexOf(".")).toLowerCase();
    if (!suffixes.includes(suffix)) return `${file.name}: not a video that is read here, such as .mp4, .mov, .avi, .mkv or .webm`;
    const size = file.size / 1e6;
    if (size <= megabytes) return "";
    return `${file.name}: ${size.toFixed(1)} MB, and ${megabytes} MB is the limit here`;
  };
  const tell = (id, words) => {
    const place = document.getElementById(id);
    if (!place) return;
    place.textContent = words;
    place.hidden = !words;
  };
  const check = (event, files) => {
    if (!event.target.closest?.("#upload") || !files?.length) return;
    const words = refusal(files[0]);
    tell("refused", words);
    if (!words) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  document.documentElement.classList.toggle("insecure", !window.isSecureContext);
  // In the capture phase, before Gradio's own listeners.
  window.addEventListener("change", (event) => check(event, event.target.files), true);
  window.addEventListener("drop", (event) => check(event, event.dataTransfer?.files), true);

  // Gradio uploads with fetch, which does not say how far it is; XMLHttpRequest does.
  const send = (address, options) =>
    new Promise((done, fail) => {
      const name = options.body.get("files")?.name ?? "the video";
      const request = new XMLHttpRequest();
      request.open("POST", address);
      request.withCredentials = options.credentials === "include";
      new Headers(options.headers).forEach((value, key) => request.setRequestHeader(key, value));
      request.upload.onprogress = ({ loaded, total }) => {
        const share = Math.floor((100 * loaded) / total);
        tell("uploading", `Uploading ${name}: ${share}% of ${(total / 1e6).toFixed(1)} MB`);
      };
      request.onload = () => {
        if (request.status >= 400) tell("refused", `${name}: ${request.responseText}`);
        done(new Response(request.responseText, { status: request.status }));
      };
      request.onerror = () => fail(new TypeError("the server was not reached"));
      request.onabort = () => fail(new DOMException("the upload was ended", "AbortError"));
      request.onloadend = () => tell("uploading", "");
      options.signal?.addEventListener("abort", () => request.abort());
      request.send(options.body);
    });
  const plainFetch = window.fetch;
  window.fetch = (address, options) => {
    const uploads = options?.body instanceof FormData && /\/upload\?/.test(String(address));
    return uploads ? send(String(address), options) : plainFetch(address, options);
  };

  // Gradio says nothing where a camera does not open.
  const problems = {
    NotAllowedError:
      "This page may not use the camera. Allow it in the browser (the sign beside the address) and, " +
      "if the system asks too, in its settings; then click the camera field again.",
    NotFoundError:
      "No camera was found. Connect one or switch it on, then click the camera field again.",
    NotReadableError:
      "The camera gives no picture: another program may be using it. Close that program, then " +
      "click the camera field again.",
  };
  problems.OverconstrainedError = problems.NotFoundError;
  problems.AbortError = problems.NotReadableError;
  const cameras = navigator.mediaDevices;
  if (cameras?.getUserMedia) {
    const open = cameras.getUserMedia.bind(cameras);
    const stopped = () => tell("camera_problem", "The camera has stopped. Load this page again.");
    cameras.getUserMedia = async (wanted) => {
      try {
        const stream = await open(wanted);
        tell("camera_problem", "");
        stream.getVideoTracks().forEach((track) => track.addEventListener("ended", stopped));
        return stream;
      } catch (error) {
        const other = `The camera does not open (${error.name}: ${error.message}).`;
        tell("camera_problem", problems[error.name] ?? other);
        return new Promise(() => {}); // whoever asked goes on waiting, and may ask again
      }
    };
  } else if (window.isSecureContext) {
    tell("camera_problem", "This browser gives no page a camera; try another one.");
  }

  // Gradio's button to begin says "Record", and nothing is recorded.
  const rename = () => {
    for (const icon of document.querySelectorAll('#camera [title="start recording"]')) {
      icon.title = "start";
      icon.closest("button")?.setAttribute("aria-label", "Start or stop");
      for (const part of icon.parentElement.childNodes)
        if (part.nodeType === Node.TEXT_NODE && part.data.trim()) part.data = " Start";
    }
  };
  new MutationObserver(rename).observe(document.body, { childList: true, subtree: true });
}
