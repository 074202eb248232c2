// Says at once what the server would refuse; Gradio itself shows "Error" and no reason.
() => {
  const { megabytes, suffixes } = LIMITS;
  const refusal = (file) => {
    const suffix = file.name.slice(file.name.lastIndexOf(".")).toLowerCase();
    if (!suffixes.includes(suffix)) return `${file.name}: not one of ${suffixes.join(" ")}`;
    const size = file.size / 1e6;
    if (size <= megabytes) return "";
    return `${file.name}: ${size.toFixed(1)} MB, and ${megabytes} MB is the limit here`;
  };
  const check = (event, files) => {
    const place = document.getElementById("refused");
    if (!place || !event.target.closest?.("#upload") || !files?.length) return;
    place.textContent = refusal(files[0]);
    place.hidden = !place.textContent;
    if (place.hidden) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  document.documentElement.classList.toggle("insecure", !window.isSecureContext);
  // In the capture phase, before Gradio's own listeners.
  window.addEventListener("change", (event) => check(event, event.target.files), true);
  window.addEventListener("drop", (event) => check(event, event.dataTransfer?.files), true);
}
