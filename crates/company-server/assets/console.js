// What the console does beyond htmx: one-key decisions, a question before what can't be undone, and rest when nobody is there. Every page works without it.
"use strict";

document.documentElement.classList.add("with-script");

// One key decides, where the page offers it and the visitor wants it.
const KEYS = "musubi-keys";
const keys = document.getElementById("keys");
if (keys) {
  keys.checked = localStorage.getItem(KEYS) !== "off";
  keys.addEventListener("change", () => localStorage.setItem(KEYS, keys.checked ? "on" : "off"));
}
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=checkbox]), select, textarea, dialog");
  if (typing || event.repeat || event.ctrlKey || event.metaKey || event.altKey || !keys?.checked) return;
  const button = document.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (button && !button.disabled) {
    event.preventDefault();
    button.click();
  }
});

// A form that says so asks once more before it is sent.
const question = document.getElementById("confirm");
let asked = null;
question.addEventListener("click", (event) => {
  const answer = event.target.closest("button")?.value;
  if (!answer) return;
  question.close();
  if (answer === "yes" && asked) {
    asked.dataset.confirmed = "yes";
    asked.requestSubmit();
  }
});
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.confirm && !form.dataset.confirmed) {
    event.preventDefault();
    asked = form;
    document.getElementById("confirm-text").textContent = form.dataset.confirm;
    question.showModal();
    return;
  }
  // A second click sends nothing twice; by then the first has taken the button's value.
  setTimeout(() => form.querySelectorAll("button").forEach((button) => (button.disabled = true)), 0);
});
// Whoever comes back by the browser's history may click again.
window.addEventListener("pageshow", () => {
  document.querySelectorAll("button:disabled").forEach((button) => (button.disabled = false));
});

// A page that renews itself is no sign of a person: after ten minutes without one it rests, so that an idle session ends.
const REST = 10 * 60 * 1000;
let seen = Date.now();
for (const sign of ["keydown", "pointerdown", "pointermove", "scroll"]) {
  document.addEventListener(sign, () => (seen = Date.now()), { passive: true });
}
document.addEventListener("htmx:beforeRequest", (event) => {
  const renews = event.target.getAttribute("hx-trigger")?.startsWith("every");
  if (renews && (document.hidden || Date.now() - seen > REST)) event.preventDefault();
});
