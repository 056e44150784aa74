// Looks again and again whether a photo that waits has its answer, and only then loads the page anew: a page that reloads
// by itself closes what is open on it. Without this file there is the link.
"use strict";

const waiting = document.getElementById("waiting");
const EVERY_MS = 3000;

document.getElementById("looking").hidden = false;
setTimeout(look, EVERY_MS);

async function look() {
  try {
    const answer = await fetch(waiting.dataset.state);
    const waits = answer.ok ? (await answer.json()).state === "waiting" : answer.status !== 404; // 404: it was deleted
    if (!waits) {
      location.reload();
      return;
    }
  } catch {
    // the network is away
  }
  setTimeout(look, EVERY_MS);
}
