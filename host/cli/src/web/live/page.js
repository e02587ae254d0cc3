'use strict';
// Fetches stats.json once a second and shows it. Rates are differences of two answers, over the
// stack's own clock, so that a slow fetch does not bend them.
const SAMPLES = 90, PERIOD_MS = 1000;
const COLOURS = ['--c0', '--c1', '--c2', '--c3', '--c4', '--c5', '--c6'];
const by = id => document.getElementById(id);
const history = { out: [], in: [], requests: [], open: [], memory: [] };
let last = null, paused = false, timer = 0;

// ---- numbers for people
function scaled(value, step, units) {
  let index = 0;
  while (value >= step && index < units.length - 1) { value /= step; index++; }
  const digits = index === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return [value.toFixed(digits), units[index]];
}
const octets = n => scaled(n, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB']);
const bits = n => scaled(n * 8, 1000, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s', 'Tbit/s']);
const joined = pair => pair.join('\u202f');
const count = n => Math.round(n).toLocaleString('en');
const words = name => name.replace(/_/g, ' ');
function time(us) {
  return us === null ? '–' : us < 1000 ? us + '\u202fµs' : us < 1e6 ? (us / 1000).toFixed(us < 1e4 ? 2 : 1) + '\u202fms'
    : (us / 1e6).toFixed(2) + '\u202fs';
}
function span(ms) {
  const s = Math.floor(ms / 1000), m = Math.floor(s / 60), h = Math.floor(m / 60);
  return h > 0 ? `${h} h ${m % 60} min` : m > 0 ? `${m} min ${s % 60} s` : `${s} s`;
}
// "per second", blank when nothing happens, with a decimal when little does.
const few = n => n < 10 ? (n || 0).toFixed(1) : count(n);
const perSecond = n => n ? few(n) : '';

// ---- building blocks
function element(tag, options = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(options)) {
    if (key === 'style') made.style.cssText = value; else made[key] = value;
  }
  made.append(...children);
  return made;
}
const cell = (text, options = {}) => element('td', options, text);
const number = (text, options = {}) => cell(text, { className: 'n', ...options });

function spark(svg, values, ceiling) {
  const top = Math.max(ceiling || 0, ...values, 1e-9) * 1.08;
  const x = index => 100 - (values.length - 1 - index) * 100 / (SAMPLES - 1);
  const y = value => 29.2 - value / top * 28;
  const points = values.map((value, index) => `${x(index).toFixed(2)},${y(value).toFixed(2)}`);
  if (!points.length) return;
  const line = 'M' + points.join('L');
  svg.innerHTML = `<path class=area d="${line}L100,30L${x(0).toFixed(2)},30Z"></path><path class=line d="${line}"></path>`;
}

function tile(id, value, [text, unit], note, ceiling) {
  const box = by(id), values = history[id];
  box.querySelector('small').textContent = note;
  if (value === null) return;
  values.push(value);
  if (values.length > SAMPLES) values.shift();
  box.querySelector('b').textContent = text;
  box.querySelector('p span').textContent = unit;
  spark(box.querySelector('svg'), values, ceiling);
}

// ---- sections
function tiles(now, before, seconds) {
  // One answer alone tells totals, but no rate: null.
  const rate = read => before ? Math.max(0, read(now) - read(before)) / seconds : null;
  const out = rate(s => s.counters.payload_octets_out || s.http.octets_out);
  const into = rate(s => s.counters.payload_octets_in || s.http.octets_in);
  const total = (name, fallback) => joined(octets(now.counters[name] || fallback)) + ' in all';
  const peak = values => Math.max(0, ...values);
  tile('out', out, bits(out), `${total('payload_octets_out', now.http.octets_out)}, peak ${joined(bits(Math.max(out, peak(history.out))))}`);
  tile('in', into, bits(into), `${total('payload_octets_in', now.http.octets_in)}, peak ${joined(bits(Math.max(into, peak(history.in))))}`);
  const requests = rate(s => s.http.requests);
  const failed = now.http.answers[4] + now.http.answers[5];
  tile('requests', requests, [few(requests), 'per second'],
    `${count(now.http.requests)} in all, ${failed ? count(failed) : 'none'} refused`);
  const accepted = rate(s => s.http.connections);
  tile('open', now.connections_total, [count(now.connections_total), 'open'],
    `${count(now.http.connections)} served so far, ${perSecond(accepted) || 'none'} per second`);
  const memory = now.memory, share = memory.budget_octets ? memory.used_octets / memory.budget_octets : 0;
  tile('memory', share * 100, octets(memory.used_octets),
    memory.budget_octets ? `of ${joined(octets(memory.budget_octets))}, peak ${joined(octets(memory.peak_octets))}` : 'not limited');
}

function heldBar(row, before, limiters) {
  // What held it back since the last look; over its whole life when that says nothing.
  let parts = row.limited_us.map((us, index) => us - (before ? before.limited_us[index] : 0));
  let sum = parts.reduce((a, b) => a + b, 0);
  if (sum <= 0) { parts = row.limited_us; sum = parts.reduce((a, b) => a + b, 0); }
  const stack = element('div', { className: 'stack' });
  stack.title = limiters.map((name, index) => sum ? `${words(name)} ${(parts[index] / sum * 100).toFixed(0)} %` : '')
    .filter((text, index) => parts[index] > 0).join(', ');
  parts.forEach((us, index) => {
    if (us > 0) stack.append(element('div', { style: `width:${us / sum * 100}%;background:var(${COLOURS[index]})` }));
  });
  return element('div', { className: 'held' }, stack, element('span', {}, words(row.limiter)));
}

function connections(now, before, seconds) {
  const earlier = new Map((before ? before.connections : []).map(row => [row.id, row]));
  const rows = now.connections.map(row => {
    const was = earlier.get(row.id);
    const speed = key => was ? Math.max(0, row[key] - was[key]) / seconds : 0;
    return { row, was, out: speed('octets_out'), into: speed('octets_in') };
  });
  const body = by('connections').tBodies[0];
  body.replaceChildren(...rows.map(({ row, was, out, into }) => {
    const state = element('span', { className: 'state' + (row.state === 'ESTABLISHED' ? ' up' : '') }, row.state);
    const flow = (speed, total) => number(speed > 0 ? joined(bits(speed)) : '–', { title: joined(octets(total)) + ' in all' });
    return element('tr', {},
      cell(row.remote, { title: `open for ${span(row.age_ms)}` }), cell(row.local), cell(state),
      number(time(row.rtt_us)),
      number(joined(octets(row.cwnd_octets)), { title: `congestion window; the peer's window is ${joined(octets(row.peer_window_octets))}` }),
      number(joined(octets(row.in_flight_octets)), { title: `${joined(octets(row.send_queue_octets))} queued to send, ${joined(octets(row.receive_queue_octets))} not read` }),
      flow(out, row.octets_out), flow(into, row.octets_in),
      number(row.retransmits ? count(row.retransmits) : '0', { className: row.retransmits ? 'n' : 'n zero', title: 'segments sent again' }),
      cell(heldBar(row, was, now.limiters)));
  }));
  const card = by('connections').closest('.card');
  card.querySelector('.none').hidden = rows.length > 0;
  card.querySelector('.scroll').hidden = rows.length === 0;
  const hidden = now.connections_total - rows.length, more = card.querySelector('.more');
  more.hidden = hidden <= 0;
  more.textContent = `and ${count(hidden)} more, less busy`;
}

function counters(id, now, before, seconds, names) {
  const body = by(id).tBodies[0];
  body.replaceChildren(...names.map(name => {
    const value = now[name], speed = before ? (value - (before[name] || 0)) / seconds : 0;
    return element('tr', {}, cell(words(name), { title: name }),
      number(count(value), { className: value ? 'n' : 'n zero' }), number(perSecond(speed)));
  }));
}

function drops(now, before, seconds) {
  const names = Object.keys(now.drops).filter(name => now.drops[name] > 0).sort((a, b) => now.drops[b] - now.drops[a]);
  counters('drops', now.drops, before && before.drops, seconds, names);
  by('drops').hidden = names.length === 0;
  by('drops').closest('.card').querySelector('.none').hidden = names.length > 0;
  const total = names.reduce((sum, name) => sum + now.drops[name], 0);
  by('dropped').textContent = total ? `${count(total)} in all` : '';
}

function head(now) {
  by('version').textContent = now.version;
  by('network').textContent = [now.about.network, ...now.about.urls, `up ${span(now.uptime_ms)}`].filter(Boolean).join(' · ');
  by('serves').textContent = now.about.directory ? `Serving ${now.about.directory}${now.about.writable ? ', writable' : ''}` : '';
}

function legend(names) {
  by('legend').replaceChildren(...names.map((name, index) =>
    element('span', {}, element('i', { style: `background:var(${COLOURS[index]})` }), words(name))));
}

function show(now) {
  // A server that was started anew counts from zero: no differences across that.
  const before = last && last.uptime_ms < now.uptime_ms ? last : null;
  const seconds = before ? (now.uptime_ms - before.uptime_ms) / 1000 : 1;
  if (!last) legend(now.limiters);
  head(now);
  if (before || !last) tiles(now, before, seconds);
  connections(now, before, seconds);
  drops(now, before, seconds);
  const zeros = by('zeros').checked;
  const names = Object.keys(now.counters).filter(name => zeros || now.counters[name] > 0);
  counters('counters', now.counters, before && before.counters, seconds, names);
  last = now;
}

function state(text, className) {
  by('state').textContent = text;
  by('state').className = className;
}

// ---- the clock
async function turn() {
  const started = performance.now();
  try {
    const answer = await fetch('stats.json', { cache: 'no-store', signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(answer.status);
    show(await answer.json());
    state('live', 'good');
  } catch (error) {
    state('no answer', 'bad');
  }
  // The second answer comes soon, so that the page is not without rates for long.
  const period = history.out.length ? PERIOD_MS : 300;
  if (!paused) timer = setTimeout(turn, Math.max(100, period - (performance.now() - started)));
}

by('pause').addEventListener('click', () => {
  paused = !paused;
  clearTimeout(timer);
  by('pause').textContent = paused ? 'Resume' : 'Pause';
  if (paused) state('paused', 'wait'); else turn();
});
by('zeros').addEventListener('change', () => { if (last) show(last); });
turn();
