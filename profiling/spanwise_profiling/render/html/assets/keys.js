// The keyboard in the timeline. Keys act only while the tree of names has the focus.

function listenToKeys(track, app) {
  track.names.box.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const action = actionFor(event, track, app);
    if (!action) return;
    event.preventDefault();
    action();
  });
}

function actionFor(event, track, app) {
  const { rows, run, axis } = track;
  const span = app.selected?.run === run ? app.selected.span : -1;
  const row = span < 0 ? -1 : rows.nearest(span);
  const page = Math.max(1, Math.floor(track.height / ROW) - 1);
  const zoom = (factor) => () => axis.zoom(factor, middleOf(track, span));
  const go = (to) => () => app.select(run, rows.list[Math.max(0, Math.min(rows.list.length - 1, to))]);
  const actions = {
    ArrowDown: go(row + 1), ArrowUp: go(row - 1), Home: go(0), End: go(rows.list.length - 1),
    PageDown: go(row + page), PageUp: go(row - page),
    ArrowRight: event.shiftKey ? () => axis.pan(0.15) : () => unfoldOr(track, span, go(row + 1)),
    ArrowLeft: event.shiftKey ? () => axis.pan(-0.15) : () => foldOr(track, span, app),
    "+": zoom(0.7), "=": zoom(0.7), "-": zoom(1 / 0.7), "_": zoom(1 / 0.7),
    0: () => axis.fit(), f: () => span >= 0 && axis.show(run.start[span], run.end[span]),
    p: () => alongPath(track, span, 1, app), P: () => alongPath(track, span, -1, app),
    n: () => app.nextFound(1), N: () => app.nextFound(-1), "/": () => app.searchBox.focus(),
    Enter: () => span >= 0 && app.details.box.focus(), Escape: () => app.clear(),
  };
  return actions[event.key];
}

// Where the middle of what is in view of `span` lies, as a part of the width: zooming keeps it in its place.
function middleOf({ run, axis }, span) {
  if (span < 0) return 0.5;
  const [start, end] = [Math.max(run.start[span], axis.from), Math.min(run.end[span], axis.to)];
  return start > end ? 0.5 : ((start + end) / 2 - axis.from) / (axis.to - axis.from);
}

function unfoldOr(track, span, next) {
  if (span >= 0 && track.rows.folded[span] && track.run.hasChildren(span)) track.rows.fold(span, false);
  else next();
}

function foldOr(track, span, app) {
  if (span < 0) return;
  if (!track.rows.folded[span] && track.run.hasChildren(span)) track.rows.fold(span, true);
  else if (track.run.parent[span] >= 0) app.select(track.run, track.run.parent[span]);
}

function alongPath(track, span, step, app) {
  const { path } = track.run;
  if (!path.length) return;
  const here = path.findIndex((segment) => segment.span === span);
  let at = here < 0 ? (step > 0 ? 0 : path.length - 1) : here + step;
  while (path[at] && path[at].span === span) at += step;
  if (path[at] && path[at].span >= 0) app.select(track.run, path[at].span);
}
