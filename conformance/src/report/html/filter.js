"use strict";
(() => {
  const filter = document.getElementById("filter");
  const buttons = [...filter.querySelectorAll("button")];
  const rows = [...document.querySelectorAll("#clauses tr[data-status]")];
  const show = (status) => {
    for (const row of rows) row.hidden = status !== "" && row.dataset.status !== status;
    for (const group of document.querySelectorAll("#clauses .group")) {
      group.hidden = !group.querySelector("tr[data-status]:not([hidden])");
    }
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.status === status));
    const shown = rows.filter((row) => !row.hidden).length;
    document.getElementById("shown").textContent = status === "" ? "" : `${shown} of ${rows.length} clauses shown`;
  };
  for (const button of buttons) button.addEventListener("click", () => show(button.dataset.status));
  // A link leads to something that can be seen.
  const reveal = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (!target) return;
    if (target.closest("[hidden]")) show("");
    if (target instanceof HTMLDetailsElement) target.open = true;
    target.scrollIntoView();
  };
  window.addEventListener("hashchange", reveal);
  filter.hidden = false;
  reveal();
})();
