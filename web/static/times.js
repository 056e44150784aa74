// Converts the times on the page from UTC to the visitor's time zone.
"use strict";

const language = document.documentElement.lang;
const region = navigator.languages.find((tag) => tag.startsWith(language)) ?? language; // en-GB: 2 Jan, en-US: Jan 2
const format = new Intl.DateTimeFormat(region, { dateStyle: "medium", timeStyle: "short" });
for (const time of document.querySelectorAll("time[datetime]")) {
  time.title = time.textContent.trim();
  time.textContent = format.format(new Date(time.dateTime));
}
