// What the pages need a script for, and htmx doesn't do: a text that was sent leaves its field, focus goes where the phone goes on,
// and what went wrong is told. Without any script the pages work by their forms and links.
'use strict';

(() => {
  const toast = document.getElementById('toast');
  let focused = null;
  let place = null;

  document.addEventListener('focusin', (event) => {
    focused = event.target;
    place = focused.closest('.place')?.id;
  });

  // What had the focus is gone with what was drawn anew: the phone's next thing to do gets it.
  document.addEventListener('htmx:finally:request', () => {
    if (!place || focused.isConnected || document.activeElement !== document.body) return;
    document.getElementById(place)?.querySelector('[data-focus]')?.focus({ preventScroll: true });
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
