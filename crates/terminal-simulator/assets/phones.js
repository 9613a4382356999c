// What the pages need a script for, and htmx doesn't do: a text that was sent leaves its field, focus goes where the phone goes on,
// and what went wrong is told. Without any script the pages work by their forms and links.
'use strict';

(() => {
  const toast = document.getElementById('toast');
  let held = null;

  const phone = (element) => element?.closest?.('.place')?.id;

  document.addEventListener('focusin', (event) => {
    held = phone(event.target) ?? null;
  });

  // What had the focus is gone with what was drawn anew: the phone's next thing to do gets it.
  document.addEventListener('htmx:finally:request', (event) => {
    const { sourceElement } = event.detail.ctx;
    const id = phone(sourceElement) ?? held;
    if (!id || held !== id || document.activeElement !== document.body) return;
    document.getElementById(id)?.querySelector('[data-focus]')?.focus({ preventScroll: true });
  });

  document.addEventListener('htmx:after:request', (event) => {
    const { sourceElement, response } = event.detail.ctx;
    if (response.status >= 400) return;
    toast.textContent = '';
    if (sourceElement.matches('[data-clear]')) sourceElement.reset();
  });

  const tell = (text) => {
    toast.textContent = text;
  };
  document.addEventListener('htmx:response:error', (event) => {
    const { ctx } = event.detail;
    // Looking for news fails quietly, as when the phones are stopped.
    if (!ctx.sourceElement.matches('.news, #live')) tell(ctx.text);
  });
})();
