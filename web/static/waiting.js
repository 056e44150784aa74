// Polls the state of a waiting photo and reloads the page only when there is a result, because a reload closes open
// dialogs. Without this script, the visitor uses the link on the page.
"use strict";

const waiting = document.getElementById("waiting");
const POLL_MS = 3000;

document.getElementById("polling").hidden = false;
setTimeout(poll, POLL_MS);

async function poll() {
  try {
    const response = await fetch(waiting.dataset.state);
    const isWaiting = response.ok ? (await response.json()).state === "waiting" : response.status !== 404; // 404: deleted
    if (!isWaiting) {
      location.reload();
      return;
    }
  } catch {
    // no network
  }
  setTimeout(poll, POLL_MS);
}
