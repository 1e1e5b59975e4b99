(() => {
  "use strict";
  const holder = document.getElementById("what-if-numbers");
  if (!holder) return;
  const shared = JSON.parse(holder.textContent);
  const task = shared.task;
  const SHOWN = 8;
  const SLACK = 1e-9; // of a threshold, as in zoo.task.threshold

  // What follows from logits, as zoo.task computes it.
  function probabilities(logits) {
    const z = logits.map((v, c) => (v + (task.offset ? task.offset[c] : 0)) / task.temperature);
    if (task.kind === "regression") return null;
    if (task.kind === "multilabel") return z.map((v) => 1 / (1 + Math.exp(-v)));
    const top = Math.max(...z);
    const e = z.map((v) => Math.exp(v - top));
    const sum = e.reduce((a, b) => a + b, 0);
    return e.map((v) => v / sum);
  }
  const largest = (values) => values.reduce((best, v, i) => (v > values[best] ? i : best), 0);
  function answer(logits) {
    const p = probabilities(logits);
    if (!p) return { text: number(logits[0]), target: 0, p, abstains: false };
    if (task.kind === "multilabel") {
      const on = p.map((v, c) => (task.thresholds ? v >= task.thresholds[c] - SLACK : logits[c] >= 0));
      const sure = Math.min(...p.map((v, c) => (on[c] ? v : 1 - v)));
      const names = shared.classes.filter((_, c) => on[c]);
      return { text: names.join("; ") || "none of the labels", target: largest(logits), p, abstains: sure < task.abstain_below - SLACK };
    }
    const t = task.thresholds ? task.thresholds[0] : null;
    const c = t === null ? largest(logits) : Number(p[1] >= t - SLACK);
    const sure = t === null ? p[c] : 1 - 2 * (c === 1 ? p[0] * t : p[1] * (1 - t));
    return { text: `“${shared.classes[c]}”`, target: c, p, abstains: sure < task.abstain_below - SLACK };
  }

  // The numbers of tables: a cell of each term.
  const cell = (axis, value) => {
    if (value === null) return 0;
    let low = 0, high = axis.cuts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (axis.cuts[middle] <= value) low = middle + 1; else high = middle;
    }
    return axis.bins[low];
  };
  function ofTables(row) {
    const tables = shared.tables;
    const scores = tables.intercept.length;
    const spread = (s) => (tables.halved ? [-s[0] / 2, s[0] / 2] : s);
    const parts = tables.terms.map((term) => {
      let place = 0;
      for (const a of term.axes) {
        const axis = tables.axes[a];
        place = place * axis.size + cell(axis, row[axis.column]);
      }
      return { name: term.name, added: spread(term.table.slice(place * scores, (place + 1) * scores)) };
    });
    const base = spread(tables.intercept);
    return { parts, others: null, base, logits: tables.multiplier ? inWholePoints(total({ parts, base })) : null };
  }
  // The logits of a sum of whole points, without the rounding of its last digits.
  function inWholePoints(logits) {
    const { multiplier, near, halved } = shared.tables;
    return logits.map((v) => {
      const points = v * multiplier * (halved ? 2 : 1);
      const whole = Math.round(points);
      return Math.abs(points - whole) < near ? whole / multiplier / (halved ? 2 : 1) : v;
    });
  }
  function ofUnits(data, strength) {
    const parts = data.units.map((_, k) => {
      const added = new Array(shared.classes.length).fill(0);
      const [ids, weight, offset] = data.effects[k];
      ids.forEach((c, n) => { added[c] = weight[n] * strength[k] + (offset.length ? offset[n] : 0); });
      return { name: data.names[k], added };
    });
    return { parts, others: data.other_count ? data.others : null, base: data.base };
  }
  function total(sum) {
    return sum.logits || sum.base.map((b, c) => b + (sum.others ? sum.others[c] : 0) + sum.parts.reduce((s, part) => s + part.added[c], 0));
  }

  const number = (v) => {
    const digits = Math.abs(v) >= 1000 ? 0 : Math.abs(v) >= 1 || v === 0 ? 2 : Math.min(6, 2 - Math.floor(Math.log10(Math.abs(v))));
    return v.toFixed(digits).replace("-", "−");
  };
  const signed = (v, digits) => {
    const text = v.toFixed(digits);
    return Number(text) === 0 ? text.replace("-", "") : (v > 0 ? `+${text}` : text.replace("-", "−"));
  };
  const percent = (p) => (p >= 0.9995 ? "over 99.9 %" : p >= 0.0005 ? `${(100 * p).toFixed(1)} %` : "under 0.1 %");
  const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replace(/'/g, `'"'"'`)}'`);

  function line(body, name, cells, kind) {
    const row = body.insertRow();
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = name;
    row.append(head);
    if (kind) row.className = kind;
    for (const [key, value, text, side] of cells) {
      const data = document.createElement("data");
      data.value = value;
      data.dataset.of = key;
      data.textContent = text;
      if (side) data.className = side;
      row.insertCell().append(data);
    }
  }

  function start(panel) {
    const data = JSON.parse(panel.querySelector("script").textContent);
    const controls = data.controls;
    const fields = controls.map((_, j) => panel.querySelector(`[data-control="${j}"]`));
    const sliders = controls.map((_, j) => panel.querySelector(`[data-slider="${j}"]`));
    const place = new Map((data.units || []).map((unit, k) => [unit, k]));
    const asDate = (days) => new Date(days * 86400000).toISOString().slice(0, 10);
    const own = (control, j) => {
      if (data.row) return data.row[shared.tables.names.indexOf(control.name)];
      const k = place.get(control.units[0]);
      return (data.strength[k] - data.zero[k]) / (data.one[k] - data.zero[k]);
    };
    const short = (v) => String(Number(v.toPrecision(6)));

    function reset() {
      controls.forEach((control, j) => {
        const field = fields[j];
        if (control.kind === "switch") field.checked = true;
        else if (control.kind === "date") field.value = own(control) === null ? "" : asDate(own(control));
        else if (control.kind === "number") {
          const value = own(control);
          field.value = value === null ? "" : short(value);
          if (value !== null) sliders[j].value = value;
        } else field.value = "";
        field.dataset.first = control.kind === "switch" ? "on" : field.value;
      });
    }
    const current = (control, j) => (control.kind === "switch" ? (fields[j].checked ? "on" : "off") : fields[j].value);

    // A control that is as it was counts as untouched: the value that it shows may be rounded.
    function changed() {
      const row = data.row ? data.row.slice() : null;
      const strength = data.strength ? data.strength.slice() : null;
      const words = [];
      controls.forEach((control, j) => {
        const now = current(control, j);
        const differs = now !== fields[j].dataset.first;
        fields[j].closest(".control").classList.toggle("changed", differs);
        if (!differs) return;
        if (row) {
          const at = shared.tables.names.indexOf(control.name);
          const missing = now === "" || now === "missing";
          row[at] = missing ? null : control.kind === "date" ? fields[j].valueAsNumber / 86400000 : Number(now);
          words.push([control.name, missing ? "" : control.kind === "level" ? control.words[Number(now)] : now]);
          return;
        }
        control.units.forEach((unit, n) => {
          const k = place.get(unit);
          const value = control.kind === "choice" ? Number(n === Number(now)) : Number(now);
          strength[k] = control.kind === "switch" ? data.off[k] : data.zero[k] + value * (data.one[k] - data.zero[k]);
        });
        const word = control.kind === "choice" ? control.words[Number(now)] : control.kind === "yes_no" ? now : control.kind === "switch" ? String(data.off[place.get(control.units[0])]) : now;
        words.push([control.name, word]);
      });
      return { row, strength, words };
    }

    const first = answer(total(data.row ? ofTables(data.row) : ofUnits(data, data.strength)));

    function command(words) {
      if (!data.command || (!words.length && !data.row)) return data.command ? `${data.command} NAME=VALUE` : "";
      if (!data.row) return `${data.command} ${words.map(([name, word]) => quoted(`${name}=${word}`)).join(" ")}`;
      const now = new Map(words);
      const cells = controls.map((control, j) => {
        if (now.has(control.name)) return `${control.name}=${now.get(control.name)}`;
        const value = own(control, j);
        const text = value === null ? "" : control.kind === "level" ? control.words[value] : control.kind === "date" ? asDate(value) : String(value);
        return `${control.name}=${text}`;
      });
      return `${data.command} ${quoted(cells.map((cell) => (cell.includes(",") ? `"${cell}"` : cell)).join(","))}`;
    }

    function update() {
      const { row, strength, words } = changed();
      const sum = row ? ofTables(row) : ofUnits(data, strength);
      const logits = total(sum);
      const now = answer(logits);
      const status = panel.querySelector(".what-if-answer");
      const sure = now.p && task.kind === "classification" ? ` ${percent(now.p[now.target])}` : "";
      status.textContent = `${now.text}${sure}${now.abstains ? " (the model abstains)" : ""}`;
      status.classList.toggle("flipped", now.text !== first.text);
      const was = first.p && task.kind === "classification" ? ` ${percent(first.p[first.target])}` : "";
      panel.querySelector("[data-before]").textContent = words.length ? `Before the changes: ${first.text}${was}` : "Nothing is changed yet.";

      const outputs = panel.querySelector("[data-outputs] tbody");
      outputs.replaceChildren();
      const order = logits.map((_, c) => c).sort((a, b) => logits[b] - logits[a]).slice(0, 5);
      for (const c of order) {
        const cells = [[`logit ${c}`, logits[c], number(logits[c])]];
        if (now.p) cells.push([`p ${c}`, now.p[c], percent(now.p[c])]);
        line(outputs, shared.classes[c] || "prediction", cells);
      }
      const target = now.target;
      const parts = panel.querySelector("[data-parts]");
      parts.caption.textContent = task.kind === "regression" ? "What adds up to the number" : `What adds up to the logit of “${shared.classes[target]}”`;
      const body = parts.querySelector("tbody");
      body.replaceChildren();
      const side = (v) => (v > 0 ? "for" : v < 0 ? "against" : "");
      // What prints as 0 is not listed; the line of the others holds it.
      const ranked = sum.parts.slice().sort((a, b) => Math.abs(b.added[target]) - Math.abs(a.added[target]));
      const top = ranked.length ? Math.abs(ranked[0].added[target]) : 0;
      const digits = top === 0 ? 2 : Math.min(6, Math.max(2, 2 - Math.floor(Math.log10(top))));
      const listed = ranked.slice(0, SHOWN).filter((part) => Number(part.added[target].toFixed(digits)) !== 0);
      const add = (name, key, v) => line(body, name, [[key, v, signed(v, digits), side(Number(v.toFixed(digits)))]]);
      for (const part of listed) add(part.name, "part", part.added[target]);
      const count = ranked.length + (sum.others ? data.other_count : 0) - listed.length;
      const rest = ranked.slice(listed.length).reduce((s, part) => s + part.added[target], 0) + (sum.others ? sum.others[target] : 0);
      if (count) add(`${count} other${count > 1 ? "s" : ""}`, "others", rest);
      add("base", "base", sum.base[target]);
      line(body, task.kind === "regression" ? "= prediction" : "= logit", [["total", logits[target], number(logits[target])]], "total");
      panel.querySelector("[data-command]").textContent = command(words);
    }

    fields.forEach((field, j) => {
      field.addEventListener("input", () => {
        if (sliders[j] && field.value !== "") sliders[j].value = field.value;
        update();
      });
      if (sliders[j]) sliders[j].addEventListener("input", () => {
        fields[j].value = short(Number(sliders[j].value));
        update();
      });
    });
    panel.querySelector("[data-reset]").addEventListener("click", () => { reset(); update(); });
    reset();
    update();
    panel.hidden = false;
  }
  document.querySelectorAll("[data-what-if]").forEach(start);
})();
