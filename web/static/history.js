// Applies the filter of the history when it changes, and keeps the focus on the control that was changed.
"use strict";

const filter = document.querySelector(".filter");
const changed = document.getElementById(sessionStorage.getItem("changed-filter"));
sessionStorage.removeItem("changed-filter");
if (filter) {
  filter.querySelector("button").hidden = true;
  filter.addEventListener("change", (event) => {
    sessionStorage.setItem("changed-filter", event.target.id);
    filter.requestSubmit();
  });
  if (changed) changed.focus();
}
