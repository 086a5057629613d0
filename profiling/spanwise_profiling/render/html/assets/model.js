// The recorded runs, in typed arrays by the number of the span; spans stand in tree order, so that a subtree is a range.

const DATA = JSON.parse(document.getElementById("data").textContent);
const BUCKETS = DATA.buckets;
const LETTERS = "AB";
const OBSERVED = 1;
const OVERLAP = 2;

function text(number) {
  return DATA.strings[number];
}

class Run {
  constructor(raw, number) {
    this.raw = raw;
    this.number = number;
    this.letter = LETTERS[number];
    this.unit = raw.scale / 1e9;
    this.count = raw.start.length;
    this.duration = raw.duration * this.unit;
    this.start = Float64Array.from(raw.start, (at) => at * this.unit);
    this.end = Float64Array.from(raw.length, (length, span) => (raw.start[span] + length) * this.unit);
    this.depth = Int32Array.from(raw.depth);
    this.bucket = Int8Array.from(raw.bucket);
    this.isAgent = Uint8Array.from(raw.kind, (kind) => text(kind) === "agent");
    this.isWait = Uint8Array.from(raw.kind, (kind) => text(kind) === "wait");
    this.retried = new Set(raw.retried);
    this.byId = new Map(raw.id.map((id, span) => [text(id), span]));
    this.joinTree();
    this.readPath();
    this.readWaits();
  }

  joinTree() {
    this.parent = new Int32Array(this.count).fill(-1);
    this.last = new Int32Array(this.count).fill(this.count);
    this.nth = new Int32Array(this.count);
    this.siblings = new Int32Array(this.count);
    const above = [];
    const born = new Int32Array(this.count + 1);
    for (let span = 0; span < this.count; span++) {
      while (above.length > this.depth[span]) this.last[above.pop()] = span;
      if (above.length) this.parent[span] = above[above.length - 1];
      this.nth[span] = ++born[this.parent[span] + 1];
      above.push(span);
    }
    for (let span = 0; span < this.count; span++) this.siblings[span] = born[this.parent[span] + 1];
  }

  readPath() {
    this.path = this.segments(this.raw.path);
    this.second = this.segments(this.raw.second);
    this.onPath = new Float64Array(this.count);
    this.segmentsOf = new Map();
    this.path.forEach((segment) => {
      if (segment.span < 0) return;
      this.onPath[segment.span] += segment.end - segment.start;
      if (!this.segmentsOf.has(segment.span)) this.segmentsOf.set(segment.span, []);
      this.segmentsOf.get(segment.span).push(segment);
    });
  }

  segments(rows) {
    return rows.map(([span, start, length, bucket, flags]) => ({
      span, start: start * this.unit, end: (start + length) * this.unit, bucket, flags,
    }));
  }

  readWaits() {
    this.waitsFor = new Map();
    this.releases = new Map();
    for (const [waiter, releaser] of this.raw.waits) {
      push(this.waitsFor, waiter, releaser);
      push(this.releases, releaser, waiter);
    }
  }

  length(span) {
    return this.end[span] - this.start[span];
  }

  label(span) {
    return text(this.raw.label[span]);
  }

  kind(span) {
    return text(this.raw.kind[span]);
  }

  agent(span) {
    return text(this.raw.agent[span]);
  }

  id(span) {
    return text(this.raw.id[span]);
  }

  error(span) {
    const number = this.raw.error[span];
    return number === undefined ? null : text(number);
  }

  firstChunk(span) {
    const after = this.raw.first[span];
    return after === undefined ? null : after * this.unit;
  }

  slack(span) {
    const length = this.raw.slack[span];
    return length === undefined ? null : length * this.unit;
  }

  // What a model call cost; null for all else.
  cost(span) {
    const cost = this.raw.cost[span];
    return cost === undefined ? null : (cost ?? UNKNOWN_COST);
  }

  blocked(span) {
    const length = this.raw.blocked[span];
    return length === undefined ? null : length * this.unit;
  }

  attributes([shape, ...values]) {
    return this.raw.shapes[shape].map((name, at) => [name, values[at]]);
  }

  hasChildren(span) {
    return this.last[span] > span + 1;
  }

  // Spans whose edges are of interest where `span` is looked at: itself and the waits right below it.
  edgesOf(span) {
    const edges = [];
    const add = (waiter, releaser) => edges.push({ waiter, releaser });
    (this.waitsFor.get(span) ?? []).forEach((releaser) => add(span, releaser));
    (this.releases.get(span) ?? []).forEach((waiter) => add(waiter, span));
    for (let child = span + 1; child < this.last[span] && edges.length < 40; child = this.last[child]) {
      if (this.isWait[child]) (this.waitsFor.get(child) ?? []).forEach((releaser) => add(child, releaser));
    }
    return edges.slice(0, 40);
  }

  // A wait ends when it is released; any other span that depends on one starts then.
  releasedAt(waiter) {
    return this.isWait[waiter] ? this.end[waiter] : this.start[waiter];
  }
}

function push(map, key, value) {
  if (!map.has(key)) map.set(key, []);
  map.get(key).push(value);
}

const RUNS = DATA.runs.map((raw, number) => new Run(raw, number));
