// Which spans have a row: all but those below a folded one, or only those of the critical path with what encloses them.

const MANY = 40;

class Rows {
  constructor(run) {
    this.run = run;
    this.folded = new Uint8Array(run.count);
    this.onlyPath = false;
    this.list = new Int32Array(0);
    this.rowOf = new Int32Array(run.count);
    this.changed = () => {};
    if (run.count > MANY) this.foldAgents();
    else this.build();
  }

  build() {
    const { run, folded } = this;
    const kept = this.onlyPath ? this.pathAndAbove() : null;
    const list = new Int32Array(run.count);
    let length = 0;
    this.rowOf.fill(-1);
    for (let span = 0; span < run.count; ) {
      if (kept && !kept[span]) {
        span = run.last[span];
        continue;
      }
      this.rowOf[span] = length;
      list[length++] = span;
      span = folded[span] ? run.last[span] : span + 1;
    }
    this.list = list.subarray(0, length);
    this.changed();
  }

  pathAndAbove() {
    const kept = new Uint8Array(this.run.count);
    for (let span of this.run.segmentsOf.keys()) {
      for (; span >= 0 && !kept[span]; span = this.run.parent[span]) kept[span] = 1;
    }
    return kept;
  }

  fold(span, folded) {
    this.folded[span] = folded ? 1 : 0;
    this.build();
  }

  // Calls are folded too: what lies below them (waits for chunks of a stream) is rarely what one looks for first.
  foldAgents() {
    const { run, folded } = this;
    for (let span = 0; span < run.count; span++) folded[span] = run.isAgent[span] || run.bucket[span] >= 0 ? 1 : 0;
    this.build();
  }

  unfoldAll() {
    this.folded.fill(0);
    this.build();
  }

  showOnlyPath(only) {
    this.onlyPath = only;
    this.build();
  }

  // Makes sure that `span` has a row.
  reveal(span) {
    for (let above = this.run.parent[span]; above >= 0; above = this.run.parent[above]) this.folded[above] = 0;
    this.build();
  }

  isFolded(span) {
    return this.folded[span] === 1 && this.run.hasChildren(span);
  }

  // Whether something is searched for, and neither `span` nor what its folded row hides was found.
  isDim(span, found) {
    if (!found) return false;
    const end = this.isFolded(span) ? this.run.last[span] : span + 1;
    return found[end] === found[span];
  }

  // The row of `span`, or of the folded span that hides it.
  nearest(span) {
    while (span >= 0 && this.rowOf[span] < 0) span = this.run.parent[span];
    return span < 0 ? -1 : this.rowOf[span];
  }
}
