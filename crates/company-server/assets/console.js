// What the console does beyond htmx: one-key decisions, and a question before what can't be undone. Every page works without it.
"use strict";

document.documentElement.classList.add("with-script");

const KEYS = "musubi-keys";
const keys = document.getElementById("keys");
if (keys) {
  keys.checked = localStorage.getItem(KEYS) !== "off";
  keys.addEventListener("change", () => localStorage.setItem(KEYS, keys.checked ? "on" : "off"));
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=checkbox]), select, textarea");
  if (typing || event.repeat || event.ctrlKey || event.metaKey || event.altKey || !keys || !keys.checked) return;
  const button = document.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (button && !button.disabled) {
    event.preventDefault();
    button.click();
  }
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.confirm && !window.confirm(form.dataset.confirm)) {
    event.preventDefault();
    return;
  }
  // A second click sends nothing twice; the button's own value has been taken by then.
  setTimeout(() => form.querySelectorAll("button").forEach((button) => (button.disabled = true)), 0);
});

// Whoever comes back by the browser's history may click again.
window.addEventListener("pageshow", () => document.querySelectorAll("button:disabled").forEach((button) => (button.disabled = false)));
