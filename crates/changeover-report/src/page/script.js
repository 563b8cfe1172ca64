'use strict';
// Draws the timeline of a run from the data at the end of the page. Times are microseconds since the run's zero.
// Text goes into text nodes and onto canvases only.
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($('data').textContent);
  const canvas = $('canvas'), chart = $('chart'), tip = $('tip'), slider = $('moment');
  const pen = canvas.getContext('2d');
  const END = Math.max(data.end, 1);
  const NARROWEST = 200; // µs that the view never falls below
  const view = { from: 0, to: END };
  let moment = 0, drag = null, colours = {}, hits = [], layout = null;
  const visible = { read: true, write: true, connect: true, observer: false };

  // ---- the data, made ready -------------------------------------------------------------------------------------
  const cloud = data.cloud;
  const series = [];
  if (cloud) {
    cloud.series.forEach((name, index) => {
      const c = cloud.points[index], n = c.after.length;
      const s = { name, kind: name === 'observer' ? 'observer' : /write/.test(name) ? 'write' : /connect/.test(name) ? 'connect' : 'read',
        at: new Float64Array(n), lasts: c.lasts, outcome: c.outcome, client: c.client, error: new Map(c.error), longest: 0 };
      let at = 0;
      for (let i = 0; i < n; i++) { at += c.after[i]; s.at[i] = at; if (c.lasts[i] > s.longest) s.longest = c.lasts[i]; }
      series.push(s);
    });
  }
  const slots = [...new Set(data.instances.map((i) => i.slot))].sort();
  const lanes = [...new Set(data.gaps.map((g) => g.lane))];
  const OUTCOMES = ['answered', 'failed', 'unknown'];

  // ---- words ----------------------------------------------------------------------------------------------------
  const group = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ',');
  const length = (us) => us < 1000 ? `${Math.round(us)} µs` : us < 999950 ? `${+(us / 1000).toFixed(us < 1e5 ? 2 : 1)} ms` : us < 1e9 ? `${+(us / 1e6).toFixed(2)} s` : `${+(us / 6e7).toFixed(1)} min`;
  const clock = (us) => `${(us / 1e6).toFixed(view.to - view.from < 2e5 ? 4 : 3)} s`;
  const who = (slot, generation) => `${slot} (generation ${generation})`;
  const el = (name, text, className) => { const e = document.createElement(name); if (text !== undefined) e.textContent = text; if (className) e.className = className; return e; };

  // ---- what was when --------------------------------------------------------------------------------------------
  const last = (list, at, when) => { let lo = 0, hi = list.length; while (lo < hi) { const mid = (lo + hi) >> 1; if (when(list[mid]) <= at) lo = mid + 1; else hi = mid; } return lo - 1; };
  const door = (at) => { const i = last(data.door, at, (d) => d[0]); return i < 0 ? null : data.door[i]; };
  const said = (instance, at) => { const i = last(instance.said, at, (s) => s[0]); return i < 0 ? 'starting' : instance.said[i][1]; };
  const alive = (at) => data.instances.filter((i) => i.from <= at && at <= (i.to ?? END));
  const stepAt = (at) => data.steps.find((s) => s.from <= at && at <= s.to);
  const inFlight = (at) => {
    const found = [];
    for (const s of series) {
      for (let i = last(s.at, at, (x) => x); i >= 0 && s.at[i] + s.longest >= at; i--) {
        if (s.at[i] + s.lasts[i] >= at) found.push({ s, i });
      }
    }
    return found.sort((a, b) => b.s.lasts[b.i] - a.s.lasts[a.i]);
  };

  // ---- looks ----------------------------------------------------------------------------------------------------
  const readColours = () => {
    const style = getComputedStyle(document.documentElement);
    for (const name of ['paper', 'ink', 'soft', 'line', 'panel', 'accent', 'pass', 'fail', 'doubt', 'read', 'write', 'connect', 'observer',
      'boot', 'catch-up', 'promote', 'bootstrap', 'retire', 'said-starting', 'said-Initializing', 'said-ReadyToPromote', 'said-Promoting', 'said-IsLeader', 'said-other', 'on-said']) {
      colours[name] = style.getPropertyValue(`--${name}`).trim();
    }
  };
  const saidColour = (text) => colours[`said-${text}`] || (/^(re)?starting|unreachable/.test(text) ? colours['said-starting'] : colours['said-other']);
  const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
  const fit = (text, width) => {
    if (pen.measureText(text).width <= width) return text;
    let n = Math.floor(text.length * width / Math.max(pen.measureText(text).width, 1));
    while (n > 0 && pen.measureText(text.slice(0, n) + '…').width > width) n--;
    return n > 1 ? text.slice(0, n) + '…' : '';
  };

  // ---- drawing --------------------------------------------------------------------------------------------------
  const x = (us) => layout.left + (us - view.from) / (view.to - view.from) * layout.width;
  const time = (px) => view.from + (px - layout.left) / layout.width * (view.to - view.from);

  const rows = () => {
    const list = data.steps.length ? [{ name: 'steps', h: 26, draw: drawSteps }] : [];
    for (const slot of slots) list.push({ name: slot, h: 28, draw: drawSlot, slot });
    if (data.door.length) list.push({ name: 'front door', short: 'door', h: 20, draw: drawDoor });
    if (data.store.kind) list.push({ name: 'metadata store', short: 'store', h: 18, draw: drawStore });
    if (lanes.length) lanes.forEach((lane, i) => list.push({ name: `gaps ${lane}`, short: lane, h: 13, draw: drawGaps, lane, small: true, space: i === lanes.length - 1 ? 6 : 0 }));
    list.push({ name: 'events, logs', short: 'events', h: 20, draw: drawMarks });
    if (cloud) { list.push({ name: 'latency', h: layout.narrow ? 190 : 240, draw: drawCloud, axis: true }); list.push({ name: 'ops a second', short: 'ops/s', h: 54, draw: drawRate, axis: true }); }
    return list;
  };

  const block = (from, to, y, h, fill, label, ink) => {
    const a = Math.max(x(from), layout.left), b = Math.min(x(to), layout.left + layout.width);
    if (b < layout.left || a > layout.left + layout.width) return null;
    const w = Math.max(b - a, 1);
    pen.fillStyle = fill;
    pen.fillRect(a, y, w, h);
    if (label && w > 14) {
      pen.fillStyle = ink || colours['on-said'];
      pen.fillText(fit(label, w - 6), a + 3, y + h / 2 + 0.5);
    }
    return { a, b: a + w, y, h };
  };
  const hit = (box, text) => { if (box) hits.push({ ...box, text }); };

  const drawSteps = (row) => {
    for (const s of data.steps) {
      for (const [name, from, to] of s.phases) {
        hit(block(from, to, row.y + 9, row.h - 9, colours[name], name), `${s.number ? `Step ${s.number}` : 'Start'}: ${s.title}\n${name}: ${length(to - from)}\n${clock(from)} to ${clock(to)}`);
      }
      const a = x(s.from), b = x(s.to);
      if (b >= layout.left && a <= layout.left + layout.width) {
        pen.strokeStyle = colours.soft;
        pen.beginPath(); pen.moveTo(Math.max(a, layout.left), row.y + 7.5); pen.lineTo(Math.max(b, a + 1), row.y + 7.5); pen.stroke();
        pen.fillStyle = colours.ink;
        const text = fit(`${s.number ? s.number : 'start'}${b - a > 60 ? `  ${s.title}` : ''}`, Math.max(b - a, 32));
        pen.save(); pen.font = `10px ${FONT}`; pen.textBaseline = 'bottom'; pen.fillText(text, Math.max(a, layout.left), row.y + 7); pen.restore();
      }
    }
    for (const [name, from, to] of data.asides) {
      if (name === 'load') continue;
      hit(block(from, to, row.y + row.h - 4, 4, colours.line), `${name}\n${clock(from)} to ${clock(to)}`);
    }
  };

  const drawSlot = (row) => {
    for (const i of data.instances.filter((i) => i.slot === row.slot)) {
      const end = i.to ?? END;
      const parts = i.said.length ? i.said : [[i.from, 'starting']];
      parts.forEach(([from, text], n) => {
        const to = n + 1 < parts.length ? parts[n + 1][0] : end;
        hit(block(n ? from : i.from, to, row.y + 3, row.h - 6, saidColour(text), n === parts.length - 1 || x(to) - x(from) > 60 ? `${i.version} · g${i.generation} ${text}` : text),
          `${who(i.slot, i.generation)}, ${i.version}\nsaid ${text}\n${clock(from)} to ${clock(to)}${n === parts.length - 1 && i.end ? `\nthen: ${i.end}` : ''}`);
      });
      if (i.to != null) { pen.fillStyle = colours.ink; pen.fillRect(x(i.to) - 1, row.y + 1, 2, row.h - 2); }
    }
  };

  const drawDoor = (row) => {
    data.door.forEach(([at, slot, generation], n) => {
      const to = n + 1 < data.door.length ? data.door[n + 1][0] : END;
      hit(block(at, to, row.y + 3, row.h - 6, slots.indexOf(slot) % 2 ? colours.line : colours.panel, `→ ${slot} g${generation}`, colours.ink),
        `The front door leads to ${who(slot, generation)}\nfrom ${clock(at)} to ${clock(to)}`);
      pen.fillStyle = colours.ink; pen.fillRect(x(at) - 0.5, row.y + 2, 1, row.h - 4);
    });
  };

  const drawStore = (row) => {
    hit(block(data.store.from, data.store.to, row.y + 3, row.h - 6, colours.panel, data.store.kind, colours.soft), `Metadata store: ${data.store.kind}`);
  };

  const drawGaps = (row) => {
    pen.strokeStyle = colours.line;
    pen.beginPath(); pen.moveTo(layout.left, row.y + row.h - 0.5); pen.lineTo(layout.left + layout.width, row.y + row.h - 0.5); pen.stroke();
    for (const g of data.gaps) {
      if (g.lane !== row.lane) continue;
      const text = `${g.gap ? 'Gap' : 'Longest span (no gap)'} of ${g.lane}${g.step == null ? '' : ` at step ${g.step}`}: ${length(g.to - g.from)}${g.resolution == null ? '' : ` ± ${length(g.resolution)}`}\n${clock(g.from)} to ${clock(g.to)}`;
      if (g.gap) hit(block(g.from, g.to, row.y + 2, row.h - 4, colours[g.class], length(g.to - g.from), colours.paper), text);
      else {
        const box = block(g.from, g.to, row.y + row.h - 5, 2, colours[g.class]);
        hit(box && { ...box, y: row.y, h: row.h }, text);
      }
    }
  };

  const drawMarks = (row) => {
    const mark = (at, colour, shape, text) => {
      const px = x(at);
      if (px < layout.left - 4 || px > layout.left + layout.width + 4) return;
      pen.fillStyle = colour; pen.strokeStyle = colour;
      pen.beginPath();
      if (shape === 'line') { pen.fillRect(px - 0.5, row.y + 6, 1, row.h - 12); }
      else if (shape === 'flag') { pen.moveTo(px, row.y + 2); pen.lineTo(px + 9, row.y + 6); pen.lineTo(px, row.y + 10); pen.closePath(); pen.fill(); pen.fillRect(px - 0.5, row.y + 2, 1.5, row.h - 4); }
      else if (shape === 'cross') { pen.lineWidth = 2; pen.moveTo(px - 4, row.y + row.h / 2 - 4); pen.lineTo(px + 4, row.y + row.h / 2 + 4); pen.moveTo(px + 4, row.y + row.h / 2 - 4); pen.lineTo(px - 4, row.y + row.h / 2 + 4); pen.stroke(); pen.lineWidth = 1; }
      else { pen.moveTo(px, row.y + row.h / 2 - 5); pen.lineTo(px + 5, row.y + row.h / 2 + 4); pen.lineTo(px - 5, row.y + row.h / 2 + 4); pen.closePath(); pen.fill(); }
      hits.push({ a: px - 4, b: px + 5, y: row.y, h: row.h, text });
    };
    for (const m of data.moments) if (!m.bad && !m.kind) mark(m.at, colours.soft, 'line', `${clock(m.at)}\n${m.text}`);
    for (const l of data.logs) mark(l.at, l.bad ? colours.fail : colours.doubt, l.bad ? 'cross' : 'triangle', `${clock(l.at)}, log of ${who(l.slot, l.generation)}\n${l.text}`);
    for (const m of data.moments) if (m.kind) mark(m.at, colours.accent, 'flag', `${clock(m.at)}\n${m.text}`);
    for (const m of data.moments) if (m.bad) mark(m.at, colours.fail, 'cross', [`${clock(m.at)}`, m.text, ...m.log.slice(-6)].join('\n'));
    data.findings.forEach((f, n) => { if (f.from != null) mark(f.from, f.severity === 'error' ? colours.fail : colours.doubt, 'flag', `Finding ${n + 1}: ${f.check}\n${clock(f.from)}`); });
  };

  // Latencies from 0.05 ms to the longest there is, on a logarithmic axis.
  const LOW = 50;
  const HIGH = Math.max(1e5, ...series.map((s) => s.longest));
  const level = (us, row) => row.y + row.h - 4 - (row.h - 12) * Math.log(Math.max(us, LOW) / LOW) / Math.log(HIGH / LOW);

  const drawCloud = (row) => {
    pen.save();
    pen.font = `11px ${FONT}`;
    for (let us = 100; us <= HIGH; us *= 10) {
      const y = Math.round(level(us, row)) + 0.5;
      pen.strokeStyle = colours.line; pen.beginPath(); pen.moveTo(layout.left, y); pen.lineTo(layout.left + layout.width, y); pen.stroke();
      pen.fillStyle = colours.soft; pen.textAlign = 'right'; pen.fillText(length(us), layout.left - 5, y);
    }
    pen.textAlign = 'left';
    pen.beginPath(); pen.rect(layout.left, row.y, layout.width, row.h); pen.clip();
    for (const s of data.steps) {
      const a = x(s.from), b = x(s.to);
      pen.fillStyle = colours.panel; pen.fillRect(a, row.y, Math.max(b - a, 1), row.h);
    }
    const bounds = (b) => [b, b + 1].map((n) => cloud.bucket.smallest_us * 2 ** (n / cloud.bucket.an_octave));
    const starts = cloud.starts;
    const first = Math.max(0, last(starts, view.from, (s) => s)), ends = (i) => i + 1 < starts.length ? starts[i + 1] : Math.max(END, starts[i] + 1);
    if (cloud.shown < cloud.total) {
      for (const c of cloud.classes) {
        if (!visible[c.name]) continue;
        pen.fillStyle = colours[c.name];
        for (let i = first; i < starts.length && starts[i] <= view.to; i++) {
          const l = c.latency[i], a = x(starts[i]), w = Math.max(x(ends(i)) - a, 1);
          for (let k = 0; k < l.length; k += 2) {
            const [lo, hi] = bounds(l[k]);
            pen.globalAlpha = Math.min(0.08 + 0.5 * l[k + 1] / Math.max(c.ok[i], 1), 0.55);
            pen.fillRect(a, level(hi, row), w, Math.max(level(lo, row) - level(hi, row), 1));
          }
        }
      }
      pen.globalAlpha = 1;
    }
    const perPixel = (view.to - view.from) / layout.width;
    for (const s of series) {
      if (!visible[s.kind]) continue;
      pen.strokeStyle = pen.fillStyle = colours[s.kind];
      for (let i = Math.max(0, last(s.at, view.from - s.longest, (t) => t)); i < s.at.length && s.at[i] <= view.to; i++) {
        const px = x(s.at[i]), end = x(s.at[i] + s.lasts[i]), y = level(s.lasts[i], row);
        if (end < layout.left) continue;
        if (s.lasts[i] / perPixel > 4) {
          pen.globalAlpha = 0.35; pen.beginPath(); pen.moveTo(px, y); pen.lineTo(end, y); pen.stroke();
        }
        if (s.outcome[i] === '0') { pen.globalAlpha = 0.6; pen.beginPath(); pen.arc(px, y, 1.8, 0, 7); pen.fill(); }
        else if (s.outcome[i] === '1') { pen.globalAlpha = 1; pen.lineWidth = 1.5; pen.beginPath(); pen.moveTo(px - 3, y - 3); pen.lineTo(px + 3, y + 3); pen.moveTo(px + 3, y - 3); pen.lineTo(px - 3, y + 3); pen.stroke(); pen.lineWidth = 1; }
        else { pen.globalAlpha = 1; pen.lineWidth = 1.5; pen.beginPath(); pen.moveTo(px, y - 4.5); pen.lineTo(px + 4.5, y); pen.lineTo(px, y + 4.5); pen.lineTo(px - 4.5, y); pen.closePath(); pen.stroke(); pen.lineWidth = 1; }
        pen.globalAlpha = 1;
      }
    }
    drawPercentiles(row, first, ends);
    pen.restore();
    hits.push({ a: layout.left, b: layout.left + layout.width, y: row.y, h: row.h, cloud: row });
  };

  // Percentiles of stretches that are at least 28 pixels wide and hold enough: 20 successes for a median, 1,000 for p99.
  const drawPercentiles = (row, first, ends) => {
    for (const c of cloud.classes) {
      if (!visible[c.name]) continue;
      const lines = { 0.5: [], 0.99: [] };
      let merged = new Map(), n = 0, from = null;
      const flush = (to) => {
        for (const q of [0.5, 0.99]) {
          if (n < 10 / (1 - q) - 1e-9) continue;
          let seen = 0;
          for (const [b, count] of [...merged].sort((p, r) => p[0] - r[0])) {
            seen += count;
            if (seen >= q * n) { lines[q].push([from, to, cloud.bucket.smallest_us * 2 ** ((b + 0.5) / cloud.bucket.an_octave)]); break; }
          }
        }
        merged = new Map(); n = 0; from = null;
      };
      for (let i = first; i < cloud.starts.length && cloud.starts[i] <= view.to; i++) {
        if (from === null) from = cloud.starts[i];
        const l = c.latency[i];
        for (let k = 0; k < l.length; k += 2) { merged.set(l[k], (merged.get(l[k]) || 0) + l[k + 1]); n += l[k + 1]; }
        if (x(ends(i)) - x(from) >= 28 && n >= 20) flush(ends(i));
      }
      for (const [q, list] of Object.entries(lines)) {
        pen.setLineDash(q === '0.99' ? [5, 3] : []);
        for (const [colour, wide] of [[colours.paper, 4], [colours[c.name], 2]]) {
          pen.strokeStyle = colour; pen.lineWidth = wide;
          pen.beginPath();
          for (const [a, b, us] of list) { const y = level(us, row); pen.moveTo(x(a), y); pen.lineTo(x(b), y); }
          pen.stroke();
        }
        pen.setLineDash([]); pen.lineWidth = 1;
      }
    }
  };

  const drawRate = (row) => {
    const columns = Math.max(1, Math.floor(layout.width / 4)), sums = Array.from({ length: columns }, () => [0, 0, 0]);
    const starts = cloud.starts;
    for (const c of cloud.classes) {
      if (!visible[c.name]) continue;
      for (let i = Math.max(0, last(starts, view.from, (s) => s)); i < starts.length && starts[i] <= view.to; i++) {
        const a = x(starts[i]), b = Math.max(x(i + 1 < starts.length ? starts[i + 1] : END), a + 0.01);
        const from = Math.max(0, Math.floor((a - layout.left) / 4)), to = Math.min(columns - 1, Math.floor((b - layout.left - 1e-6) / 4));
        for (let k = from; k <= to; k++) {
          const share = (Math.min(b, layout.left + k * 4 + 4) - Math.max(a, layout.left + k * 4)) / (b - a);
          if (share > 0) { sums[k][0] += c.ok[i] * share; sums[k][1] += c.fail[i] * share; sums[k][2] += c.unknown[i] * share; }
        }
      }
    }
    const second = layout.width / 4 / ((view.to - view.from) / 1e6);
    const most = Math.max(1, ...sums.map((s) => (s[0] + s[1] + s[2]) * second));
    const top = row.y + 6, h = row.h - 8;
    sums.forEach((s, k) => {
      let y = top + h;
      [[s[0], colours.soft, 0.55], [s[1], colours.fail, 1], [s[2], colours.doubt, 1]].forEach(([n, colour, alpha]) => {
        const part = n * second / most * h;
        pen.globalAlpha = alpha; pen.fillStyle = colour;
        pen.fillRect(layout.left + k * 4, y - part, 3.2, part);
        y -= part;
      });
      pen.globalAlpha = 1;
    });
    hits.push({ a: layout.left, b: layout.left + layout.width, y: row.y, h: row.h, rate: (px) => { const s = sums[Math.min(columns - 1, Math.max(0, Math.floor((px - layout.left) / 4)))]; return `${group(Math.round(s[0] * second))} answered, ${group(Math.round(s[1] * second))} failed, ${group(Math.round(s[2] * second))} unknown a second`; } });
    pen.save(); pen.font = `11px ${FONT}`; pen.fillStyle = colours.soft; pen.textAlign = 'right';
    pen.fillText(group(Math.round(most)), layout.left - 5, top + 4); pen.restore();
  };

  const drawAxis = (y) => {
    pen.save();
    pen.font = `11px ${FONT}`; pen.textBaseline = 'top'; pen.textAlign = 'center';
    const rough = (view.to - view.from) / (layout.width / 90), power = 10 ** Math.floor(Math.log10(rough));
    const unit = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
    for (let t = Math.ceil(view.from / unit) * unit; t <= view.to; t += unit) {
      const px = Math.round(x(t)) + 0.5;
      pen.strokeStyle = colours.line; pen.beginPath(); pen.moveTo(px, y); pen.lineTo(px, y + 4); pen.stroke();
      pen.fillStyle = colours.soft;
      pen.fillText(`${+(t / 1e6).toFixed(6)} s`, Math.min(Math.max(px, layout.left + 12), layout.left + layout.width - 16), y + 6);
    }
    pen.restore();
  };

  const draw = () => {
    const wide = chart.clientWidth, ratio = window.devicePixelRatio || 1;
    if (!wide) return;
    layout = { narrow: wide < 560, left: wide < 560 ? 66 : 112, width: 0 };
    layout.width = Math.max(wide - layout.left - 8, 40);
    const list = rows();
    let y = 14;
    for (const row of list) { row.y = y; y += row.h + (row.space ?? (row.small ? 0 : 4)); }
    const height = y + 22;
    if (canvas.width !== Math.round(wide * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(wide * ratio); canvas.height = Math.round(height * ratio); canvas.style.height = `${height}px`;
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = colours.paper; pen.fillRect(0, 0, wide, height);
    hits = [];
    for (const row of list) {
      pen.font = `${row.small ? 10 : 11.5}px ${FONT}`; pen.textBaseline = 'middle'; pen.textAlign = 'left';
      pen.fillStyle = colours.soft;
      const name = layout.narrow && row.short ? row.short : row.name;
      pen.fillText(fit(name, layout.left - 12), 6, row.axis ? row.y + row.h - 4 : row.y + row.h / 2);
      pen.save(); pen.beginPath(); pen.rect(row.axis ? 0 : layout.left, row.y - 14, row.axis ? wide : layout.width + 1, row.h + 14); pen.clip();
      pen.font = `11px ${FONT}`;
      row.draw(row);
      pen.restore();
    }
    drawAxis(y);
    const px = Math.round(x(moment)) + 0.5;
    if (px >= layout.left && px <= layout.left + layout.width) {
      pen.strokeStyle = colours.accent; pen.lineWidth = 1.5; pen.beginPath(); pen.moveTo(px, 4); pen.lineTo(px, y); pen.stroke(); pen.lineWidth = 1;
      pen.fillStyle = colours.accent; pen.beginPath(); pen.moveTo(px - 5, 0); pen.lineTo(px + 5, 0); pen.lineTo(px, 7); pen.closePath(); pen.fill();
    }
    if (drag && drag.moved && !drag.pan) {
      pen.globalAlpha = 0.18; pen.fillStyle = colours.accent; pen.fillRect(Math.min(drag.x, drag.now), 0, Math.abs(drag.now - drag.x), y); pen.globalAlpha = 1;
    }
  };
  let due = false;
  const soon = () => { if (!due) { due = true; requestAnimationFrame(() => { due = false; draw(); }); } };

  // ---- the moment -----------------------------------------------------------------------------------------------
  const showState = () => {
    const state = $('state');
    state.textContent = '';
    const part = (title) => { const div = el('div'); div.append(el('h3', title)); state.append(div); return div; };
    const leader = door(moment), step = stepAt(moment);
    const now = part(clock(moment));
    if (data.door.length) now.append(el('p', leader ? `The front door leads to ${who(leader[1], leader[2])}.` : 'The front door leads nowhere yet.'));
    if (step) {
      const phase = step.phases.find(([, from, to]) => from <= moment && moment <= to);
      now.append(el('p', `${step.number ? `Step ${step.number}` : 'Start'}: ${step.title}${phase ? `, ${phase[0]}` : ''}.`));
    }
    const asides = data.asides.filter(([name, from, to]) => name !== 'load' && from <= moment && moment <= to);
    if (asides.length) now.append(el('p', `${asides.map(([name]) => name).join(', ')}.`));
    const open = data.gaps.filter((g) => g.gap && g.from <= moment && moment <= g.to);
    if (open.length) now.append(el('p', `In a gap: ${open.map((g) => `${g.lane} (${length(g.to - g.from)})`).join(', ')}.`, 'bad'));
    const who_ = part('Instances');
    who_.hidden = !data.instances.length;
    const list = el('ul');
    for (const i of alive(moment)) list.append(el('li', `${who(i.slot, i.generation)}, ${i.version}: ${said(i, moment)}`));
    who_.append(list.children.length ? list : el('p', 'none runs'));
    const flight = inFlight(moment);
    const ops = part(flight.length === 1 ? '1 operation in flight' : `${flight.length} operations in flight`);
    const items = el('ul');
    for (const { s, i } of flight.slice(0, 8)) {
      const error = s.error.has(i) ? ` (${cloud.errors[s.error.get(i)]})` : '';
      items.append(el('li', `${s.name}${s.client[i] == null ? '' : `, client ${s.client[i]}`}: for ${length(moment - s.at[i])}; ${OUTCOMES[s.outcome[i]]}${error} after ${length(s.lasts[i])}`, s.outcome[i] === '0' ? '' : 'bad'));
    }
    if (flight.length > 8) items.append(el('li', `and ${flight.length - 8} more`));
    ops.append(items);
    if (cloud && cloud.shown < cloud.total) ops.append(el('p', 'of those that are drawn', 'note'));
    const near = part('Last events');
    const before = data.moments.concat(data.logs).filter((m) => m.at <= moment).sort((a, b) => a.at - b.at).slice(-4);
    const events = el('ul');
    for (const m of before) events.append(el('li', `${clock(m.at)} ${m.text}`, m.bad ? 'bad' : ''));
    near.append(events);
    $('time').textContent = clock(moment);
    slider.setAttribute('aria-valuetext', `${clock(moment)}, ${leader ? `${leader[1]} leads` : 'nobody leads'}`);
  };
  const placeSlider = () => { slider.value = Math.round((moment - view.from) / (view.to - view.from) * 1000); };
  const look = (at) => { moment = Math.min(Math.max(at, 0), END); placeSlider(); showState(); soon(); };
  const show = (from, to) => {
    let width = Math.min(Math.max(to - from, NARROWEST), END);
    let start = Math.min(Math.max((from + to) / 2 - width / 2, 0), END - width);
    view.from = start; view.to = start + width;
    placeSlider(); showState(); soon();
  };
  const around = (from, to) => { const margin = Math.max((to - from) * 0.4, 15000); show(from - margin, to + margin); };
  const zoom = (factor, at) => { const a = at ?? (view.from <= moment && moment <= view.to ? moment : (view.from + view.to) / 2); show(a - (a - view.from) * factor, a + (view.to - a) * factor); };
  const pan = (part) => { const by = (view.to - view.from) * part; const from = Math.min(Math.max(view.from + by, 0), END - (view.to - view.from)); show(from, from + view.to - view.from); };

  // ---- controls -------------------------------------------------------------------------------------------------
  const controls = $('controls');
  const groupOf = (label, ...children) => { const g = el('div', undefined, 'group'); g.setAttribute('role', 'group'); g.setAttribute('aria-label', label); g.append(...children); controls.append(g); };
  const button = (text, title, action) => { const b = el('button', text); b.type = 'button'; b.title = title; b.setAttribute('aria-label', title); b.addEventListener('click', action); return b; };
  groupOf('View', button('Whole run', 'Show the whole run', () => show(0, END)), button('+', 'Zoom in', () => zoom(0.5)), button('−', 'Zoom out', () => zoom(2)),
    button('←', 'Earlier', () => pan(-0.5)), button('→', 'Later', () => pan(0.5)));
  const numbered = data.steps.filter((s) => s.number > 0);
  if (numbered.length && numbered.length <= 24) {
    groupOf('Steps', ...numbered.map((s) => button(layoutName(s), `Show step ${s.number}, ${s.title}`, () => { around(s.from, s.to); const promote = s.phases.find((p) => p[0] === 'promote'); look(promote ? promote[1] : s.from); })));
  } else if (numbered.length) {
    const select = el('select'); select.setAttribute('aria-label', 'Show a step');
    select.append(el('option', 'Step…'));
    for (const s of numbered) { const o = el('option', `${s.number}: ${s.title}`); o.value = s.number; select.append(o); }
    select.addEventListener('change', () => { const s = numbered.find((s) => String(s.number) === select.value); if (s) { around(s.from, s.to); look(s.from); } });
    groupOf('Steps', select);
  }
  function layoutName(s) { return `Step ${s.number}`; }
  const swatch = (draw) => { const c = el('canvas'); c.width = c.height = 28; c.style.width = c.style.height = '14px'; c.setAttribute('aria-hidden', 'true'); const p = c.getContext('2d'); p.scale(2, 2); c.redraw = () => { p.clearRect(0, 0, 14, 14); draw(p); }; return c; };
  const swatches = [];
  if (cloud) {
    groupOf('Operations shown', ...['read', 'write', 'connect', 'observer'].map((kind) => {
      const label = el('label'), box = el('input'), s = swatch((p) => { p.fillStyle = colours[kind]; p.beginPath(); p.arc(7, 7, 4, 0, 7); p.fill(); });
      box.type = 'checkbox'; box.checked = visible[kind];
      box.addEventListener('change', () => { visible[kind] = box.checked; soon(); });
      swatches.push(s);
      label.append(box, s, document.createTextNode(kind === 'observer' ? 'direct observers' : kind));
      return label;
    }));
    const legend = (draw, text) => { const s = swatch(draw), span = el('span', undefined, 'note'); swatches.push(s); span.style.margin = 0; span.style.display = 'inline-flex'; span.style.gap = '0.25rem'; span.style.alignItems = 'center'; span.append(s, document.createTextNode(text)); return span; };
    const stroke = (p) => { p.strokeStyle = colours.ink; p.lineWidth = 1.6; p.beginPath(); };
    groupOf('Marks', legend((p) => { stroke(p); p.moveTo(3, 3); p.lineTo(11, 11); p.moveTo(11, 3); p.lineTo(3, 11); p.stroke(); }, 'failed'),
      legend((p) => { stroke(p); p.moveTo(7, 2); p.lineTo(12, 7); p.lineTo(7, 12); p.lineTo(2, 7); p.closePath(); p.stroke(); }, 'unknown'),
      legend((p) => { stroke(p); p.moveTo(1, 7); p.lineTo(13, 7); p.stroke(); }, 'median'),
      legend((p) => { stroke(p); p.setLineDash([4, 2]); p.moveTo(1, 7); p.lineTo(13, 7); p.stroke(); }, 'p99'));
  }
  slider.addEventListener('input', () => { moment = view.from + slider.value / 1000 * (view.to - view.from); showState(); soon(); });
  for (const jump of document.querySelectorAll('.jump')) {
    jump.addEventListener('click', () => {
      const f = data.findings[Number(jump.dataset.finding)];
      if (!f || f.from == null) return;
      around(f.from, f.to);
      look(f.from);
      $('timeline').scrollIntoView();
      canvas.focus({ preventScroll: true });
    });
  }

  // ---- mouse, touch and keys ------------------------------------------------------------------------------------
  const position = (event) => { const box = canvas.getBoundingClientRect(); return { px: event.clientX - box.left, py: event.clientY - box.top }; };
  const nearest = (px, py, row) => {
    let best = null, distance = 12;
    const at = time(px - 12), to = time(px + 12);
    for (const s of series) {
      if (!visible[s.kind]) continue;
      for (let i = Math.max(0, last(s.at, at, (t) => t)); i < s.at.length && s.at[i] <= to; i++) {
        const d = Math.hypot(x(s.at[i]) - px, level(s.lasts[i], row) - py);
        if (d < distance) { distance = d; best = { s, i }; }
      }
    }
    return best;
  };
  const describe = (px, py) => {
    for (let i = hits.length - 1; i >= 0; i--) {
      const h = hits[i];
      if (px < h.a - 2 || px > h.b + 2 || py < h.y || py > h.y + h.h) continue;
      if (h.rate) return `${clock(time(px))}\n${h.rate(px)}`;
      if (!h.cloud) return h.text;
      const found = nearest(px, py, h.cloud);
      if (!found) return null;
      const { s, i: n } = found;
      return `${s.name}${s.client[n] == null ? '' : `, client ${s.client[n]}`}\n${OUTCOMES[s.outcome[n]]}${s.error.has(n) ? ` (${cloud.errors[s.error.get(n)]})` : ''} after ${length(s.lasts[n])}\nwas to be sent at ${clock(s.at[n])}`;
    }
    return null;
  };
  const showTip = (px, py) => {
    const text = describe(px, py);
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const left = Math.min(px + 14, chart.clientWidth - tip.offsetWidth - 4);
    tip.style.left = `${Math.max(left, 2)}px`;
    tip.style.top = `${py + tip.offsetHeight + 24 > canvas.clientHeight ? py - tip.offsetHeight - 10 : py + 16}px`;
  };
  canvas.addEventListener('pointerdown', (event) => {
    if (event.button) return;
    const { px } = position(event);
    drag = { x: px, now: px, last: px, moved: false, pan: event.shiftKey || event.pointerType === 'touch' };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', (event) => {
    const { px, py } = position(event);
    if (!drag) { showTip(px, py); return; }
    drag.now = px;
    if (Math.abs(px - drag.x) > 4) drag.moved = true;
    if (drag.pan && drag.moved) { pan((drag.last - px) / layout.width); drag.last = px; }
    tip.hidden = true;
    soon();
  });
  canvas.addEventListener('pointerup', (event) => {
    if (!drag) return;
    const { px, py } = position(event), d = drag;
    drag = null;
    if (!d.moved) { look(time(px)); showTip(px, py); } else if (!d.pan) show(time(Math.min(d.x, px)), time(Math.max(d.x, px)));
    soon();
  });
  canvas.addEventListener('pointercancel', () => { drag = null; soon(); });
  canvas.addEventListener('pointerleave', () => { tip.hidden = true; });
  canvas.addEventListener('dblclick', (event) => zoom(0.4, time(position(event).px)));
  canvas.addEventListener('wheel', (event) => {
    // A plain wheel scrolls the page.
    if (event.ctrlKey || event.metaKey || event.shiftKey) { event.preventDefault(); zoom((event.deltaY || event.deltaX) > 0 ? 1.25 : 0.8, time(position(event).px)); }
    else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) { event.preventDefault(); pan(event.deltaX / layout.width); }
  }, { passive: false });
  canvas.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = (view.to - view.from) / 100;
    const actions = {
      ArrowLeft: () => event.shiftKey ? look(moment - step) : pan(-0.15), ArrowRight: () => event.shiftKey ? look(moment + step) : pan(0.15),
      '+': () => zoom(0.6), '=': () => zoom(0.6), '-': () => zoom(1.6), '0': () => show(0, END), Home: () => look(0), End: () => look(END),
    };
    if (actions[event.key]) { event.preventDefault(); actions[event.key](); }
  });

  // ---- begin ----------------------------------------------------------------------------------------------------
  const refresh = () => { readColours(); swatches.forEach((s) => s.redraw()); draw(); };
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', refresh);
  let folded = [];
  addEventListener('beforeprint', () => {
    document.documentElement.dataset.paper = '';
    folded = [...document.querySelectorAll('details:not([open])')];
    folded.forEach((d) => { d.open = true; });
    refresh();
  });
  addEventListener('afterprint', () => { delete document.documentElement.dataset.paper; folded.forEach((d) => { d.open = false; }); refresh(); });
  new ResizeObserver(soon).observe(chart);
  for (const id of ['controls', 'chart', 'scrubber', 'state']) $(id).hidden = false;
  readColours();
  const worst = data.findings.find((f) => f.severity === 'error' && f.from != null);
  // The number on top of the page.
  const top = data.verdict.steps.flatMap((s) => s.gaps.map((g) => ({ ...g, step: s.number }))).filter((g) => g.class === 'write' && g.longest_ms != null)
    .reduce((a, b) => a && a.longest_ms >= b.longest_ms ? a : b, null);
  const longest = top && data.gaps.find((g) => g.step === top.step && g.lane === `${top.class}/${top.connection}`);
  moment = worst ? worst.from : longest ? (longest.from + longest.to) / 2 : 0;
  placeSlider(); showState(); refresh();
  // For the tests of this page, and for whoever looks into it with the browser's own tools.
  window.changeoverReport = { data, view, get moment() { return moment; }, describe };
})();
