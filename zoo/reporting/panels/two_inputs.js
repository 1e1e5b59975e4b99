(() => {
  "use strict";
  const panel = document.querySelector("[data-two-inputs]");
  if (!panel) return;
  const SHOWN = 12;
  const sides = ["first", "second"];
  const choice = Object.fromEntries(sides.map((side) => [side, panel.querySelector(`[data-input="${side}"]`)]));
  const chosen = panel.querySelector("[data-class]");
  const table = panel.querySelector("[data-rows]");

  function head(side) {
    const copy = document.querySelector(`#input-${choice[side].value} .head`).cloneNode(true);
    for (const element of [copy, ...copy.querySelectorAll("[id]")]) element.removeAttribute("id");
    panel.querySelector(`[data-head="${side}"]`).replaceChildren(copy);
  }

  function difference() {
    const { shared, task, sums, total, line, number, signed } = window.whatIf;
    const c = chosen ? Number(chosen.value) : 0;
    const [one, two] = sides.map((side) => sums.get(Number(choice[side].value)));
    const amounts = new Map(two.parts.map((part) => [part.key, part.added[c]]));
    // A unit whose amount is known in both; the amounts of others are in the line of the others.
    const rows = one.parts.filter((part) => amounts.has(part.key)).map((part) => [part.name, part.added[c], amounts.get(part.key)]);
    rows.sort((a, b) => Math.abs(b[1] - b[2]) - Math.abs(a[1] - a[2]));
    const top = rows.length ? Math.abs(rows[0][1] - rows[0][2]) : 0;
    const digits = top === 0 ? 2 : Math.min(6, Math.max(2, 2 - Math.floor(Math.log10(top))));
    const listed = rows.slice(0, SHOWN).filter(([, a, b]) => Number((a - b).toFixed(digits)) !== 0);
    const sum = (parts, at) => parts.reduce((s, part) => s + part[at], 0);
    const ends = [one, two].map((it) => [total(it)[c], it.base[c]]);
    const others = ends.map(([logit, base], n) => logit - base - sum(listed, n + 1));
    const body = table.querySelector("tbody");
    body.replaceChildren();
    const side = (v) => (Number(v.toFixed(digits)) > 0 ? "for" : Number(v.toFixed(digits)) < 0 ? "against" : "");
    const add = (name, key, a, b, kind) => {
      const text = kind ? number : (v) => signed(v, digits);
      line(body, name, [[`${key} first`, a, text(a), ""], [`${key} second`, b, text(b), ""], [`${key} difference`, a - b, signed(a - b, digits), side(a - b)]], kind);
    };
    for (const [name, a, b] of listed) add(name, "part", a, b);
    if ([one, two].some((it) => it.others || it.parts.length > listed.length)) add("all others", "others", ...others);
    add(shared.start, "base", ends[0][1], ends[1][1]);
    const what = task.kind === "regression" ? "the predicted number" : `the logit of “${shared.classes[c]}”`;
    add(task.kind === "regression" ? "= prediction" : "= logit", "total", ends[0][0], ends[1][0], "total");
    table.caption.textContent = `What adds up to ${what}; first minus second, largest differences first`;
    const gap = ends[0][0] - ends[1][0];
    const same = Number(gap.toFixed(digits)) === 0;
    const more = gap > 0 ? "above" : "below";
    panel.querySelector("[data-difference]").textContent = same
      ? `For both inputs ${what} is ${number(ends[0][0])}.`
      : `For input ${choice.first.value} ${what} is ${signed(Math.abs(gap), digits).replace("+", "")} ${more} that for input ${choice.second.value}.`;
  }

  function update() {
    sides.forEach(head);
    difference();
  }

  choice.second.value = "2";
  if (chosen) {
    const { sums, total, answer } = window.whatIf;
    chosen.value = String(answer(total(sums.get(1))).target);
  }
  for (const select of [choice.first, choice.second, chosen]) if (select) select.addEventListener("input", update);
  update();
  panel.hidden = false;
})();
