// Recorded JSON as people read it: messages of a conversation as text below their role, anything else in lines.

function laidOut(recorded) {
  if (!/^\s*[[{]/.test(recorded) || recorded.length > 200000) return recorded;
  try {
    const value = JSON.parse(recorded);
    return isConversation(value) ? value.map(messageText).join("\n\n") : JSON.stringify(value, null, 2);
  } catch {
    return recorded;
  }
}

function isConversation(value) {
  return Array.isArray(value) && value.length > 0 && value.every((message) => typeof message?.role === "string");
}

function messageText({ role, parts, content, ...rest }) {
  const said = [parts ?? content ?? []].flat().map(partText);
  const more = Object.keys(rest).length ? [JSON.stringify(rest)] : [];
  return [`${role}:`, ...said, ...more].join("\n");
}

// `content` is what the conventions call a text, `text` what OpenAI's interface does.
function partText(part) {
  if (typeof part === "string") return part;
  const said = part?.content ?? part?.text;
  return typeof said === "string" ? said : JSON.stringify(part, null, 2);
}
