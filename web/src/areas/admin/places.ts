// Where things stand in a JSON text: the line of each key, so that a mistake can be shown at its place. Pure.

export interface Place {
  /** From 1. */
  line: number;
  column: number;
}

/**
 * The place of every key of a JSON text, by its path (`["devices", ".read"]` is `devices/.read`). It reads as far as the
 * text is JSON and never fails.
 */
export function places(text: string): Map<string, Place> {
  const found = new Map<string, Place>();
  const path: string[] = [];
  const objects: boolean[] = [];
  let line = 1;
  let start = 0;
  let last: { text: string; place: Place } | undefined;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '\n') {
      line++;
      start = i + 1;
    } else if (c === '"') {
      const place = { line, column: i - start + 1 };
      const from = i;
      for (i++; i < text.length && text[i] !== '"' && text[i] !== '\n'; i++) if (text[i] === '\\') i++;
      last = { text: text.slice(from + 1, i), place };
      if (text[i] === '\n') i--;
    } else if (c === ':' && last) {
      path[objects.length - 1] = last.text;
      found.set(path.slice(0, objects.length).join('/'), last.place);
      last = undefined;
    } else if (c === '{' || c === '[') {
      objects.push(c === '{');
      last = undefined;
    } else if (c === '}' || c === ']') {
      objects.pop();
      path.length = Math.max(0, objects.length);
    }
  }
  return found;
}

/** Where a text stops being JSON, and what would have to stand there; nothing when it is JSON. */
function stumble(text: string): { at: number; wanted: string } | undefined {
  let i = 0;
  const space = /[ \t\n\r]*/y;
  const string = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
  const plain = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
  const take = (what: RegExp): boolean => {
    what.lastIndex = i;
    if (!what.test(text)) return false;
    i = what.lastIndex;
    return true;
  };
  const skip = (): string => {
    take(space);
    return text[i] ?? '';
  };
  // What is open, so that deep nesting needs no stack.
  const open: ('{' | '[')[] = [];
  for (let want: 'value' | 'key' | 'end' = 'value', first = true; ;) {
    const c = skip();
    const inside = open[open.length - 1];
    if (want === 'key') {
      if (c === '}' && first) {
        i++;
        open.pop();
        want = 'end';
        continue;
      }
      if (!take(string)) return { at: i, wanted: first ? 'a name in quotes or }' : 'a name in quotes' };
      if (skip() !== ':') return { at: i, wanted: 'a colon' };
      i++;
      want = 'value';
      first = false;
    } else if (want === 'value') {
      if (c === '{' || c === '[') {
        i++;
        open.push(c);
        first = true;
        want = c === '{' ? 'key' : 'value';
      } else if (c === ']' && inside === '[' && first) {
        i++;
        open.pop();
        want = 'end';
      } else if (take(string) || take(plain)) {
        want = 'end';
      } else return { at: i, wanted: c === '"' ? 'a text that ends on its line' : 'a value' };
    } else {
      if (!inside) return c === '' ? undefined : { at: i, wanted: 'the end' };
      const close = inside === '{' ? '}' : ']';
      if (c === ',') {
        first = false;
        want = inside === '{' ? 'key' : 'value';
      } else if (c === close) open.pop();
      else return { at: i, wanted: `a comma or ${close}` };
      i++;
    }
  }
}

/** What is wrong with a text that should be JSON: nothing, or the sentence and its place. */
export function jsonProblem(text: string): { message: string; place: Place } | undefined {
  const wrong = stumble(text);
  if (!wrong) return undefined;
  const before = text.slice(0, wrong.at).split('\n');
  const place = { line: before.length, column: (before[before.length - 1]?.length ?? 0) + 1 };
  return { message: `This is not JSON: here should stand ${wrong.wanted}.`, place };
}

/** The place of the rule that the server names in a field (`rules.devices..read`), or the top. */
export function placeOfField(text: string, field: string): Place {
  const [, collection, rule] = /^rules(?:\.([^.]+))?(?:\.(\..+))?$/.exec(field) ?? [];
  const all = places(text);
  return (
    (collection && rule ? all.get(`${collection}/${rule}`) : undefined) ??
    (collection ? all.get(collection) : undefined) ?? { line: 1, column: 1 }
  );
}

/** The rule that a field of an answer is about, and what is wrong with it; the server's words name the rule once more. */
export function ruleProblem(field: string, words: string): { message: string; rule?: string } {
  const [, collection, rule] = /^rules\.([^.]+)(?:\.(\..+))?$/.exec(field) ?? [];
  if (!collection) return { message: words };
  const name = rule ? `${collection}/${rule}` : collection;
  const own = words.toLowerCase().startsWith(`${name.toLowerCase()}: `) ? words.slice(name.length + 2) : words;
  return { message: own.replace(/^line 1, column (\d+): /i, 'at character $1: '), rule: name };
}
