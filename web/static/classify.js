// Puts a photo from drag and drop, paste or the camera into the file field of the form, checks it and sends it. Without
// this script, the form still works.
"use strict";

const form = document.getElementById("upload");
const field = document.getElementById("image");
const camera = document.getElementById("camera");
const drop = document.getElementById("drop");
const preview = document.getElementById("preview");
const refusal = document.getElementById("refusal");
const state = document.getElementById("state");
const send = document.getElementById("send");
const words = form.dataset;

field.addEventListener("change", () => choose(field.files));
document.getElementById("take").addEventListener("click", () => camera.click());
camera.addEventListener("change", () => choose(camera.files));

document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) {
    event.preventDefault();
    choose(event.clipboardData.files);
  }
});

// On the whole page, because otherwise the browser opens a photo that is dropped beside the box.
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  choose(event.dataTransfer.files);
});

form.addEventListener("submit", (event) => {
  // A second click would store the photo twice. Browsers that do not report a stopped upload may need it to try again.
  if (window.navigation && form.hasAttribute("aria-busy")) event.preventDefault();
  form.setAttribute("aria-busy", "true");
  state.textContent = words.sending;
});
form.addEventListener("reset", () => setTimeout(() => field.focus())); // after the field is empty and visible again

// After going back from the result, the browser may restore the page with the file still chosen.
window.addEventListener("pageshow", show);
// The visitor stopped the upload; not all browsers support this event.
window.navigation?.addEventListener("navigateerror", show);

// Sends the only one of `files`, or says why not.
function choose(files) {
  if (!files.length) return; // the dialog was closed without a photo
  const reason = fault(files);
  if (reason) {
    field.value = "";
    camera.value = "";
    show();
    refusal.textContent = reason;
    refusal.focus();
    return;
  }
  if (files !== field.files) {
    const transfer = new DataTransfer();
    transfer.items.add(files[0]);
    field.files = transfer.files;
  }
  refusal.textContent = "";
  show();
  send.focus(); // the other controls are hidden now
  form.requestSubmit();
}

// The reason to refuse `files`, or an empty text. A type is unknown for HEIC photos on some systems.
function fault(files) {
  const file = files[0];
  if (files.length > 1) return words.many;
  if (file.type && !file.type.startsWith("image/")) return words.wrongKind;
  if (file.type === "image/svg+xml") return words.wrongKind; // a drawing, no photo
  if (!file.size) return words.empty;
  return file.size > Number(words.maxBytes) ? words.tooLarge : "";
}

// Shows the chosen photo, which is not being sent.
function show() {
  form.removeAttribute("aria-busy");
  URL.revokeObjectURL(preview.src);
  preview.hidden = true;
  const file = field.files[0];
  state.textContent = file ? `${words.chosen} ${file.name}` : "";
  if (!file) return;
  preview.onload = () => (preview.hidden = false); // some browsers cannot show HEIC
  preview.src = URL.createObjectURL(file);
}
