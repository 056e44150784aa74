// Polls the state of a waiting photo and reloads the page only when it has a result, as a reload closes open dialogs.
// Without this script, the page has a link.
"use strict";

const waiting = document.getElementById("waiting");
const POLL_MS = 3000;

document.getElementById("looking").hidden = false;
setTimeout(poll, POLL_MS);

async function poll() {
  try {
    const answer = await fetch(waiting.dataset.state);
    const isWaiting = answer.ok ? (await answer.json()).state === "waiting" : answer.status !== 404; // 404: deleted
    if (!isWaiting) {
      location.reload();
      return;
    }
  } catch {
    // no network
  }
  setTimeout(poll, POLL_MS);
}
