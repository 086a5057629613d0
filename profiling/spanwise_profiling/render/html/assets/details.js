// Everything that was recorded of one span, as text.

class Details {
  constructor(box, act) {
    Object.assign(this, { box, act, initial: [...box.childNodes] });
  }

  clear() {
    this.box.replaceChildren(...this.initial);
  }

  show(run, span) {
    const close = element("button", { type: "button", class: "close", "aria-label": "Close", title: "Close" }, "×");
    close.addEventListener("click", () => this.act.clear());
    const kind = element("p", { class: "kind" }, `${RUNS.length > 1 ? `${run.letter} · ` : ""}${run.kind(span)}`);
    const parts = [close, kind, element("h3", {}, isolated(run.label(span))), this.facts(run, span)];
    parts.push(this.edges("Waited for", run, run.waitsFor.get(span)), this.edges("Released", run, run.releases.get(span)));
    parts.push(this.path(run, span), this.attributes("Attributes", run, run.raw.attributes[span]));
    for (const event of run.raw.events[span] ?? []) parts.push(this.event(run, event));
    for (const link of run.raw.links[span] ?? []) parts.push(this.link(run, link));
    this.box.replaceChildren(...parts.filter(Boolean));
    this.box.scrollTop = 0;
  }

  facts(run, span) {
    const facts = [["starts", seconds(run.start[span])], ["takes", seconds(run.length(span))]];
    const add = (name, value) => value !== null && value !== "" && facts.push([name, value]);
    add("agent", run.agent(span));
    add("on the path", run.onPath[span] ? seconds(run.onPath[span]) : null);
    add("slack", run.slack(span) === null ? null : seconds(run.slack(span)));
    add("blocked the loop", run.blocked(span) === null ? null : seconds(run.blocked(span)));
    add("first chunk", run.firstChunk(span) === null ? null : `after ${seconds(run.firstChunk(span))}`);
    add("cost", run.cost(span) === null ? null : money(run.cost(span)));
    add("error", run.error(span) === null ? null : `${run.error(span)}${run.retried.has(span) ? ", tried again" : ""}`);
    if (run.raw.message[span] !== undefined) add("message", text(run.raw.message[span]));
    add("name", text(run.raw.name[span]));
    add("span", run.id(span));
    return this.list(facts.map(([name, value]) => [name, isolated(value)]));
  }

  list(pairs) {
    const rows = pairs.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
    return element("dl", { class: "facts" }, ...rows);
  }

  edges(title, run, spans = []) {
    if (!spans.length) return null;
    const items = spans.slice(0, 20).map((span) => element("li", {}, spanLink(run, span), ` ${seconds(run.length(span))}`));
    if (spans.length > 20) items.push(element("li", {}, `and ${whole(spans.length - 20)} more`));
    return element("div", {}, element("h4", {}, title), element("ul", {}, ...items));
  }

  path(run, span) {
    const segments = run.segmentsOf.get(span) ?? [];
    if (!segments.length) return null;
    const items = segments.slice(0, 20).map((segment) => {
      const swatch = element("i", { class: `swatch b-${BUCKETS[segment.bucket].bucket}` });
      return element("li", {}, swatch, told(segment));
    });
    if (segments.length > 20) items.push(element("li", {}, `and ${whole(segments.length - 20)} more stretches`));
    return element("div", {}, element("h4", {}, "On the critical path"), element("ul", { class: "plain" }, ...items));
  }

  attributes(title, run, coded) {
    const pairs = run.attributes(coded).map(([name, value]) => [isolated(text(name)), this.value(value)]);
    if (!pairs.length) return null;
    return element("div", {}, element("h4", {}, title), element("div", { class: "attributes" }, this.list(pairs)));
  }

  value(number) {
    const words = laidOut(text(number));
    const scrolls = words.length > 400 || words.split("\n").length > 12;
    const shown = element("bdi", { class: "value", tabindex: scrolls ? "0" : null }, words);
    const length = DATA.cut[number];
    if (length === undefined) return shown;
    const note = `cut: ${whole(text(number).length)} of ${whole(length)} characters; the rest is in the recording`;
    return element("span", {}, shown, element("small", { class: "cut" }, note));
  }

  event(run, [at, name, attributes]) {
    const list = this.attributes(`Event at ${seconds(at * run.unit)}`, run, attributes);
    const title = element("p", {}, isolated(text(name)));
    return element("div", {}, ...(list ? [list] : [element("h4", {}, `Event at ${seconds(at * run.unit)}`)]), title);
  }

  link(run, [trace, id, attributes]) {
    const span = run.byId.get(text(id));
    const target = span === undefined ? element("code", {}, `${text(trace)}/${text(id)}`) : spanLink(run, span);
    const about = run.attributes(attributes).map(([name, value]) => `${text(name)} ${text(value)}`).join(", ");
    return element("div", {}, element("h4", {}, "Link"), element("p", {}, target, about ? ` ${about}` : ""));
  }
}

// `Tools: 0.470 s, observed`: what a stretch of the critical path was spent on.
function told({ start, end, bucket, flags }) {
  const known = flags & OBSERVED ? "observed" : "inferred";
  return `${BUCKETS[bucket].label}: ${seconds(end - start)}, ${known}${flags & OVERLAP ? ", siblings overlap" : ""}`;
}

function spanLink(run, span) {
  return element("a", { href: `#${run.letter}/${encodeURIComponent(run.id(span))}` }, isolated(run.label(span)));
}
