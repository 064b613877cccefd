import { expect, test } from 'vitest';
import { jsonProblem, placeOfField, places, ruleProblem } from './places';

const TEXT = `{
  "devices": {
    ".read": "auth.uid == \\"x\\" || true",
    ".own": false
  },
  "users": { ".read": "auth.is_admin" }
}`;

test('every key has its place', () => {
  const all = places(TEXT);
  expect(all.get('devices')).toEqual({ line: 2, column: 3 });
  expect(all.get('devices/.read')).toEqual({ line: 3, column: 5 });
  expect(all.get('devices/.own')).toEqual({ line: 4, column: 5 });
  expect(all.get('users/.read')).toEqual({ line: 6, column: 14 });
  expect(all.size).toBe(5);
});

test('the field of an answer is found in the text', () => {
  expect(placeOfField(TEXT, 'rules.users..read').line).toBe(6);
  expect(placeOfField(TEXT, 'rules.devices').line).toBe(2);
  expect(placeOfField(TEXT, 'rules.nowhere..read').line).toBe(1);
  expect(placeOfField(TEXT, 'rules').line).toBe(1);
});

test('what is no JSON is said with its place', () => {
  expect(jsonProblem(TEXT)).toBeUndefined();
  expect(jsonProblem('{\n  "a": ,\n}')).toEqual({
    message: 'This is not JSON: here should stand a value.',
    place: { line: 2, column: 8 },
  });
  expect(jsonProblem('{"a": 1')?.message).toContain('a comma or }');
  expect(jsonProblem('{"a": 1,}')?.message).toContain('a name in quotes');
});

test('it says the same as the parser that counts', () => {
  const texts = [
    '',
    '"',
    '{"a',
    '}{',
    '[[[',
    '{"a":\n"\\',
    '[]',
    '{}',
    '[{},[1,-2.5e3],"\\u00e9"]',
    '[,]',
    '[1,]',
    '01',
    '1 2',
    'nul',
    '"\\x"',
    '{"a":1 "b":2}',
    ' null ',
  ];
  for (const text of texts) {
    let parses = true;
    try {
      JSON.parse(text);
    } catch {
      parses = false;
    }
    expect([text, jsonProblem(text) === undefined]).toEqual([text, parses]);
    expect(() => places(text)).not.toThrow();
  }
});

test('a rule is named once', () => {
  expect(ruleProblem('rules.devices..own', 'Devices/.own: line 1, column 9: Syntax error.')).toEqual({
    message: 'at character 9: Syntax error.',
    rule: 'devices/.own',
  });
  expect(ruleProblem('rules.x', 'Unknown collection.')).toEqual({ message: 'Unknown collection.', rule: 'x' });
  expect(ruleProblem('rules', 'Must be an object.')).toEqual({ message: 'Must be an object.' });
});
