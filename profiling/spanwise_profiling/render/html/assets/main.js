// The page as a whole: what is selected, found and looked at, and one drawing for each frame that needs one.

const page = (id) => document.getElementById(id);

class App {
  constructor() {
    Object.assign(this, { selected: null, hovered: null, matches: null, found: null, at: -1, version: 0, waiting: new Set() });
    this.searchBox = page("search");
    this.details = new Details(page("details"), { clear: () => this.clear() });
    this.axis = new Axis(RUNS);
    this.tracks = [];
    const act = {
      draw: (track) => this.draw(track), select: (run, span) => this.select(run, span),
      hover: (...looked) => this.hover(...looked), roomFor: () => this.room(),
    };
    document.querySelectorAll(".track").forEach((box, number) => {
      this.tracks.push(new Track(box, RUNS[number], this.axis, act));
    });
    this.axis.changed = () => this.drawAll();
    this.tracks.forEach((track) => listenToKeys(track, this));
    this.calls = new Calls(page("calls"), page("more-calls"), page("call-kind"), page("call-count"));
  }

  room() {
    if (this.printing) return 46 * ROW;
    return Math.max(8 * ROW, Math.min(32 * ROW, window.innerHeight * (RUNS.length > 1 ? 0.38 : 0.66)));
  }

  drawAll() {
    this.tracks.forEach((track) => this.draw(track));
  }

  draw(track) {
    if (!this.waiting.size) requestAnimationFrame(() => this.drawWaiting());
    this.waiting.add(track);
  }

  drawWaiting() {
    const tracks = [...this.waiting];
    this.waiting.clear();
    this.tip();
    for (const track of tracks) {
      const of = (looked) => (looked?.run === track.run ? looked.span : -1);
      const { version } = this;
      const found = this.found ? this.found[track.run.number] : null;
      track.draw({ selected: of(this.selected), hovered: of(this.hovered), found, version });
    }
  }

  select(run, span, { move = true } = {}) {
    this.selected = { run, span };
    const track = this.tracks[run.number];
    if (track.rows.rowOf[span] < 0) track.rows.reveal(span);
    if (track.rows.rowOf[span] < 0) this.showOnlyPath(false);
    track.scrollTo(span);
    if (move) this.axis.reveal(run.start[span], run.end[span]);
    this.details.show(run, span);
    this.say(`${run.label(span)}, ${seconds(run.length(span))}${run.onPath[span] ? `, ${seconds(run.onPath[span])} on the critical path` : ""}`);
    this.drawAll();
  }

  showOnlyPath(only) {
    document.querySelector("[data-do=path]").setAttribute("aria-pressed", only);
    this.tracks.forEach(({ rows }) => rows.showOnlyPath(only));
  }

  clear() {
    this.selected = null;
    this.details.clear();
    this.drawAll();
  }

  say(words) {
    page("live").textContent = words;
  }

  // `segment` is given where the pointer is on the strip of the critical path.
  hover(run, span, event, segment = null) {
    this.pointer = event && { x: event.clientX, y: event.clientY };
    this.hovered = span < 0 ? null : { run, span, segment };
    this.draw(this.tracks[run.number]);
  }

  // Filled when the pointer comes to another span, and put beside the pointer at each frame.
  tip() {
    const tip = page("tip");
    const { hovered, pointer } = this;
    tip.hidden = !hovered || !pointer;
    if (tip.hidden) return;
    const { tipped } = this;
    if (tipped?.span !== hovered.span || tipped.run !== hovered.run || tipped.segment !== hovered.segment) this.fillTip(tip, hovered);
    const [width, height] = this.tipSize;
    const left = Math.max(4, Math.min(pointer.x + 14, window.innerWidth - width - 8));
    const below = pointer.y + 18 + height < window.innerHeight;
    tip.style.transform = `translate(${left}px, ${below ? pointer.y + 18 : pointer.y - height - 10}px)`;
  }

