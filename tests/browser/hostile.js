// Texts that want to run, and how one knows that none did.
//
// Each calls `ran` with its number when it runs. Surprising: the detector is tried on a page without any policy first, since one
// that hears nothing would find every page good.

import assert from 'node:assert/strict';

const CALL = (n) => `window.ran(${n})`;

/** What a text can be, by the number that it calls; `${n}` stands for the call. */
const FORMS = [
  (c) => `<script>${c}</script>`,
  (c) => `"><script>${c}</script>`,
  (c) => `'><script>${c}</script>`,
  (c) => `</p><script>${c}</script>`,
  (c) => `</textarea><script>${c}</script>`,
  (c) => `</title><script>${c}</script>`,
  (c) => `</style><script>${c}</script>`,
  (c) => `--><script>${c}</script>`,
  (c) => `]]><script>${c}</script>`,
  (c) => `<scr<script>ipt>${c}</scr</script>ipt>`,
  (c) => `<SCRIPT>${c}</SCRIPT>`,
  (c) => `<script\n>${c}</script\n>`,
  (c) => `<script/x>${c}</script>`,
  (c) => `<script src="data:text/javascript,${encodeURIComponent(c)}"></script>`,
  (c) => `<script type="module">${c}</script>`,
  (c) => `<img src=x onerror=${c}>`,
  (c) => `<img src=x onerror="${c}">`,
  (c) => `"><img src=x onerror=${c}>`,
  (c) => `'><img src=x onerror=${c}>`,
  (c) => `<img/src=x/onerror=${c}>`,
  (c) => `<img src="x" ONERROR="${c}">`,
  (c) => `<image src=x onerror=${c}>`,
  (c) => `<svg onload=${c}>`,
  (c) => `<svg/onload=${c}>`,
  (c) => `"><svg onload=${c}>`,
  (c) => `<svg><script>${c}</script></svg>`,
  (c) => `<svg><animate onbegin=${c} attributeName=x dur=1s>`,
  (c) => `<svg><set attributeName=onmouseover to=${c}>`,
  (c) => `<svg><a xlink:href="javascript:${c}"><text y=20>x</text></a></svg>`,
  (c) => `<svg><foreignObject><img src=x onerror=${c}></foreignObject></svg>`,
  (c) => `<svg><use href="data:image/svg+xml,<svg id='x' onload='${c}'/>#x">`,
  (c) => `<math><mtext><img src=x onerror=${c}></mtext></math>`,
  (c) => `<body onload=${c}>`,
  (c) => `<body onpageshow=${c}>`,
  (c) => `<iframe src="javascript:parent.${c.slice(7)}"></iframe>`,
  (c) => `<iframe srcdoc="<script>parent.${c.slice(7)}</script>"></iframe>`,
  (c) => `<iframe onload=${c}></iframe>`,
  (c) => `<object data="javascript:${c}"></object>`,
  (c) => `<embed src="javascript:${c}">`,
  (c) => `<video src=x onerror=${c}></video>`,
  (c) => `<video><source onerror=${c}></video>`,
  (c) => `<audio src=x onerror=${c}></audio>`,
  (c) => `<input autofocus onfocus=${c}>`,
  (c) => `" autofocus onfocus="${c}`,
  (c) => `' autofocus onfocus='${c}`,
  (c) => `" onpointerenter="${c}" x="`,
  (c) => `" onanimationstart="${c}" style="animation:x 1s`,
  (c) => `<select autofocus onfocus=${c}>`,
  (c) => `<textarea autofocus onfocus=${c}>`,
  (c) => `<button autofocus onfocus=${c}>x</button>`,
  (c) => `<details open ontoggle=${c}>x</details>`,
  (c) => `<marquee onstart=${c}>x</marquee>`,
  (c) => `<a href="javascript:${c}">x</a>`,
  (c) => `<a href="java\tscript:${c}">x</a>`,
  (c) => `<a href="&#106;avascript:${c}">x</a>`,
  (c) => `<form action="javascript:${c}"><button>x</button></form>`,
  (c) => `<button formaction="javascript:${c}">x</button>`,
  (c) => `<meta http-equiv="refresh" content="0;url=javascript:${c}">`,
  (c) => `<base href="javascript:${c}//">`,
  (c) => `<link rel="stylesheet" href="javascript:${c}">`,
  (c) => `<style>@import "javascript:${c}";</style>`,
  (c) => `<style>@keyframes x{}</style><p style="animation:x 1s" onanimationstart="${c}">x</p>`,
  (c) => `<div style="background:url(javascript:${c})">x</div>`,
  (c) => `<template><script>${c}</script></template>`,
  (c) => `<noscript><p title="</noscript><img src=x onerror=${c}>">`,
  (c) => `<xmp><p title="</xmp><img src=x onerror=${c}>">`,
  (c) => `&lt;script&gt;${c}&lt;/script&gt;`,
  (c) => `&#60;script&#62;${c}&#60;/script&#62;`,
  (c) => `\u003cscript\u003e${c}\u003c/script\u003e`,
  (c) => `＜script＞${c}＜/script＞`,
  (c) => `javascript:${c}`,
  (c) => `data:text/html,<script>${c}</script>`,
  (c) => `{{constructor.constructor('${c}')()}}`,
  (c) => `\${${c}}`,
  (c) => `{% ${c} %}`,
  (c) => `<%= ${c} %>`,
  (c) => `';${c};//`,
  (c) => `";${c};//`,
  (c) => `\\";${c};//`,
  (c) => `</script><script>${c}</script>`,
  (c) => `<div hx-get="/assets/htmx.js" hx-trigger="load" hx-on::load="${c}">x</div>`,
  (c) => `<div hx-on:click="${c}" hx-trigger="load">x</div>`,
  (c) => `<div data-hx-vals="js:{a:${c}}" data-hx-post="/" data-hx-trigger="load">x</div>`,
  (c) => `\u202e<script>${c}</script>`,
  (c) => `\ufeff<script>${c}</script>`,
  (c) => `<<script>${c}//<</script>`,
  (c) => `<script>${c}`,
  (c) => `<img src=x onerror=${c}//`,
  (c) => `<script defer>${c}</script>`,
  (c) => `<script nonce="">${c}</script>`,
  (c) => `<script nomodule>1</script><script>${c}</script>`,
  (c) => `<script>/*</p>*/${c}</script>`,
  (c) => `<script>eval("${c}")</script>`,
  (c) => `<script>setTimeout("${c}")</script>`,
  (c) => `<script>Function("${c}")()</script>`,
  (c) => `<script>import("data:text/javascript,${encodeURIComponent(c)}")</script>`,
  (c) => `<script src="blob:x" onerror="${c}"></script>`,
  (c) => `<script src="/assets/none.js" onerror="${c}"></script>`,
  (c) => `<script type="importmap">{"imports":{"x":"data:text/javascript,${encodeURIComponent(c)}"}}</script><script type="module">import "x"</script>`,
  (c) => `<script type="speculationrules">{"prerender":[{"urls":["javascript:${c}"]}]}</script>`,
  (c) => `<svg><script href="data:text/javascript,${encodeURIComponent(c)}"></script></svg>`,
  (c) => `<svg><script xlink:href="data:text/javascript,${encodeURIComponent(c)}"/></svg>`,
  (c) => `<svg><style><img src=x onerror=${c}></style></svg>`,
  (c) => `<svg><title><img src=x onerror=${c}></title></svg>`,
  (c) => `<svg><desc><svg onload=${c}></desc></svg>`,
  (c) => `<svg><animateTransform onbegin=${c} attributeName=transform dur=1s>`,
  (c) => `<svg><animate attributeName=href values="javascript:${c}"/><a><text y=20>x</text></a></svg>`,
  (c) => `<svg><image href=x onerror=${c}>`,
  (c) => `<math href="javascript:${c}">x</math>`,
  (c) => `<math><mi xlink:href="javascript:${c}">x</mi></math>`,
  (c) => `<math><annotation-xml encoding="text/html"><img src=x onerror=${c}></annotation-xml></math>`,
  (c) => `<math><mtext><table><mglyph><style><img src=x onerror=${c}>`,
  (c) => `<form><math><mtext></form><form><mglyph><style></math><img src=x onerror=${c}>`,
  (c) => `<table><td background="javascript:${c}">x</td></table>`,
  (c) => `<table><tr><img src=x onerror=${c}></tr></table>`,
  (c) => `<select><template><img src=x onerror=${c}></template></select>`,
  (c) => `<option><style></option></select><img src=x onerror=${c}></style>`,
  (c) => `<frameset onload=${c}>`,
  (c) => `<iframe src="data:text/html,<script>parent.${c.slice(7)}</script>"></iframe>`,
  (c) => `<iframe src=about:blank onload=${c}></iframe>`,
  (c) => `<object data=x onerror=${c}></object>`,
  (c) => `<object type="text/html" data="data:text/html,<script>parent.${c.slice(7)}</script>"></object>`,
  (c) => `<link rel=stylesheet href=/assets/none.css onerror=${c}>`,
  (c) => `<link rel=preload as=script href=/assets/none.js onerror=${c}>`,
  (c) => `<link rel=modulepreload href="data:text/javascript,${encodeURIComponent(c)}">`,
  (c) => `<style onload=${c}></style>`,
  (c) => `<picture><source srcset=x><img srcset=x onerror=${c}></picture>`,
  (c) => `<img srcset="x 1x" onerror=${c}>`,
  (c) => `<img src=data:image/gif;base64,R0lGODlhAQABAAAAACw= onload=${c}>`,
  (c) => `<img src=x onerror\n=\n${c}>`,
  (c) => `<img """><script>${c}</script>">`,
  (c) => `<img src=x:x onerror='${c}'>`,
  (c) => `<img/onerror=${c} src>`,
  (c) => `<img src=x onerror=&#119;indow.ran(${c.slice(11, -1)})>`,
  (c) => `<a href="JaVaScRiPt:${c}">x</a>`,
  (c) => `<a href="vbscript:${c}">x</a>`,
  (c) => `<a href="https://aoba-bank.example/&quot; onclick=${c}">x</a>`,
  (c) => `<a ping="javascript:${c}" href="#">x</a>`,
  (c) => `<div popover id=p onbeforetoggle=${c}>x</div><button popovertarget=p autofocus>x</button>`,
  (c) => `<dialog open onclose=${c}><form method=dialog><button autofocus>x</button></form></dialog>`,
  (c) => `<div contenteditable autofocus onfocus=${c}>x</div>`,
  (c) => `<div tabindex=0 autofocus onfocusin=${c}>x</div>`,
  (c) => `<div oncontentvisibilityautostatechange=${c} style="content-visibility:auto">x</div>`,
  (c) => `<div style="transition:outline 1s" id=x onTransitionEnd=${c}>x</div>`,
  (c) => `<div onscrollend=${c} style="overflow:auto;height:1px"><br><br></div>`,
  (c) => `<video autoplay onloadstart=${c} src=x></video>`,
  (c) => `<audio autoplay oncanplay=${c} src=data:audio/wav;base64,UklGRg==></audio>`,
  (c) => `<custom-x onclick=${c} autofocus tabindex=1 onfocus=${c}>x</custom-x>`,
  (c) => `<!--><img src=x onerror=${c}>-->`,
  (c) => `<!--!><img src=x onerror=${c}>`,
  (c) => `<![CDATA[><img src=x onerror=${c}>]]>`,
  (c) => `<?x ><img src=x onerror=${c}>?>`,
  (c) => `<!DOCTYPE x [<!ENTITY x "<script>${c}</script>">]>`,
  (c) => `</noscript><img src=x onerror=${c}>`,
  (c) => `</template><img src=x onerror=${c}>`,
  (c) => `</svg><img src=x onerror=${c}>`,
  (c) => `</button></form><img src=x onerror=${c}>`,
  (c) => `</option></select><script>${c}</script>`,
  (c) => `</dialog><script>${c}</script>`,
  (c) => `<div hx-trigger="load" hx-get="data:text/html,<script>${c}</script>">x</div>`,
  (c) => `<hx-partial hx-target="body"><script>${c}</script></hx-partial>`,
  (c) => `<body hx-ext="x" hx-on:htmx:after:init="${c}">`,
];

/** The texts; the number of each is its place. */
export const PAYLOADS = FORMS.map((form, n) => form(CALL(n)));

/**
 * Hears from now on what runs on a page, wherever it leads.
 * @returns {Promise<Set<number>>} the numbers of those that ran, as they run
 */
export async function listen(page) {
  const ran = new Set();
  await page.context().exposeFunction('ran', (n) => ran.add(n));
  return ran;
}

/** Asserts that the detector hears: a page without a policy that shows the texts as they are runs many of them. */
export async function hears(page) {
  const ran = await listen(page);
  const address = 'http://unguarded.test/';
  for (const [n, payload] of PAYLOADS.entries()) {
    await page.route(`${address}${n}`, (route) => route.fulfill({ contentType: 'text/html', body: `<!doctype html><title>x</title>${payload}` }));
  }
  await page.route(`${address}**/x`, (route) => route.fulfill({ status: 404, body: '' }));
  for (const n of [0, 1, 15, 16, 22, 23, 32, 42]) {
    await page.goto(`${address}${n}`);
    await page.waitForTimeout(50);
    assert(ran.has(n), `the detector does not hear ${PAYLOADS[n]}`);
  }
  // What an unguarded page says of itself is no fault of ours.
  page.faults.length = 0;
}
