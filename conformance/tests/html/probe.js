// What can be seen to be wrong with the page.
(() => {
  const found = { overflow: [], contrast: [], rows: 0, headings: [], unnamed: [] };
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) {
    found.overflow.push(`page: ${root.scrollWidth} in ${root.clientWidth}`);
    for (const element of document.body.querySelectorAll("*")) {
      const box = element.getBoundingClientRect();
      if (box.width > 0 && box.right > root.clientWidth + 1 && !element.closest("pre")) {
        found.overflow.push(`${element.tagName}.${element.className}: ${Math.round(box.right)}`);
      }
    }
  }
  const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const part = (c) => ((c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  for (const element of document.body.querySelectorAll("*:not(script):not(style)")) {
    const says = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!says || !element.checkVisibility()) continue;
    const [a, b] = [luminance(channels(getComputedStyle(element).color)), luminance(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.contrast.push(`${element.tagName}.${element.className}: ${ratio.toFixed(2)}`);
  }
  found.rows = [...document.querySelectorAll("#clauses tr[data-status]")].filter((row) => row.checkVisibility()).length;
  found.headings = [...document.querySelectorAll("h1, h2, h3, h4")].map((heading) => Number(heading.tagName[1]));
  for (const svg of document.querySelectorAll("svg:not([aria-hidden])")) {
    if (!svg.getAttribute("aria-label")) found.unnamed.push(svg.outerHTML);
  }
  return found;
})()