  fillTip(tip, hovered) {
    const { run, span, segment } = (this.tipped = hovered);
    const lines = [element("strong", {}, isolated(run.label(span))), ` ${seconds(run.length(span))}`];
    if (segment) lines.push(element("div", {}, told(segment)));
    else if (run.onPath[span]) lines.push(element("div", {}, `${seconds(run.onPath[span])} on the critical path`));
    else if (run.slack(span) !== null) lines.push(element("div", {}, `slack ${seconds(run.slack(span))}`));
    for (const { waiter, releaser } of run.edgesOf(span).slice(0, 4)) {
      lines.push(element("div", {}, isolated(run.label(waiter)), " ← ", isolated(run.label(releaser))));
    }
    tip.replaceChildren(...lines);
    this.tipSize = [tip.offsetWidth, tip.offsetHeight];
  }

  find(words) {
    this.matches = search(words);
    this.found = this.matches && RUNS.map((run) => countFound(run, this.matches));
    this.at = -1;
    this.version++;
    this.sayFound();
    this.drawAll();
  }

  nextFound(step) {
    if (!this.matches?.length) return;
    const count = this.matches.length;
    this.at = this.at < 0 ? (step > 0 ? 0 : count - 1) : (this.at + step + count) % count;
    this.select(this.matches[this.at].run, this.matches[this.at].span);
    this.sayFound();
  }

  sayFound() {
    const count = this.matches?.length;
    const where = this.at >= 0 ? `${whole(this.at + 1)} of ` : "";
    page("found").textContent = this.matches ? `${where}${whole(count)} found` : "";
  }

  resize() {
    readColours();
    this.version++;
    this.tracks.forEach((track) => track.resize());
  }

  // `#A/eee19b7ec3c1b174` in the address selects a span, so that links within the page and from elsewhere do.
  follow() {
    const [, letter, id] = /^#([AB])\/(.+)$/.exec(location.hash) ?? [];
    const run = RUNS[LETTERS.indexOf(letter ?? "-")];
    const span = run?.byId.get(decoded(id ?? ""));
    if (span === undefined) return;
    this.select(run, span);
    page("h-timeline").scrollIntoView({ block: "start" });
    this.tracks[run.number].names.box.focus({ preventScroll: true });
  }
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function listenToTools(app) {
  const all = (act) => () => app.tracks.forEach(({ rows }) => act(rows));
  const tools = {
    fold: all((rows) => rows.foldAgents()), unfold: all((rows) => rows.unfoldAll()),
    in: () => app.axis.zoom(0.6), out: () => app.axis.zoom(1 / 0.6), fit: () => app.axis.fit(),
    before: () => app.nextFound(-1), after: () => app.nextFound(1),
    path: (button) => app.showOnlyPath(button.getAttribute("aria-pressed") !== "true"),
  };
  for (const button of document.querySelectorAll("[data-do]")) {
    button.addEventListener("click", () => tools[button.dataset.do](button));
  }
  app.searchBox.addEventListener("input", () => app.find(app.searchBox.value));
  app.searchBox.addEventListener("keydown", (event) => {
    if (event.key === "Enter") app.nextFound(event.shiftKey ? -1 : 1);
  });
}

// Following a link to the place that the address names already changes nothing there, so clicks are heard too.
function listenToPage(app) {
  window.addEventListener("hashchange", () => app.follow());
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    if (link && link.getAttribute("href") === location.hash) app.follow();
  });
  window.addEventListener("resize", () => app.resize());
  window.addEventListener("beforeprint", () => print(app, true));
  window.addEventListener("afterprint", () => print(app, false));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => app.resize());
  page("theme").addEventListener("change", ({ target }) => {
    document.documentElement.dataset.theme = target.value;
    app.resize();
  });
}

// On paper: light, as wide as a page, agents folded where there are more rows than a page has room for.
function print(app, printing) {
  app.printing = printing;
  for (const part of document.querySelectorAll("details")) {
    if (printing) part.dataset.open = part.open;
    part.open = printing || part.dataset.open === "true";
  }
  document.documentElement.classList.toggle("printing", printing);
  for (const track of app.tracks) {
    if (printing) {
      track.kept = track.rows.folded.slice();
      if (track.rows.list.length > 46) track.rows.foldAgents();
    } else if (track.kept) {
      track.rows.folded.set(track.kept);
      track.rows.build();
    }
  }
  app.resize();
  app.drawWaiting();
}

readColours();
const app = new App();
listenToTools(app);
listenToPage(app);
app.follow();
document.documentElement.classList.add("ready");
