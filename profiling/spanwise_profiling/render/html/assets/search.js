// Finding spans by any recorded text: first the texts that contain the words, then the spans that have such a text.

function search(words) {
  const wanted = words.trim().toLowerCase();
  if (!wanted) return null;
  const hit = DATA.strings.map((recorded) => recorded.toLowerCase().includes(wanted));
  const matches = [];
  for (const run of RUNS) {
    for (let span = 0; span < run.count; span++) if (isHit(run, span, hit)) matches.push({ run, span });
  }
  return matches;
}

// For each span how many of those before it were found, so that a folded subtree is looked up at once.
function countFound(run, matches) {
  const before = new Int32Array(run.count + 1);
  for (const match of matches) if (match.run === run) before[match.span + 1] = 1;
  for (let span = 0; span < run.count; span++) before[span + 1] += before[span];
  return before;
}

function isHit({ raw }, span, hit) {
  const of = (number) => number !== undefined && hit[number];
  if (hit[raw.label[span]] || hit[raw.name[span]] || hit[raw.id[span]] || hit[raw.agent[span]]) return true;
  if (of(raw.error[span]) || of(raw.message[span]) || hasHit(raw, raw.attributes[span], hit)) return true;
  return (raw.events[span] ?? []).some(([, name, attributes]) => hit[name] || hasHit(raw, attributes, hit));
}

function hasHit(raw, [shape, ...values], hit) {
  return values.some((value) => hit[value]) || raw.shapes[shape].some((name) => hit[name]);
}
