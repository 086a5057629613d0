// Recorded JSON as people read it: messages of a conversation as text below their role, anything else in lines.

// The page's texts are escaped where they are written, but parsed JSON can hold what is invisible again.
function readable(words) {
  return words.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu, (mark) => (mark === "\n" || mark === "\t" ? mark : escaped(mark)));
}

function escaped(mark) {
  const code = mark.codePointAt(0);
  const digits = code.toString(16);
  if (code < 0x100) return `\\x${digits.padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${digits.padStart(4, "0")}` : `\\U${digits.padStart(8, "0")}`;
}

const SHORT = 50;
// Numbers that JavaScript would change are never parsed: then the text itself is set out.
const INEXACT = /\d{16}|\.\d{13}|\d[eE][-+]?\d{3}/;

function laidOut(recorded) {
  if (!/^\s*[[{]/.test(recorded) || recorded.length > 200000) return recorded;
  try {
    const value = JSON.parse(recorded);
    const talk = isConversation(value) && !INEXACT.test(recorded);
    if (talk) return readable(value.map(messageText).join("\n\n"));
    return recorded.length > SHORT ? indented(recorded) : recorded;
  } catch {
    return recorded;
  }
}

// JSON with line ends and indents between its tokens, which stay as they were recorded.
function indented(json) {
  const tokens = json.match(/"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/g) ?? [];
  let depth = 0;
  let out = "";
  tokens.forEach((token, at) => {
    const empty = /[[{]/.test(tokens[at - 1] ?? "") && tokens[at - 1].length === 1;
    const line = () => `\n${"  ".repeat(Math.min(depth, 20))}`;
    if (token === "}" || token === "]") depth--;
    if ((token === "}" || token === "]") ? !empty : empty || tokens[at - 1] === ",") out += line();
    out += token === ":" ? ": " : token;
    if (token === "{" || token === "[") depth++;
  });
  return out;
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
