// Puts a photo from drag and drop, paste or the camera into the file field of the form, and previews it. Without this
// script, the form still works.
"use strict";

const form = document.getElementById("upload");
const field = document.getElementById("image");
const camera = document.getElementById("camera");
const take = document.getElementById("take");
const drop = document.getElementById("drop");
const preview = document.getElementById("preview");
const refusal = document.getElementById("refusal");
const state = document.getElementById("state");
const send = document.getElementById("send");
const words = form.dataset;

take.hidden = false;
drop.querySelector(".drop-hint").hidden = false;

field.addEventListener("change", show);
take.addEventListener("click", () => camera.click());
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
  if (event.dataTransfer.files.length) choose(event.dataTransfer.files);
});

form.addEventListener("submit", () => {
  send.disabled = true;
  form.setAttribute("aria-busy", "true");
  state.textContent = words.sending;
});

// After going back from the result, the browser may restore the page with the file still chosen.
window.addEventListener("pageshow", show);
// The visitor stopped the upload; not all browsers support this event.
window.navigation?.addEventListener("navigateerror", show);

function choose(files) {
  if (files.length > 1) {
    refuse(words.many);
    return;
  }
  if (!files.length) return; // the camera was closed without a photo
  const transfer = new DataTransfer();
  transfer.items.add(files[0]);
  field.files = transfer.files;
  show();
}

function show() {
  send.disabled = false;
  form.removeAttribute("aria-busy");
  URL.revokeObjectURL(preview.src);
  preview.hidden = true;
  state.textContent = "";
  const file = field.files[0];
  if (!file) return;
  if (file.size > Number(words.maxBytes)) {
    field.value = "";
    refuse(words.tooLarge);
    return;
  }
  refuse("");
  preview.onload = () => {
    preview.hidden = false;
    state.textContent = `${words.chosen} ${file.name}`;
  };
  preview.onerror = () => {
    state.textContent = `${words.noPreview} ${file.name}`;
  };
  preview.src = URL.createObjectURL(file);
}

function refuse(sentence) {
  refusal.textContent = sentence;
}
