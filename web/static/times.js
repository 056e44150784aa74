// Puts every time on the page, written in UTC, into the visitor's own zone.
"use strict";

const language = document.documentElement.lang;
const region = navigator.languages.find((one) => one.startsWith(language)) ?? language; // en-GB writes 2 Jan, en-US Jan 2
const words = new Intl.DateTimeFormat(region, { dateStyle: "medium", timeStyle: "short" });
for (const time of document.querySelectorAll("time[datetime]")) {
  time.title = time.textContent.trim();
  time.textContent = words.format(new Date(time.dateTime));
}
