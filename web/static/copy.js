// Copies the address of a result. Browsers allow it only on https and localhost; otherwise the button stays hidden.
"use strict";

const button = document.getElementById("copy");
if (navigator.clipboard) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.querySelector(".address").href);
    button.textContent = button.dataset.copied;
    document.getElementById("copied").textContent = button.dataset.copied;
  });
}
